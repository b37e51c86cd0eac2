"""The life of one rank: join the group, then run one program after another.

The parent leaves a request in the pool's folder and says so through a pipe; the rank
wipes its slate, runs the program and leaves a `Reply`.  On the signal SIGUSR1 it writes
the stack of the program to a second pipe, even from inside a loop in C.
"""

import faulthandler
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection

import cloudpickle
import torch
import torch.distributed as dist

from dlsys_code.world import guard, journal, mail, prints, watched
from dlsys_code.world.agreement import Disagreement
from dlsys_code.world.board import Board
from dlsys_code.world.edits import Imported
from dlsys_code.world.handles import settle
from dlsys_code.world.journal import Journal
from dlsys_code.world.mail import Place, Reply, Request
from dlsys_code.world.parcel import pack, unpack
from dlsys_code.world.slate import Slate
from dlsys_code.world.sources import is_program

FOREVER = timedelta(days=7)  # the parent watches the clock, not the group
MOST_EARLIER = 5  # exceptions shown that led to the one raised


def live(packed_place: bytes, pipe: Connection, stacks: Connection) -> None:
    """Run programs until the pipe closes.  The entry point of a rank's process."""
    place: Place = cloudpickle.loads(packed_place)
    with suppress(FileNotFoundError):
        guard.enter(place.folder)
        reply_file = mail.reply_file(place.folder, place.rank)
        for reply in replies(place, pipe, stacks):
            mail.post(reply, reply_file)
            mail.say_complete(pipe)


def replies(place: Place, pipe: Connection, stacks: Connection):
    """Yield how this rank has joined the others, then the reply to each request."""
    sys.dont_write_bytecode = True  # within a second an edit would not replace it
    own_prints = prints.capture(prints.prints_file(place.folder, place.rank))
    sys.stdout = sys.stderr = own_prints
    prints.shorten_warnings()
    dump_stack_on_request(stacks)
    try:
        slate = join(place)
    except Exception as error:
        yield raised(error)
        return
    imported = Imported(set(sys.modules))
    yield Reply("returned", modules=imported.files())
    while was_called(pipe):
        prints.forget()
        request = mail.open_post(mail.request_file(place.folder))
        reply = answer(request, place, slate)
        reply.modules = imported.files()
        prints.flush(own_prints)
        yield reply


def dump_stack_on_request(stacks: Connection) -> None:
    """Write the stack of the main thread to `stacks` on SIGUSR1."""
    if hasattr(signal, "SIGUSR1"):
        faulthandler.register(signal.SIGUSR1, file=stacks.fileno(), all_threads=False)


def move(place: Place) -> dict[str, str]:
    """Go to this rank's host, if it has one; return the variables that hold there."""
    return place.hosts[place.rank].enter(place.rank) if place.hosts else {}


def own_variables(place: Place) -> dict[str, str]:
    """Return the variables that torchrun would set for this rank."""
    rank, ranks = str(place.rank), str(place.ranks)
    return {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": ranks,
        "LOCAL_WORLD_SIZE": ranks,
    }


def join(place: Place) -> Slate:
    """Enter the group of the whole world; return the slate of this fresh rank."""
    own = own_variables(place) | move(place)  # before torch starts any thread
    place.surroundings.enter(own)
    torch.set_num_threads(1)
    device = None
    if place.device == "cuda":
        device = torch.device("cuda", place.rank)
        torch.cuda.set_device(device)
        torch.set_default_device(device)
        backend = "cpu:gloo,cuda:nccl"
    else:
        backend = watched.register(place.transport)
    dist.init_process_group(
        backend,
        store=dist.FileStore(str(place.folder / "store"), place.ranks),
        rank=place.rank,
        world_size=place.ranks,
        timeout=FOREVER,
        device_id=device,
    )
    return Slate(own)


def was_called(pipe: Connection) -> bool:
    """Wait for the next call; return False when the parent has closed the pipe."""
    try:
        return pipe.recv_bytes() == mail.COMPLETE
    except EOFError:
        return False


def answer(request: Request, place: Place, slate: Slate) -> Reply:
    """Run one program on a clean slate and report."""
    notes = journal.open_journal(Journal(place.rank, request.traced))
    board = Board(place.folder, place.rank, request.number) if place.checked else None
    watched.Watched.board = board
    try:
        slate.wipe(request.surroundings)
        program, args = unpack(request.body)
    except Exception as error:
        return raised(error)
    reply = run_program(program, args, notes)
    if board is not None:
        board.close()
    if reply.kind == "returned":
        slate.leave_groups()
    del program, args
    return replace(reply, clean=slate.is_clean())


def run_program(program: Callable, args: tuple, notes: Journal) -> Reply:
    """Run a program and return its result, or its failure, with the notes on it."""
    try:
        result = program(*args)
    except BaseException as error:  # SystemExit too: a rank does not just vanish
        return raised(error)
    settle(notes)
    return replace(
        returned(result),
        events=notes.events,
        sent=notes.sent,
        received=notes.received,
        collectives=notes.collectives,
        sites=notes.sites,
    )


def returned(result: object) -> Reply:
    """Report a result."""
    try:
        return Reply("returned", result=pack(result))
    except Exception as error:
        return Reply("unpicklable", one_line(error))


def raised(error: BaseException) -> Reply:
    """Report an exception: its text, and the lines of the program that led to it."""
    if isinstance(error, Disagreement):
        return Reply("mismatched", str(error), error.odd, error.line)
    frames = [
        (f.filename, f.lineno or 0, f.name)
        for f in traceback.extract_tb(error.__traceback__)
        if is_program(f.filename)
    ]
    return Reply("raised", one_line(error), frames=frames, earlier=earlier(error))


def one_line(error: BaseException) -> str:
    """Return "ValueError: bad shape"; an exception without text is just its name."""
    if isinstance(error, SyntaxError):  # its full text quotes the file on four lines
        return f"{type(error).__name__}: {error}"
    return "".join(traceback.format_exception_only(error)).strip()


def earlier(error: BaseException) -> list[str]:
    """Return the exceptions that led to this one, the latest first."""
    lines: list[str] = []
    while len(lines) < MOST_EARLIER:
        word, before = "caused by", error.__cause__
        if before is None and not error.__suppress_context__:
            word, before = "while handling", error.__context__
        if before is None:
            break
        lines.append(f"{word} {one_line(before)}")
        error = before
    return lines
