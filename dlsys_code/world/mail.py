"""What a World and its ranks send each other.

A request or a reply may be a gigabyte, and the other side may have stopped reading.  So
both travel as files in the pool's folder, and the pipe only carries one byte that says
"complete": nobody ever waits inside a write.
"""

import pickle
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from dlsys_code.world.host import Host
from dlsys_code.world.journal import Channel, Event, Group
from dlsys_code.world.slate import Surroundings
from dlsys_code.world.sources import Frame
from dlsys_code.world.watched import Transport

COMPLETE = b"."


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which rank of a pool this is, and how it joins the others."""

    rank: int
    ranks: int
    device: str  # "cpu" or "cuda"
    checked: bool
    folder: Path  # of the pool: store, requests, replies, prints, notes
    transport: Transport
    surroundings: Surroundings
    hosts: Sequence[Host] = ()  # of each rank; empty: all live where the World does


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
    frames: list[Frame] = field(default_factory=list)
    earlier: list[str] = field(default_factory=list)  # the exceptions that led to it
    result: bytes = b""
    events: list[Event] = field(default_factory=list)
    sent: Counter[Channel] = field(default_factory=Counter)
    received: Counter[Channel] = field(default_factory=Counter)
    collectives: Counter[Group] = field(default_factory=Counter)
    sites: dict[Channel | Group, str] = field(default_factory=dict)
    modules: dict[str, int] = field(default_factory=dict)  # file -> time of change
    clean: bool = True


def post(message: object, file: Path) -> None:
    """Write a request or a reply; its reader is told through the pipe."""
    with file.open("wb") as out:
        pickle.dump(message, out, protocol=pickle.HIGHEST_PROTOCOL)


def open_post(file: Path) -> object:
    """Return the message in a file."""
    with file.open("rb") as posted:
        return pickle.load(posted)


def say_complete(pipe: Connection) -> None:
    """Tell the other side that its message lies ready."""
    pipe.send_bytes(COMPLETE)


def reply_file(folder: Path, rank: int) -> Path:
    """Return where a rank leaves its reply."""
    return folder / f"reply-{rank}"


def request_file(folder: Path) -> Path:
    """Return where the World leaves the call that all ranks are to make."""
    return folder / "request"
