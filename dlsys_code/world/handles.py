"""What a program holds while a call is under way, and how its end is noted.

A call of a process group returns a `torch.distributed.Work` at once; the program waits
for it, at once or later.  Its Work is wrapped, to note when the program begins to wait.
Where torch can call back, the end is noted then, and with messages when the wait ends.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import torch
import torch.distributed as dist

from dlsys_code.world import journal
from dlsys_code.world.journal import Event, Journal

LATEST_S = 1.0  # a thread that is about to call back needs some microseconds


class Followed(dist.Work):
    """A Work that notes its end when the program waits for it."""

    def __init__(self, work: dist.Work, event: Event | None):
        super().__init__()
        self.work, self.event = work, event

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Wait for the inner work; note when that began and ended."""
        journal.wait(self.event)
        done = self.work.wait(timeout) if timeout else self.work.wait()
        journal.end(self.event)
        return done

    def is_completed(self) -> bool:
        """Return whether the inner work is done."""
        return self.work.is_completed()

    def get_future(self) -> torch.futures.Future:
        """Return the future of the inner work."""
        return self.work.get_future()


class MessageEnd(Followed):
    """One end of a message under way.  arrived: called when it has come."""

    def __init__(
        self,
        work: dist.Work,
        event: Event | None,
        arrived: Callable[[dist.Work], None] | None = None,
    ):
        super().__init__(work, event)
        self.arrived, self.under_way = arrived, journal.current().under_way
        self.under_way.add(self)

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Wait for the end, then note who sent the message."""
        done = super().wait(timeout)
        if self in self.under_way:
            self.under_way.remove(self)
            if self.arrived:
                self.arrived(self.work)
        return done

    def source_rank(self) -> int:
        """Return the rank from which a message of any source came."""
        return self.work._source_rank()

    _source_rank = source_rank


def follow(work: dist.Work, event: Event) -> dist.Work:
    """Return a Work that ends `event`, when torch calls back where it can."""
    with suppress(RuntimeError):  # gloo's reduce_scatter and barrier have no future
        future = work.get_future()
        future.add_done_callback(lambda _: journal.end(event))
        journal.current().followed.append((future, event))
    return Followed(work, event)


def settle(notes: Journal) -> None:
    """Return when the ends of all calls that are done have been noted.

    A future wakes those who wait for it, the reducer of DistributedDataParallel among
    them, and calls back only then: a program may be over a moment before its last note.
    """
    until_s = time.monotonic() + LATEST_S
    for future, event in notes.followed:
        while event.end_s is None and future.done() and time.monotonic() < until_s:
            time.sleep(0)  # lets the thread of torch run that is about to call back
    notes.followed.clear()
