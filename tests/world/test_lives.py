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

from dlsys_code.world import RankError, World, starting
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


@pytest.fixture
def interruptible():
    """SIGINT interrupts, also in a job of the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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
World(5, device="cpu")(lives.do_or_nest, {folder!r}, {act!r}, timeout_s=1000)
"""


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("act", [None, *map(slow, ("stop", "hold the lock"))])
def test_a_parent_killed_in_a_call_leaves_nothing(tmp_path, temporary, act):
    """Ranks that sleep, are stopped or hold the lock, and two with Worlds inside."""
    ranks = [tmp_path / f"{rank}.pids" for rank in range(3)]
    nested = [tmp_path / str(a) / f"{b}.pids" for a in (3, 4) for b in range(2)]
    for folder in {file.parent for file in nested}:
        folder.mkdir()
    parent = start_script(KILLED.format(folder=str(tmp_path), act=act), tmp_path)
    wait_for([*ranks, *nested], parent)
    running = psutil.Process(parent.pid).children(recursive=True) + processes(nested)
    plain = processes(ranks)
    parent.kill()
    parent.wait()
    assert_gone(plain)
    assert_gone(running, limit_s=10)
    assert_empty(temporary)


SCRIPT = """
import signal
import torch.distributed as dist
from dlsys_code.world import World
import lives

class Local:
    pass

def program():
    assert isinstance(Local(), Local)
    return dist.get_rank()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
print("once", flush=True)
world = World(2, device="cpu")
print(world(program), flush=True)
try:
    world(lives.tell_and_do, {folder!r}, timeout_s=1000)
except KeyboardInterrupt:
    print("interrupted", world(lives.rank), flush=True)
print(*(pid for pids in world(lives.pids_with_child) for pid in pids), flush=True)
input()
"""


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("end", ["killed", *map(slow, ("returned", "terminated"))])
def test_a_script_from_its_first_line_to_its_end(tmp_path, temporary, end):
    """It needs no main guard, goes on after an interrupt, and leaves nothing."""
    parent = start_script(
        SCRIPT.format(folder=str(tmp_path)),
        tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert parent.stdout.readline() == "once\n"
        assert parent.stdout.readline() == "[0, 1]\n"

        files = [tmp_path / f"{rank}.pids" for rank in range(2)]
        wait_for(files, parent)
        interrupted = processes(files)
        os.killpg(parent.pid, signal.SIGINT)  # to the whole group, as Jupyter does
        assert parent.stdout.readline() == "interrupted [0, 1]\n"
        assert_gone(interrupted)

        pids = parent.stdout.readline().split()
        running = [psutil.Process(int(pid)) for pid in pids]
        running += psutil.Process(parent.pid).children(recursive=True)
        assert len(pids) == 4 and len(running) >= 6
        if end == "returned":
            parent.communicate("\n", timeout=60)
            assert parent.returncode == 0
        else:
            parent.send_signal(signal.SIGKILL if end == "killed" else signal.SIGTERM)
            parent.communicate(timeout=60)
    finally:
        parent.kill()
    assert_gone(running)
    assert_empty(temporary)


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
        doomed(lives.ignore, torch.ones(1 << 28, dtype=torch.uint8), timeout_s=1)


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


def test_an_interrupt_is_put_off_until_the_ranks_are_started(interruptible):
    done = []
    with pytest.raises(KeyboardInterrupt), starting.uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append("to the end")
    assert done == ["to the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("turn")
def test_an_interrupt_at_any_time_of_a_start_leaves_a_world_that_works(interruptible):
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    with World(2, device="cpu") as world:
        for milliseconds in (1, 4, 16, 64):
            world.close()
            signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
            with pytest.raises(KeyboardInterrupt):
                world(lives.tell_nothing_and_sleep)
            assert world(lives.rank) == [0, 1]
