"""What every process of a run did, written where no death can erase it.

Each process notes what it has just done in one file, a line at a time.  A process that
is killed leaves its lines behind, the last of them what it died of::

    worker 1,computed,2     killed here: its gradient of step 2 was never pushed
    server 0,pushed,2       the gradients of those that live

A line is one short write at the end of the file, so that lines of processes that write
at once do not mix.  Their order is that of the writes: between two processes it proves
something only where one waited for the other.

Cost: a few microseconds for each event; nothing goes over a network.

Source: POSIX, "write": a write with O_APPEND goes to the end of the file in one piece.
"""

import os
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from dlsys_code.architecture.server_processes import WatchAll, ignore, kill_at

Train = Callable[..., list[list[float]]]


class Entry(NamedTuple):
    """What a process has just done, and in which step."""

    who: str
    event: str
    step: int


class Diary(NamedTuple):
    """A run.  losses: of each worker, none if the run was lost.  error: why it was."""

    entries: list[Entry]
    losses: list[list[float]]
    error: str = ""
    killed: Entry | None = None

    def events(self, who: str, step: int) -> set[str]:
        """Return what a process did in a step."""
        return {e.event for e in self.entries if (e.who, e.step) == (who, step)}

    def steps(self) -> list[int]:
        """Return how many losses each worker reported."""
        return [len(own) for own in self.losses]

    def steps_like(self, other: "Diary") -> int:
        """Return how many steps worker 0 goes before its loss differs, by one bit."""
        pairs = (
            zip(self.losses[0], other.losses[0], strict=False) if self.losses else ()
        )
        return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def record(train: Train, kill: Entry | None = None) -> Diary:
    """Return what happens when a process is killed as soon as it has done something.

    train: `survivors.train` with all its arguments but `watch`.
    Errors: those of `train`, but for ConnectionError, which ends the run.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "diary")
        path.touch()
        watch = partial(note, path, kill_at(*kill) if kill else ignore)
        try:
            losses, error = train(watch=watch), ""
        except ConnectionError as lost:
            losses, error = [], str(lost)
        return Diary(read(path), losses, error, kill)


def note(path: Path, then: WatchAll, who: str, event: str, step: int) -> None:
    """Write down what a process has done, then tell another watch."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(file, f"{who},{event},{step}\n".encode())
    os.close(file)
    then(who, event, step)


def read(path: Path) -> list[Entry]:
    """Return what has been written down, in the order of the writes."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    return [Entry(who, event, int(step)) for who, event, step in lines]
