"""The life of one rank: join the group, then run one program after another.

The parent sends a program through a pipe; the rank wipes its slate, runs the program
and sends back a `Reply`.  All that the program prints, C++ included, goes to a file
which the parent shows.  A rank never outlives its parent.
"""

import contextlib
import ctypes
import faulthandler
import io
import os
import pickle
import shutil
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

import cloudpickle
import torch
import torch.distributed as dist
from torch.utils import _pytree as pytree

from dlsys_code.world import journal, watched
from dlsys_code.world.agreement import Mismatch
from dlsys_code.world.board import Board
from dlsys_code.world.journal import Channel, Event, Journal
from dlsys_code.world.slate import Slate, Surroundings

FOREVER = timedelta(days=7)  # the parent watches the clock, not the group
PACKAGES = (str(Path(torch.__file__).parent), str(Path(__file__).parent))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which rank of a pool this is, and how it joins the others."""

    rank: int
    ranks: int
    device: str  # "cpu" or "cuda"
    checked: bool
    folder: Path  # of the pool: store, prints, notes
    transport: watched.Transport


@dataclass(frozen=True)
class Request:
    """One call.  body: the pickled (program, args)."""

    number: int
    body: bytes
    surroundings: Surroundings
    traced: bool


@dataclass
class Reply:
    """What a rank sends back.  result: pickled, where kind is "returned"."""

    kind: str  # "returned", "raised", "unpicklable" or "mismatched"
    cause: str = ""
    odd: int | None = None  # the rank that disagrees with the others, and its line
    line: str = ""
    frames: list[tuple[str, int, str]] = field(default_factory=list)
    result: bytes = b""
    events: list[Event] = field(default_factory=list)
    sent: Counter[Channel] = field(default_factory=Counter)
    received: Counter[Channel] = field(default_factory=Counter)
    collectives: Counter = field(default_factory=Counter)
    sites: dict[Channel, str] = field(default_factory=dict)
    modules: dict[str, int] = field(default_factory=dict)  # file -> time of change
    clean: bool = True


def live(place: Place, pipe: Connection) -> None:
    """Run programs until the pipe closes.  The entry point of a rank's process."""
    if hasattr(os, "setsid"):
        os.setsid()  # Jupyter interrupts the kernel's whole process group
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(place)
    prints = capture_prints(place.folder / f"prints-{place.rank}")
    slate = Slate(own_variables(place))
    try:
        slate.device = join(place)
    except Exception as error:
        send_reply(pipe, raised(error))
        return
    imported = Imported(set(sys.modules))
    send_reply(pipe, Reply("returned", modules=imported.files()))
    while (request := next_request(pipe)) is not None:
        os.ftruncate(1, 0)
        sys.stdout = sys.stderr = prints
        reply = answer(request, place, slate)
        reply.modules = imported.files()
        flush(prints)
        send_reply(pipe, reply)


def own_variables(place: Place) -> dict[str, str]:
    """Return the variables that torchrun would set for this rank."""
    rank, ranks = str(place.rank), str(place.ranks)
    return {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": ranks,
        "LOCAL_WORLD_SIZE": ranks,
    }


def join(place: Place) -> torch.device | None:
    """Enter the group of the whole world; return the default device of this rank."""
    torch.set_num_threads(1)
    device = None
    if place.device == "cuda":
        device = torch.device("cuda", place.rank)
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    else:
        watched.register()
        watched.Watched.transport = staticmethod(place.transport)
        backend = watched.NAME
    dist.init_process_group(
        backend,
        store=dist.FileStore(str(place.folder / "store"), place.ranks),
        rank=place.rank,
        world_size=place.ranks,
        timeout=FOREVER,
        device_id=device,
    )
    return device


def next_request(pipe: Connection) -> Request | None:
    """Return the next call, None when the parent has closed the pipe."""
    try:
        return pickle.loads(pipe.recv_bytes())
    except EOFError:
        return None


def answer(request: Request, place: Place, slate: Slate) -> Reply:
    """Run one program on a clean slate and report."""
    board = None
    try:
        slate.wipe(request.surroundings)
        notes = journal.open_journal(Journal(place.rank, request.traced))
        if place.checked:
            board = Board(place.folder, place.rank, request.number)
        watched.Watched.board = board
        program, args = pickle.loads(request.body)
    except Exception as error:
        return raised(error)
    reply = run_program(program, args, notes)
    if board is not None:
        board.close()
    if reply.kind == "returned":
        slate.leave_groups()
    return replace(reply, clean=slate.is_clean())


def run_program(program: Callable, args: tuple, notes: Journal) -> Reply:
    """Run a program and return its result, or its failure, with the notes on it."""
    try:
        result = program(*args)
    except BaseException as error:  # SystemExit too: a rank does not just vanish
        return raised(error)
    return replace(
        returned(result),
        events=notes.events,
        sent=notes.sent,
        received=notes.received,
        collectives=notes.collectives,
        sites=notes.last_site,
    )


def returned(result: object) -> Reply:
    """Pack a result; tensors leave on the CPU and without what they are a view of."""
    try:
        own = pytree.tree_map_only(torch.Tensor, parcel, result)
        return Reply("returned", result=cloudpickle.dumps(own))
    except Exception as error:
        return Reply("unpicklable", one_line(error))


def parcel(x: torch.Tensor) -> torch.Tensor:
    """Return `x` on the CPU; a small view is copied out of its large storage."""
    if type(x) is torch.Tensor and x.layout == torch.strided:
        x = x.cpu()
        if x.untyped_storage().nbytes() > 2 * x.nbytes:
            return x.detach().clone().requires_grad_(x.requires_grad)
    return x


def raised(error: BaseException) -> Reply:
    """Report an exception: its text, and the lines of the program that led to it."""
    if isinstance(error, Mismatch):
        return Reply("mismatched", str(error), error.odd, error.line)
    frames = [
        (f.filename, f.lineno or 0, f.name)
        for f in traceback.extract_tb(error.__traceback__)
        if not f.filename.startswith((*PACKAGES, "<frozen"))
    ]
    return Reply("raised", one_line(error), frames=frames)


def one_line(error: BaseException) -> str:
    """Return "ValueError: bad shape"; an exception without text is just its name."""
    return "".join(traceback.format_exception_only(error)).strip()


def send_reply(pipe: Connection, reply: Reply) -> None:
    """Send the length first, so that the parent can watch over a long message."""
    body = pickle.dumps(reply)
    pipe.send_bytes(len(body).to_bytes(8, "big"))
    pipe.send_bytes(body)


class Imported:
    """The source files that programs have imported, each with its time of change.

    fresh: the modules of a rank that has run no program; of these only this package's
    count.  When one of the files changes, the pool is out of date.
    """

    def __init__(self, fresh: set[str]):
        self.seen = {name for name in fresh if not name.startswith("dlsys_code")}
        self.times: dict[str, int] = {}

    def files(self) -> dict[str, int]:
        """Return path -> time of change [ns] as it was when first seen."""
        for name in set(sys.modules) - self.seen:
            self.seen.add(name)
            path = getattr(sys.modules[name], "__file__", None) or ""
            if path.endswith(".py") and "site-packages" not in path:
                self.times[path] = os.stat(path).st_mtime_ns
        return self.times


def capture_prints(path: Path) -> io.TextIOWrapper:
    """Send all that this process prints to a file, and dump its stack on request."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    stacks = open(path.with_name(path.name.replace("prints", "stack")), "w")
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, file=stacks, all_threads=False)
    return io.TextIOWrapper(
        io.FileIO(1, "w", closefd=False),
        "utf-8",
        line_buffering=True,
        write_through=True,
    )


def flush(prints: io.TextIOWrapper) -> None:
    """Push out what C and C++ still hold in their buffers."""
    prints.flush()
    ctypes.CDLL(None).fflush(None) if os.name == "posix" else None


def end_with_parent(place: Place) -> None:
    """End the ranks of this pool, and all that they started, when the parent has ended.

    Each rank watches, so one that is stopped or caught in C++ is ended by another.
    """
    (place.folder / f"pid-{place.rank}").write_text(str(os.getpid()))

    def watch() -> None:
        parent_process().join()
        for file in place.folder.glob("pid-*"):
            if (pid := int(file.read_text())) != os.getpid():
                kill_group(pid)
        shutil.rmtree(place.folder, ignore_errors=True)
        kill_group(os.getpid())

    threading.Thread(target=watch, daemon=True).start()
    if sys.platform == "linux":  # wake up to do so, if the only rank is stopped
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGCONT)


def kill_group(pid: int) -> None:
    """Kill a rank and the processes that it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
