"""`python -m dlsys_code link`: what it prints and draws, and what it refuses."""

import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from commands import assert_refused, call, launch, torchrun

TINY = ["--rounds", "3", "--max", "4M"]


def said_of(text: str) -> dict[str, float]:
    """The numbers under the table, by name."""
    under = [line.split() for line in text.splitlines() if line.startswith("# ")]
    return {words[1]: float(words[2]) for words in under[-3:]}


@pytest.mark.parametrize("transport", ["sockets", "memory"])
def test_a_link_is_measured_fitted_and_drawn(monkeypatch, capsys, tmp_path, transport):
    plot = tmp_path / "link.svg"
    options = [*TINY, "--transport", transport, "--plot", str(plot)]
    assert call(monkeypatch, "link", *options) == 0
    text = capsys.readouterr().out
    table = [line for line in text.splitlines() if not line.startswith("#")]
    sizes = [" ".join(line.split()[:2]) for line in table]
    assert sizes[:2] + sizes[-1:] == ["4 B", "16 B", "4 MiB"] and len(sizes) == 11
    found = said_of(text)
    assert list(found) == ["alpha", "1/beta", "n_1/2"]
    assert found["alpha"] > 0 and found["1/beta"] > 0
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


def test_a_job_of_torchrun_measures_its_own_ranks():
    command = launch("link", "--rounds", "3", "-e", "4M", launcher=torchrun(2))
    done = subprocess.run(**command, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("# alpha") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--pair", "0", "2"], "--pair 0 2：2 个 rank 的编号是 0 到 1"),
        (["--pair", "1", "1"], "a pair is two ranks"),
        (["--ranks", "0"], "--ranks 0：至少 1 个 rank"),
        (["--rounds", "0"], "0 rounds"),
        (["--max", "16"], "三种大小才能拟合"),
        (["--max", "many"], "a size is a number"),
        (["--plot", "no/such.svg"], "写不了"),
        (["--transport", "pigeon"], "invalid choice"),
    ],
)
def test_bad_arguments_end_the_command_before_any_rank(
    monkeypatch, capsys, arguments, complaint
):
    assert_refused(monkeypatch, capsys, "link", *arguments, complaint=complaint)
