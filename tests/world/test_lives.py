"""No process and no file outlives the work, however the work ends."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lives
import psutil
import pytest

from dlsys_code.world import RankError, World
from dlsys_code.world.watched import gloo

HERE = Path(__file__).parent


def slow(value):
    """A parameter that only `make test-slow` tries."""
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def start_script(text: str, folder: Path, **options) -> subprocess.Popen:
    """Run a script that may import the programs of this folder."""
    script = folder / "script.py"
    script.write_text(f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{text}")
    return subprocess.Popen([sys.executable, script], text=True, **options)


def wait_for(files: list[Path], process: subprocess.Popen) -> None:
    """Wait until all files are there, and the process still is."""
    pause = threading.Event()
    for _ in range(3000):
        if all(file.exists() for file in files):
            return
        assert process.poll() is None
        pause.wait(0.05)
    raise AssertionError("the ranks did not start")


def processes(files: list[Path]) -> list[psutil.Process]:
    return [
        psutil.Process(int(pid)) for file in files for pid in file.read_text().split()
    ]


def assert_gone(running: list[psutil.Process], limit_s: float = 5) -> None:
    """All have ended; a zombie has, and only waits for init to note it."""
    end_s = time.monotonic() + limit_s
    while (left := [p for p in running if lives_on(p)]) and time.monotonic() < end_s:
        psutil.wait_procs(left, timeout=0.1)
    assert left == []


def lives_on(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_empty(temporary: Path) -> None:
    """Only multiprocessing's own folder, which its server removes, may be there."""
    assert [path.name for path in temporary.glob("world-*")] == []


KILLED = """
from dlsys_code.world import World
import lives
World({ranks}, device="cpu")(lives.{program}, {folder!r}, {act!r}, timeout_s=1000)
"""


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("act", [None, *map(slow, ("stop", "hold the lock"))])
def test_a_parent_killed_in_a_call_leaves_nothing(tmp_path, temporary, act):
    text = KILLED.format(ranks=3, program="tell_and_do", folder=str(tmp_path), act=act)
    parent = start_script(text, tmp_path)
    files = [tmp_path / f"{rank}.pids" for rank in range(3)]
    wait_for(files, parent)
    running = processes(files) + psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert_gone(running)
    assert_empty(temporary)


IDLE = """
from dlsys_code.world import World
import lives
world = World(2, device="cpu")
print(*(pid for pids in world(lives.pids_with_child) for pid in pids), flush=True)
input()
"""


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("end", ["killed", *map(slow, ("returned", "terminated"))])
def test_an_idle_parent_leaves_nothing(tmp_path, temporary, end):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    parent = start_script(IDLE, tmp_path, **pipes)
    running = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    running += psutil.Process(parent.pid).children(recursive=True)
    assert len(running) >= 6
    if end == "returned":
        parent.communicate("\n", timeout=60)
        assert parent.returncode == 0
    else:
        parent.send_signal(signal.SIGKILL if end == "killed" else signal.SIGTERM)
        parent.communicate(timeout=60)
    assert_gone(running)
    assert_empty(temporary)


NESTED = """
from pathlib import Path
from dlsys_code.world import World
import lives
for rank in range(2):
    Path({folder!r}, str(rank)).mkdir()
World(2, device="cpu")(lives.nested_for_ever, {folder!r}, timeout_s=1000)
"""


@pytest.mark.usefixtures("turn")
def test_a_killed_parent_of_nested_worlds_leaves_nothing(tmp_path, temporary):
    parent = start_script(NESTED.format(folder=str(tmp_path)), tmp_path)
    files = [tmp_path / str(a) / f"{b}.pids" for a in range(2) for b in range(2)]
    wait_for(files, parent)
    running = processes(files) + psutil.Process(parent.pid).children(recursive=True)
    parent.kill()
    parent.wait()
    assert_gone(running, limit_s=10)
    assert_empty(temporary)


INTERRUPTED = """
import signal
from dlsys_code.world import World
import lives
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
world = World(2, device="cpu")
try:
    world(lives.tell_and_do, {folder!r}, timeout_s=1000)
except KeyboardInterrupt:
    print("interrupted", world(lives.rank), flush=True)
"""


@pytest.mark.usefixtures("turn")
def test_an_interrupt_ends_the_call_and_the_next_one_works(tmp_path, temporary):
    text = INTERRUPTED.format(folder=str(tmp_path))
    parent = start_script(
        text, tmp_path, stdout=subprocess.PIPE, start_new_session=True
    )
    files = [tmp_path / f"{rank}.pids" for rank in range(2)]
    wait_for(files, parent)
    running = processes(files)
    os.killpg(parent.pid, signal.SIGINT)  # to the whole group, as Jupyter does
    try:
        out, _ = parent.communicate(timeout=60)
    finally:
        parent.kill()
    assert out == "interrupted [0, 1]\n"
    assert_gone(running)
    assert_empty(temporary)


PLAIN = """
from dlsys_code.world import World
import torch.distributed as dist

class Local:
    pass

def program():
    assert isinstance(Local(), Local)
    return dist.get_rank()

print("once")
print(World(2, device="cpu")(program))
"""


@pytest.mark.usefixtures("turn")
def test_a_script_needs_no_main_guard(tmp_path):
    script = start_script(PLAIN, tmp_path, stdout=subprocess.PIPE)
    assert script.communicate(timeout=100)[0] == "once\n[0, 1]\n"
    assert script.returncode == 0


def test_a_closed_world_works_again(temporary):
    world = World(2, device="cpu")
    running = [psutil.Process(pid) for pid in world(lives.pid)]
    world.close()
    assert_gone(running)
    assert world(lives.rank) == [0, 1]
    world.close()
    world.close()


def test_a_forgotten_world_ends_its_ranks():
    world = World(2, device="cpu")
    running = [psutil.Process(pid) for pid in world(lives.pid)]
    del world
    gc.collect()
    assert_gone(running)


def test_a_forked_copy_of_the_parent_does_not_end_the_ranks(world):
    pids = world(2)(lives.pid)
    child = os.fork()
    if child == 0:
        world(2).close()
        os._exit(0)
    os.waitpid(child, 0)
    assert world(2)(lives.pid) == pids


@pytest.mark.usefixtures("turn")
def test_worlds_nest(world):
    assert world(2)(lives.nested, 2) == [(0, [0, 1]), (1, [0, 1])]


@pytest.mark.usefixtures("turn")
def test_worlds_run_in_parallel_threads():
    def use(ranks: int) -> list:
        with World(ranks, device="cpu") as world:
            return [world(lives.rank) for _ in range(3)]

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(use, [1, 2, 3, 2]))
    assert answers == [[list(range(ranks))] * 3 for ranks in (1, 2, 3, 2)]


@pytest.mark.usefixtures("turn")
def test_threads_take_turns_with_one_world(world):
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: world(2)(lives.rank), range(20)))
    assert answers == [[0, 1]] * 20


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(
    "call",
    [(lives.ignore, lives.StopsWhenLoaded()), (lives.return_stopper,)],
    ids=["argument", "result"],
)
def test_a_rank_stopped_while_it_reads_or_writes_is_named(doomed, call):
    with pytest.raises(RankError) as caught:
        doomed(*call, timeout_s=1)
    assert caught.value.kind == "stuck"
    assert "rank 1 is stopped by a signal" in str(caught.value)
    assert doomed(lives.rank) == [0, 1, 2, 3]


def test_a_stopped_rank_does_not_hold_up_large_arguments(doomed):
    import torch

    pids = doomed(lives.pid)
    os.kill(pids[2], signal.SIGSTOP)
    with pytest.raises(RankError, match="rank 2 is stopped by a signal"):
        doomed(lives.ignore, torch.ones(1 << 28, dtype=torch.uint8), timeout_s=2)


def test_a_transport_is_any_function_that_makes_a_group(capfd):
    def loud(store, rank, ranks, limit):
        print("transport of", ranks)
        return gloo(store, rank, ranks, limit)

    def broken(store, rank, ranks, limit):
        if rank == 1:
            raise ValueError("no such wire")
        return gloo(store, rank, ranks, limit)

    with World(2, device="cpu", transport=loud) as world:
        assert world(lives.rank) == [0, 1]
    with pytest.raises(RankError, match=r"rank 1 of 2 failed in World\(\): ValueError"):
        World(2, device="cpu", transport=broken)(lives.rank)


@pytest.mark.parametrize("ranks", [0, -1, "4", 2.0, None, True])
def test_a_bad_number_of_ranks_is_refused(ranks):
    with pytest.raises(ValueError, match="number of ranks"):
        World(ranks)


def test_other_bad_arguments_are_refused_before_anything_starts():
    with pytest.raises(ValueError, match="tpu"):
        World(2, device="tpu")
    for timeout_s in (0, -1, "1", float("inf"), float("nan")):
        with pytest.raises(ValueError, match="timeout_s"):
            World(2, timeout_s=timeout_s)
    world = World(2, device="cpu")
    with pytest.raises(ValueError, match="timeout_s"):
        world(lives.rank, timeout_s=0)
    with pytest.raises(TypeError, match="a World runs a function, not 5"):
        world(5)
    with pytest.raises(TypeError, match="cannot send ignore.*lock"):
        world(lives.ignore, threading.Lock())
    with pytest.raises(TypeError, match="make one inside the program"):
        world(lives.ignore, world)
    assert world._processes is None
