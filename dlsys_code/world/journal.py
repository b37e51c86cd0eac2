"""What one rank writes down about its own calls while a program runs.

Every rank has one journal at a time, `current()`.  It always counts; it keeps events
only when a call is traced.  The program adds what the process group cannot see::

    with compute("forward"):        a span of work between two messages
    with label("gradients"):        a name for the calls inside, which checks compare

Counts need no clock and cost a microsecond; they are what proves, at the end of a call,
that every message sent was also received.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

ANY = -1  # the source of a message that may come from any rank, until it has come


class Group(NamedTuple):
    """A process group, as all its members name it."""

    name: str
    members: tuple[int, ...]  # ranks of the whole world


class Channel(NamedTuple):
    """One direction between two ranks; messages on it arrive in the order sent."""

    group: str
    source: int  # ranks of the whole world, as in events
    destination: int
    tag: int


@dataclass(slots=True)
class Event:
    """One message, collective or span of compute, on one rank.

    bytes: of the message; of a collective, its larger side on this rank (the "size" of
    nccl-tests), which is not what the wire carries.  start_s, end_s: seconds; ranks of
    one host share a clock.  end_s is None if the program never waited for the end.
    wait_s: when the program began to wait for it, None if it did not.
    payload: the values of a message sent, if it has at most 64 bytes.
    """

    seq: int
    kind: str  # "send", "recv", "collective", "compute" or "control"
    op: str
    rank: int
    start_s: float
    end_s: float | None = None
    wait_s: float | None = None
    bytes: int = 0
    dtype: str = ""
    peer: int | None = None  # rank of the whole world
    tag: int = 0
    group: tuple[int, ...] = ()
    label: str = ""
    site: str = ""
    payload: tuple[float, ...] = ()


@dataclass
class Journal:
    """The notes of one rank during one call of a program."""

    rank: int = 0
    traced: bool = False
    events: list[Event] = field(default_factory=list)
    sent: Counter[Channel] = field(default_factory=Counter)
    received: Counter[Channel] = field(default_factory=Counter)
    collectives: Counter[Group] = field(default_factory=Counter)
    sites: dict[Channel | Group, str] = field(default_factory=dict)  # of the last call
    # Messages that the program has not waited for.  Gloo loses one whose handle is
    # dropped too early, so they are held here until the call is over.
    under_way: set[object] = field(default_factory=set)
    followed: list[tuple[object, Event]] = field(default_factory=list)  # futures
    labels: list[str] = field(default_factory=list)
    in_control: bool = False

    def begin(self, kind: str, op: str, **details: object) -> Event | None:
        """Open an event now; None when this call is not traced."""
        if not self.traced:
            return None
        kind = "control" if self.in_control else kind
        event = Event(
            len(self.events), kind, op, self.rank, time.perf_counter(), **details
        )
        self.events.append(event)
        return event


_journal = Journal()


def current() -> Journal:
    """Return the journal of this rank."""
    return _journal


def open_journal(journal: Journal) -> Journal:
    """Make `journal` the one that `current` returns, and return it."""
    global _journal
    _journal = journal
    return journal


def wait(event: Event | None) -> None:
    """Note that the program waits for the end of an event from now on."""
    if event is not None and event.wait_s is None:
        event.wait_s = time.perf_counter()


def end(event: Event | None) -> None:
    """Close an event now, unless it was closed before or is not kept."""
    if event is not None and event.end_s is None:
        event.end_s = time.perf_counter()


@contextmanager
def compute(name: str) -> Iterator[None]:
    """Mark the work inside as one span of compute in the trace of this rank."""
    event = _journal.begin("compute", name)
    try:
        yield
    finally:
        end(event)


@contextmanager
def control() -> Iterator[None]:
    """Mark the messages inside as talk about the program's calls, not part of them."""
    journal = _journal
    journal.in_control = True
    try:
        yield
    finally:
        journal.in_control = False


@contextmanager
def label(name: str) -> Iterator[None]:
    """Name the calls inside.  Where both ranks name a call, the names are compared.

    Without a label World(checked=True) tells like calls apart by their line; calls from
    one line of a loop, or the same call from two branches of an if, need a label.
    """
    _journal.labels.append(name)
    try:
        yield
    finally:
        _journal.labels.pop()
