"""One unchanged script, under python and under torchrun."""

import os
import subprocess
import sys
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


def run(script: Path, *launcher: str) -> subprocess.CompletedProcess:
    """Run a script with or without a launcher; no GPU, no variables of a launcher."""
    return subprocess.run(
        [sys.executable, *launcher, str(script)],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def torchrun(ranks: int) -> list[str]:
    module = ["-m", "torch.distributed.run", "--standalone"]
    return [*module, "--nproc-per-node", str(ranks), "--max-restarts", "0"]


def test_one_script_gives_the_same_under_python_and_torchrun(tmp_path):
    script = tmp_path / "same.py"
    script.write_text(SAME.format(ranks=4))
    plain, launched = run(script), run(script, *torchrun(4))
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


@pytest.mark.parametrize("wait", ["in_nothing", slow("in_all_reduce")])
def test_a_rank_that_raises_ends_the_job_and_is_named(tmp_path, wait):
    script = tmp_path / "fails.py"
    script.write_text(
        FAILS.format(here=str(HERE), limit=100, fault="raise_value_error", wait=wait)
    )
    done = run(script, *torchrun(2))
    assert done.returncode != 0
    named = "RankError: rank 1 of 2 failed in fail(): ValueError: bad shape"
    assert done.stderr.count(named) == 2
    assert "rank 0 of 2 failed" not in done.stderr


@pytest.mark.parametrize(
    ("fault", "shown"),
    [("loop_in_c", "in loop_in_c"), slow("loop", "rank 1 is busy at faulty.py line")],
)
def test_a_rank_that_is_stuck_ends_the_job_at_the_limit(tmp_path, fault, shown):
    script = tmp_path / "stuck.py"
    script.write_text(
        FAILS.format(here=str(HERE), limit=1, fault=fault, wait="in_all_reduce")
    )
    done = run(script, *torchrun(2))
    assert done.returncode != 0
    assert "rank 0 is waiting in all_reduce at faulty.py line" in done.stderr
    assert shown in done.stderr


@pytest.mark.slow
def test_a_rank_that_dies_is_not_blamed_on_its_peer(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        FAILS.format(
            here=str(HERE), limit=100, fault="send_sigkill", wait="in_all_reduce"
        )
    )
    done = run(script, *torchrun(2))
    assert done.returncode != 0
    assert "Signal 9 (SIGKILL)" in done.stderr
    assert "RankError" not in done.stderr
