"""World(4): four processes that wait for a parallel program and run it.

    world = World(4)
    world(program, *args)  ->  [result of rank 0, ..., result of rank 3]

The processes start once, join one process group and stay warm, so a call costs
milliseconds.  `program` is plain torch.distributed: under torchrun the same lines join
the running job.  The parent watches every pipe and every process under one limit of
time; on the first failure it ends all ranks and raises one `RankError`, and the next
call starts new ranks.

Sources: Python's multiprocessing, "Contexts and start methods"; the design of a parent
that watches pipes and sentinels follows torch.distributed.elastic.
"""

import atexit
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path

import cloudpickle

from dlsys_code.world import device as devices
from dlsys_code.world import verdict
from dlsys_code.world.failure import Diagnosis, Failure
from dlsys_code.world.job import Joined
from dlsys_code.world.rank import Place, Reply, Request, kill_group, live
from dlsys_code.world.slate import Surroundings
from dlsys_code.world.trace import Trace
from dlsys_code.world.watched import Transport, gloo

GRACE_S = 0.3  # how long the other ranks may still report after the first failure
START_LIMIT_S = 120.0
LARGE = 64 * 1024  # bytes; a smaller message never blocks the pipe
PRELOAD = ["torch", "torch.distributed", "numpy", "cloudpickle"]
_starting = threading.Lock()  # starting a process borrows attributes of __main__


class World:
    """A warm pool of ranks.

    ranks: how many.  device: "cpu", "cuda" or None to choose (see `choose_device`).
    timeout_s: the limit of a call, unless the call gives its own.
    checked: compare every call between the ranks before it is made (on the CPU).
    transport: makes the group that carries the messages (on the CPU).

    Under torchrun or srun a World starts nothing and joins the running job.
    Errors: ValueError for bad arguments, or when the job has another number of ranks.
    """

    def __init__(
        self,
        ranks: int,
        *,
        device: str | None = None,
        timeout_s: float = 60.0,
        checked: bool = False,
        transport: Transport = gloo,
    ):
        if ranks < 1:
            raise ValueError(f"a World needs at least 1 rank, not {ranks}")
        self.ranks, self.timeout_s, self.checked = ranks, timeout_s, checked
        self.transport = transport
        self.job = devices.running_job()
        local = self.job.local_ranks if self.job else ranks
        self.device = devices.choose_device(local, device)
        if checked and self.device == "cuda":
            raise ValueError("a checked World runs on the CPU: pass device='cpu'")
        self._joined = None
        if self.job:
            self._joined = Joined(
                self.job, ranks=ranks, device=self.device, transport=transport
            )
        self._pool: _Pool | None = None
        self._turn = threading.Lock()
        self._calls = 0
        if notice := devices.fallback_notice(local, self.device if not device else ""):
            print(notice, file=sys.stderr)

    def __call__(
        self, program: Callable, *args: object, timeout_s: float | None = None
    ) -> list:
        """Run `program(*args)` on every rank; return the results in rank order.

        What the ranks print appears in rank order as "[rank r] ...".
        Errors: `RankError`; KeyboardInterrupt ends the ranks and passes through.
        """
        return self._run(program, args, timeout_s, traced=False).results

    def trace(
        self, program: Callable, *args: object, timeout_s: float | None = None
    ) -> Trace:
        """Run `program(*args)`; return its results and every event of every rank."""
        if self.device == "cuda":
            raise ValueError("a traced World runs on the CPU: pass device='cpu'")
        return self._run(program, args, timeout_s, traced=True)

    def close(self) -> None:
        """End the ranks; a later call starts new ones."""
        with self._turn:
            self._drop()

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self, program: Callable, args: tuple, timeout_s: float | None, traced: bool
    ) -> Trace:
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        if self._joined:
            return self._joined.run(program, args, name_of(program), limit_s, traced)
        body = cloudpickle.dumps((program, args))
        with self._turn:
            if self._pool is not None and not self._pool.is_current():
                self._drop()
            if self._pool is None:
                self._pool = _Pool(self)
            self._calls += 1
            request = Request(self._calls, body, Surroundings.here(), traced)
            try:
                return self._pool.run(request, name_of(program), limit_s)
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        if self._pool is not None:
            self._pool.end()
            self._pool = None


def name_of(program: Callable) -> str:
    """Return the name of a program for the headline of an error."""
    program = getattr(program, "func", program)  # functools.partial
    return getattr(program, "__name__", type(program).__name__)


class _Pool:
    """The processes of one World, from their start to the first failure."""

    def __init__(self, world: World):
        self.ranks = world.ranks
        self.folder = Path(tempfile.mkdtemp(prefix="world-"))
        self.processes: list[multiprocessing.Process] = []
        self.pipes: list[connection.Connection] = []
        self.modules: dict[str, int] = {}
        self.clean = True
        parts = self.processes, self.pipes, self.folder
        self._finalizer = weakref.finalize(self, _end, *parts)
        # At exit this must run before multiprocessing's handler, which joins the ranks;
        # handlers run last come, first served.
        atexit.register(self._finalizer)
        try:
            self._start(world)
            self._collect("World", START_LIMIT_S)
        except BaseException:
            self.end()
            raise

    def _start(self, world: World) -> None:
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context(
            "forkserver" if "forkserver" in methods else "spawn"
        )
        if context.get_start_method() == "forkserver":
            context.set_forkserver_preload(PRELOAD)
        with _starting, hidden_main():
            for rank in range(world.ranks):
                place = Place(
                    rank=rank,
                    ranks=world.ranks,
                    device=world.device,
                    checked=world.checked,
                    folder=self.folder,
                    transport=world.transport,
                )
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=live, args=(place, theirs), name=f"rank {rank}"
                )
                process.start()
                theirs.close()
                self.processes.append(process)
                self.pipes.append(ours)

    def is_current(self) -> bool:
        """Return False if a rank has ended, or a file that it imported has changed."""
        alive = all(process.is_alive() for process in self.processes)
        return self.clean and alive and all(unchanged(*m) for m in self.modules.items())

    def run(self, request: Request, program: str, limit_s: float) -> Trace:
        """Send one call to every rank and return what they report."""
        message = pickle.dumps(request)
        end_s = time.monotonic() + limit_s
        for rank, pipe in enumerate(self.pipes):
            with self._guarded(rank, len(message), end_s), suppress(OSError):
                pipe.send_bytes(message)
        try:
            replies = self._collect(program, limit_s, end_s)
        finally:
            self._show_prints()
        self.clean = all(reply.clean for reply in replies)
        results = []
        for rank, reply in enumerate(replies):
            try:
                results.append(pickle.loads(reply.result))
            except Exception as error:
                cause = f"{type(error).__name__}: {error}"
                failure = Failure(rank=rank, kind="unpicklable", cause=cause)
                diagnosis = Diagnosis(program, self.ranks, limit_s, {rank: failure})
                raise diagnosis.error() from None
        return Trace(results, [event for reply in replies for event in reply.events])

    def _collect(
        self, program: str, limit_s: float, end_s: float | None = None
    ) -> list[Reply]:
        """Wait for every rank's reply; raise one error when any has failed."""
        end_s = end_s or time.monotonic() + limit_s
        replies: dict[int, Reply] = {}
        diagnosis = Diagnosis(program, self.ranks, limit_s)
        while waiting := self._silent(replies, diagnosis):
            events = {self.pipes[r]: r for r in waiting}
            events |= {self.processes[r].sentinel: r for r in waiting}
            ready = connection.wait(list(events), max(0.0, end_s - time.monotonic()))
            for rank in sorted({events[e] for e in ready}):
                reply = self._receive(rank, end_s)
                if reply is None or reply.kind != "returned":
                    failure = verdict.of_rank(rank, reply, self.processes[rank])
                    if not diagnosis.failures:
                        end_s = min(end_s, time.monotonic() + GRACE_S)
                    diagnosis.failures[rank] = failure
                else:
                    replies[rank] = reply
                    diagnosis.returned.add(rank)
            if not ready:
                if not diagnosis.failures:
                    self._ask_where(waiting, diagnosis)
                break
        if not diagnosis.failures:
            verdict.compare_counts(replies, diagnosis)
        if diagnosis.failures:
            raise diagnosis.error() from None
        for reply in replies.values():
            self.modules |= reply.modules
        return [replies[rank] for rank in range(self.ranks)]

    def _silent(self, replies: dict, diagnosis: Diagnosis) -> list[int]:
        heard = replies.keys() | diagnosis.failures.keys()
        return [rank for rank in range(self.ranks) if rank not in heard]

    def _receive(self, rank: int, end_s: float) -> Reply | None:
        """Return the reply of a rank that is ready; None if its process has ended."""
        try:
            if not self.pipes[rank].poll():
                return None
            size = int.from_bytes(self.pipes[rank].recv_bytes(), "big")
            with self._guarded(rank, size, end_s):
                return pickle.loads(self.pipes[rank].recv_bytes())
        except (EOFError, OSError):
            return None

    @contextmanager
    def _guarded(self, rank: int, size: int, end_s: float) -> Iterator[None]:
        """Kill the rank if a long message is not through in time."""
        if size <= LARGE:
            yield
            return
        pid = self.processes[rank].pid
        timer = threading.Timer(max(0.0, end_s - time.monotonic()), kill_group, (pid,))
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _ask_where(self, waiting: list[int], diagnosis: Diagnosis) -> None:
        for rank in waiting:
            if hasattr(signal, "SIGUSR1"):
                with suppress(ProcessLookupError):
                    os.kill(self.processes[rank].pid, signal.SIGUSR1)
        for rank in waiting:
            stack = self.folder / f"stack-{rank}"
            diagnosis.failures[rank] = verdict.of_stack(
                rank, stack, self.processes[rank]
            )

    def _show_prints(self) -> None:
        """Print what the ranks printed, in rank order."""
        lines = []
        for rank in range(self.ranks):
            text = (self.folder / f"prints-{rank}").read_text("utf-8", "replace")
            kept = (line for line in text.splitlines() if not line.startswith("[Gloo]"))
            lines += [f"[rank {rank}] {line}" for line in kept]
        if lines:
            print("\n".join(lines), flush=True)

    def end(self) -> None:
        """Kill every rank with what it has started; leave no file behind."""
        atexit.unregister(self._finalizer)
        self._finalizer()


def _end(processes: list, pipes: list, folder: Path) -> None:
    for process in processes:
        kill_group(process.pid)
    for process in processes:
        process.join()
        process.close()
    for pipe in pipes:
        pipe.close()
    processes.clear()
    pipes.clear()
    shutil.rmtree(folder, ignore_errors=True)


def unchanged(path: str, time_ns: int) -> bool:
    """Return whether a source file still has its time of change."""
    return os.path.exists(path) and os.stat(path).st_mtime_ns == time_ns


@contextmanager
def hidden_main() -> Iterator[None]:
    """Keep new processes from running the caller's script or notebook again."""
    main = sys.modules["__main__"]
    kept = {
        name: getattr(main, name)
        for name in ("__spec__", "__file__")
        if hasattr(main, name)
    }
    try:
        main.__spec__ = None
        if "__file__" in kept:
            del main.__file__
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)
