"""`python -m dlsys_code train`: its lines as they come, its ranks, what it refuses."""

import os
import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest
from commands import assert_refused, call, launch, torchrun

from dlsys_code.book import training
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.serial import Recipe

TINY = ["--batch", "4", "--sequence", "8"]


def started(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    """Start the command with no GPU and no variables of a launcher."""
    command = launch("train", *arguments, launcher=launcher)
    return subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def rows(text: str) -> dict[int, float]:
    """The losses printed, by step."""
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {int(step): float(loss) for step, loss, *_ in lines}


def test_every_line_of_a_short_run_is_the_serial_runs(monkeypatch, capsys):
    options = ["--steps", "4", "--seed", "3", "--dtype", "float64"]
    assert call(monkeypatch, "train", *TINY, *options) == 0
    said = capsys.readouterr()
    recipe = Recipe(batch=4, sequence=8, seed=3, dtype=training.DTYPES["float64"])
    losses = list(serial.train(recipe, tokens.documentation(), steps=4))
    assert rows(said.out) == {step: round(loss, 4) for step, loss in enumerate(losses)}
    assert said.err == ""
    title, *_, last, speed = said.out.splitlines()
    assert title.startswith("# 771,200 个参数，torch.float64；文本 ")
    assert "每步 4 x 8 个词元" in title
    assert last == f"# 4 步，loss 从 {losses[0]:.4f} 到 {losses[-1]:.4f} nat/token"
    assert speed.startswith("# 后 3 步用了 ")


def test_ranks_print_what_one_process_prints(monkeypatch, capsys, tmp_path):
    files = [tmp_path / name for name in ("a.txt", "b.txt")]
    for file in files:
        file.write_text("天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。", encoding="utf-8")
    options = [*TINY, "--steps", "3", "--dtype", "float64", "--text", *map(str, files)]
    printed = []
    for ranks in ("1", "2"):
        assert call(monkeypatch, "train", *options, "--ranks", ranks) == 0
        printed.append(capsys.readouterr().out)
    # The last of 4 digits may be rounded either way.
    assert rows(printed[1]) == pytest.approx(rows(printed[0]), abs=1.1e-4)
    assert list(rows(printed[1])) == [0, 1, 2]
    assert all("文本 120 字节" in text for text in printed)
    assert "# 2 个 rank，cpu" in printed[1]


def test_a_line_is_printed_as_soon_as_it_stands_in_the_file(monkeypatch):
    printed, came = [], threading.Event()

    def note(text: str, **_: object) -> None:
        printed.append(text)
        if text:
            came.set()

    monkeypatch.setattr(training, "print", note, raising=False)
    with training.followed() as file:
        file.write_text("one\n")
        assert came.wait(60)
        assert "".join(printed) == "one\n"
        with file.open("a") as lines:
            lines.write("two\n")
    assert "".join(printed) == "one\ntwo\n"
    assert not file.exists()


@pytest.mark.parametrize("ranks", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_lines_come_while_the_run_goes_on(ranks):
    """A run of weeks prints its first line, and ends with the one that reads it."""
    with started(*TINY, "--steps", "1000000000", "--ranks", ranks) as run:
        lines = [run.stdout.readline() for _ in range(4)]
        run.kill()
    assert rows("".join(lines)).keys() == {0}


def test_about_twenty_lines_are_printed_whatever_the_steps():
    for steps in (1, 2, 19, 20, 21, 39, 100, 1234):
        losses = iter([5.5 - step / steps for step in range(steps)])
        table = rows("\n".join(training.report(losses, Recipe(), steps)))
        assert list(table) == sorted({*table, 0, steps - 1})
        assert min(steps, training.LINES) <= len(table) <= 2 * training.LINES + 1
        for step, loss in table.items():
            assert loss == round(5.5 - step / steps, 4)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--text", "absent.txt"], "No such file or directory: 'absent.txt'"),
        (["--text", os.devnull], f"there is no text in ['{os.devnull}']"),
        (["--text", __file__, "--sequence", "99999"], "99999 + 1 bytes, but the text"),
        (["--batch", "6", "--ranks", "4"], "4 ranks cannot share 6 samples evenly"),
        (["--batch", "0"], "at least 1 sample of 1 token, not 0 of 128"),
        (["--sequence", "0"], "at least 1 sample of 1 token, not 8 of 0"),
        (["--ranks", "0"], "a World needs a whole number of ranks, not 0"),
        (["--steps", "0"], "--steps 0：至少 1 步"),
        (["--seed", "-1"], "--seed -1：从 0 到 2^63 - 1"),
        (["--dtype", "int8"], "int8"),
    ],
)
def test_bad_arguments_are_refused_before_any_rank_starts(
    monkeypatch, capsys, arguments, complaint
):
    command = ("train", *arguments)
    assert_refused(monkeypatch, capsys, *command, complaint=complaint)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_loss_that_is_no_number_ends_the_run_in_one_line(monkeypatch, capsys, ranks):
    monkeypatch.setattr(training, "Recipe", partial(Recipe, learning_rate=1e10))
    assert call(monkeypatch, "train", *TINY, "--steps", "9", "--ranks", str(ranks)) == 1
    said = capsys.readouterr()
    assert rows(said.out).keys() == {0}
    who = "rank 0: FloatingPointError: " if ranks > 1 else ""
    program = "python -m dlsys_code train: "
    assert said.err == f"{program}{who}the loss of step 1 is nan\n"


def test_help_names_every_option(monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, "train", "--help")
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for option in ("text", "steps", "batch", "sequence", "ranks", "seed", "dtype"):
        assert f"--{option} " in said


@pytest.mark.slow
def test_under_torchrun_the_first_rank_prints(tmp_path):
    text = tmp_path / "text"
    text.write_bytes(Path(__file__).read_bytes())
    options = [*TINY, "--steps", "3", "--dtype", "float64", "--text", str(text)]
    out, err = started(*options, launcher=torchrun(2)).communicate(timeout=200)
    assert list(rows(out)) == [0, 1, 2], err
    alone, _ = started(*options).communicate(timeout=200)
    assert rows(out) == pytest.approx(rows(alone), abs=1.1e-4)
    refused = started(*options, "--ranks", "3", launcher=torchrun(2))
    _, err = refused.communicate(timeout=200)
    assert refused.returncode != 0
    assert err.count("torchrun has already decided how many there are") == 1
