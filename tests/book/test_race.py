"""`python -m dlsys_code bench`: the table, the files, and what it refuses."""

import json
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from commands import assert_refused, call, launch, torchrun

from dlsys_code.book import race
from dlsys_code.primitive.bench import Heat, Row
from dlsys_code.world import World

TINY = ["--ranks", "2", "--max", "512", "--factor", "8", "--rounds", "2"]


def run(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Run the command with no GPU and no variables of a launcher."""
    command = launch("bench", *arguments, launcher=launcher)
    return subprocess.run(**command, capture_output=True, timeout=200)


def table(text: str) -> list[list[str]]:
    """The cells of the lines that are no comments."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split() for line in lines]


def test_the_narrow_table_fits_a_page_and_says_the_same():
    row = Row(
        collective="all_reduce",
        algorithm="doubling_into_",
        size_bytes=16 << 20,
        count=4 << 20,
        type="float32",
        redop="sum",
        root=-1,
        time_us=19365.25,
        algbw_GB_per_s=0.866,
        busbw_GB_per_s=1.516,
        wrong=3,
        ratio=1.066,
        ratio_quartiles=(0.851, 1.43),
        rounds=30,
        ranks=8,
        device="cpu",
        torch="2.13.0",
    )
    *header, line = race.narrow([row]).splitlines()
    said = "16 MiB doubling_into_ 19365.2 0.87 1.52 3 1.07 [0.85, 1.43]"
    assert " ".join(line.split()) == said
    assert max(map(len, [*header, line])) <= 76


def test_a_tiny_race_is_printed_saved_and_drawn(tmp_path):
    data, plot = tmp_path / "rows.json", tmp_path / "busbw.svg"
    files = ["--json", str(data), "--plot", str(plot)]
    done = run("all_reduce", *TINY, *files)
    assert done.returncode == 0, done.stderr
    rows, saved = table(done.stdout), json.loads(data.read_text())
    assert len(rows) == len(saved) == 3 * 10
    for cells, row in zip(rows, saved, strict=True):
        size, count, dtype, redop, root, *_ = cells
        assert (size, count, dtype, redop, root) == (
            str(row["size_bytes"]),
            str(row["size_bytes"] // 4),
            "float32",
            "sum",
            "-1",
        )
        assert cells[8:10] == ["0", row["algorithm"]]
        assert row["ranks"] == 2 and row["device"] == "cpu" and row["torch"]
    assert [line for line in done.stderr.splitlines() if line.startswith("[")] == [
        "[1/3] 8 B",
        "[2/3] 64 B",
        "[3/3] 512 B",
    ]
    title = ElementTree.parse(plot).find("{http://www.w3.org/2000/svg}title").text
    assert "2 个 rank 的 all_reduce，从 8 B 到 512 B，10 种算法" in title


def test_the_algorithms_named_race_against_torch(monkeypatch, capsys):
    chosen = ["--algorithm", "tree_into_", "--root", "1"]
    assert call(monkeypatch, "bench", "broadcast", *TINY, *chosen) == 0
    rows = table(capsys.readouterr().out)
    assert [cells[9] for cells in rows] == ["torch", "tree_into_"] * 3
    assert {cells[4] for cells in rows} == {"1"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["--algorithm", "rings"],
            "all_gather 在 cpu 上没有算法 rings，有 5 个：torch、",
        ),
        (["--min", "8"], "--min 8 B 不足 16 B，即4 个 rank 各一个 float32"),
        (["--max", "8Q"], "not '8Q'"),
        (["--max", "8"], "从 16 B 到 8 B，每次乘 4"),
        (["--factor", "1"], "每次乘 1：后者不小于前者，乘数至少 2"),
        (["--rounds", "0"], "--rounds 0：至少 1 轮"),
        (["--ranks", "0"], "--ranks 0：至少 1 个 rank"),
        (["--root", "4"], "--root 4：4 个 rank 的编号是 0 到 3"),
        (["--plot", "plot.png"], "写不了 plot.png"),
        (["--dtype", "complex64"], "complex64"),
    ],
)
def test_bad_arguments_are_refused_before_any_rank_starts(
    monkeypatch, capsys, arguments, complaint
):
    command = ("bench", "all_gather", *arguments)
    assert_refused(monkeypatch, capsys, *command, complaint=complaint)


def wrong_race(world: World, heat: Heat) -> list[Row]:
    """A race in which torch itself was wrong once."""
    numbers = dict.fromkeys(("size_bytes", "count", "ranks", "rounds", "root"), 1)
    words = dict.fromkeys(("collective", "type", "redop", "device", "torch"), "")
    times = dict.fromkeys(("time_us", "algbw_GB_per_s", "busbw_GB_per_s", "ratio"), 1.0)
    row = Row(
        algorithm="torch",
        wrong=1,
        ratio_quartiles=(1.0, 1.0),
        **numbers,
        **words,
        **times,
    )
    return [row]


def test_wrong_elements_are_said_and_fail_the_command(monkeypatch, capsys):
    monkeypatch.setattr(race, "race", wrong_race)
    assert call(monkeypatch, "bench", "all_reduce", *TINY) == 1
    assert "# 错误的元素：3，有错" in capsys.readouterr().out


@pytest.mark.slow
def test_under_torchrun_the_first_rank_prints():
    launcher = torchrun(3)
    sizes = ["-e", "512", "--factor", "8", "--rounds", "2"]
    done = run("all_to_all", *sizes, launcher=launcher)
    assert done.returncode == 0, done.stderr
    rows = table(done.stdout)
    assert [cells[9] for cells in rows[:4]] == [
        "torch",
        "pairwise",
        "pairwise_into_",
        "bruck",
    ]
    assert len(rows) == 2 * 4
    refused = run("all_to_all", "--ranks", "2", launcher=launcher)
    assert refused.returncode != 0
    assert refused.stderr.count("--ranks 2：torchrun 已经启动了 3 个") == 1
