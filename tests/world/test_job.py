"""One unchanged script, under python and under torchrun."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent

SAME = """
import sys
import torch, torch.distributed as dist
from dlsys_code.world import World

world = World({ranks}, device="cpu")

def total(factor):
    x = torch.tensor([factor * dist.get_rank()])
    dist.all_reduce(x)
    return dist.get_rank(), x.item(), torch.rand(1).item()

def ring():
    after = (dist.get_rank() + 1) % dist.get_world_size()
    before = (dist.get_rank() - 1) % dist.get_world_size()
    sending = dist.isend(torch.ones(3), after)
    dist.recv(torch.empty(3), before)
    sending.wait()

for factor in (1.0, 2.0):
    text = repr(world(total, factor))
    if world(dist.get_rank)[0] == 0:
        sys.stdout.write(text + "\\n")
sys.stdout.write(repr(world.trace(ring).messages()) + "\\n")
try:
    World({ranks} + 1, device="cpu")(dist.get_rank)
    sys.stdout.write("another number\\n")
except ValueError as error:
    sys.stdout.write(str(error) + "\\n")
sys.stdout.flush()
"""

FAILS = """
import sys
sys.path.insert(0, {here!r})
import faulty
from dlsys_code.world import World
World(2, device="cpu", timeout_s={limit})(faulty.fail, 1, faulty.{fault}, faulty.{wait})
"""


def slow(*values):
    """Parameters that only `make test-slow` tries."""
    return pytest.param(*values, marks=pytest.mark.slow)


def run(*commands: list[str | Path]) -> list[subprocess.CompletedProcess]:
    """Run Python with each of some arguments, all at once.

    They see no GPU, and no variables of a launcher.
    """

    def done(command: list[str | Path]) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            text=True,
            timeout=200,
            env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )

    with ThreadPoolExecutor() as threads:
        return list(threads.map(done, commands))


def torchrun(ranks: int) -> list[str]:
    module = ["-m", "torch.distributed.run", "--standalone"]
    return [*module, "--nproc-per-node", str(ranks), "--max-restarts", "0"]


def test_one_script_gives_the_same_under_python_and_torchrun(tmp_path):
    script = tmp_path / "same.py"
    script.write_text(SAME.format(ranks=4))
    plain, launched = run([script], [*torchrun(4), script])
    assert plain.returncode == launched.returncode == 0, launched.stderr
    *same, other = plain.stdout.splitlines()
    assert other == "another number"
    refused = "World(5) inside a job of 4 ranks: torchrun has already decided"
    lines = launched.stdout.splitlines()
    assert len(same) == 3
    for text in same:
        assert lines.count(text) == 4
    assert sum(line.startswith(refused) for line in lines) == 4
    assert len(lines) == 16


def failing(folder: Path, fault: str, wait: str, limit: int = 100) -> list[str | Path]:
    """A job of two ranks; the second fails while the first one waits."""
    script = folder / f"{fault}.py"
    script.write_text(FAILS.format(here=str(HERE), limit=limit, fault=fault, wait=wait))
    return [*torchrun(2), script]


@pytest.mark.parametrize(
    ("wait", "loop", "shown"),
    [
        ("in_nothing", "loop_in_c", "in loop_in_c"),
        slow("in_all_reduce", "loop", "rank 1 is busy at faulty.py line"),
    ],
)
def test_a_rank_that_raises_or_is_stuck_ends_the_job_and_is_named(
    tmp_path, wait, loop, shown
):
    raised, stuck = run(
        failing(tmp_path, "raise_value_error", wait),
        failing(tmp_path, loop, "in_all_reduce", limit=3),
    )
    assert raised.returncode != 0
    named = "RankError: rank 1 of 2 failed in fail(): ValueError: bad shape"
    assert raised.stderr.count(named) == 2
    assert "rank 0 of 2 failed" not in raised.stderr
    assert stuck.returncode != 0
    assert "rank 0 is waiting in all_reduce at faulty.py line" in stuck.stderr
    assert shown in stuck.stderr


@pytest.mark.slow
def test_a_rank_that_dies_is_not_blamed_on_its_peer(tmp_path):
    (done,) = run(failing(tmp_path, "send_sigkill", "in_all_reduce"))
    assert done.returncode != 0
    assert "Signal 9 (SIGKILL)" in done.stderr
    assert "RankError" not in done.stderr
