"""`python -m dlsys_code clocks`: what it prints and draws, and what it refuses."""

import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from commands import assert_refused, call, launch, torchrun


def table_of(text: str) -> dict[str, list[str]]:
    """The columns of each bound: ms, staleness, lead, loss, updates."""
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    return {row.split()[2]: row.split(maxsplit=7)[3:] for row in lines}


def test_three_clocks_are_timed_and_drawn(monkeypatch, capsys, tmp_path):
    plot = tmp_path / "clocks.svg"
    options = ["--updates", "24", "--slow", "9", "--plot", str(plot)]
    assert call(monkeypatch, "clocks", *options) == 0
    table = table_of(capsys.readouterr().out)
    assert list(table) == ["0", "3", "inf"]
    assert all(float(ms) > 0 for ms, *_ in table.values())
    leads = {bound: int(row[2]) for bound, row in table.items()}
    assert leads["0"] == 0 < leads["3"] <= 3 < leads["inf"]
    assert float(table["0"][1]) == 0 < float(table["inf"][1])
    assert table["0"][-1] == "[12, 12]"
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


def test_workers_that_are_slow_by_chance(monkeypatch, capsys):
    options = ["--workers", "3", "--updates", "12", "--bounds", "0", "--chance", "0.5"]
    assert call(monkeypatch, "clocks", *options) == 0
    assert table_of(capsys.readouterr().out)["0"][-1] == "[4, 4, 4]"


def test_fewer_updates_than_workers_have_a_loss(monkeypatch, capsys):
    options = ["--workers", "2", "--updates", "1", "--bounds", "1"]
    assert call(monkeypatch, "clocks", *options) == 0
    assert 5 < float(table_of(capsys.readouterr().out)["1"][3]) < 6


def test_a_job_of_torchrun_has_a_server_and_workers():
    options = ("--updates", "6", "--bounds", "0")
    command = launch("clocks", *options, launcher=torchrun(3))
    done = subprocess.run(**command, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert table_of(done.stdout)["0"][-1] == "[3, 3]"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--workers", "-1"], "--ranks 0：至少 1 个 rank"),
        (["--updates", "0"], "a run needs at least 1 update"),
        (["--bounds", "-1"], "a bound on staleness is 0, 1, 2, ... or infinity"),
        (["--bounds", "1.5"], "not 1.5"),
        (["--slow", "0"], "a straggler needs 1, 2, ... times as long, not 0"),
        (["--chance", "2"], "a probability is 0 to 1, not 2"),
        (["--ballast", "-1"], "0 products of ballast"),
        (["--plot", "no/such.svg"], "写不了"),
    ],
)
def test_bad_arguments_end_the_command_before_any_rank(
    monkeypatch, capsys, arguments, complaint
):
    assert_refused(monkeypatch, capsys, "clocks", *arguments, complaint=complaint)
