"""Messages between ranks of one host through shared memory: a second transport.

`World(4, transport=shared_memory)` moves every message through a `Mailbox`, and chapter
4's algorithms run as they are.  Collectives of torch itself stay with gloo, of which
this group is a kind::

    program -> torch -> Watched -> SharedMemory: send, recv    mailboxes
                                                 all the rest  gloo, sockets

Who moves the pieces?  Not a thread: the ranks themselves, whenever they call.  A rank
that waits for one message moves the pieces of all of its messages, and sleeps when none
can move::

    isend, irecv   queue the message, move what can be moved, return
    wait           until this message is done: move pieces; if none: sleep on the bell

So two ranks that send to each other never wait in a circle, and while a rank computes
its large messages stand still; so may MPI's.  A message that fits into the free slots
is done when isend returns.

Costs: memory of (p - 1) p boxes, of which the kernel gives out what is used; a wait
that just misses spins for some microseconds before it sleeps.

Source: MPI 4.1, 3.5 "Semantics of Point-to-Point Communication" (order and progress).
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication.mailbox import (
    LINE,
    Layout,
    Mailbox,
    start,
    take,
    take_within,
)
from dlsys_code.communication.queues import Inbox, Message, Outbox, busy, move_all
from dlsys_code.communication.shared_segment import has_ended, share
from dlsys_code.introduction.units import KiB
from dlsys_code.world.handles import Followed
from dlsys_code.world.watched import COLLECTIVES, INNER_NAMES

SLOTS, SLOT_BYTES = 4, 256 * KiB  # fastest of those tried with 2 to 8 ranks
SPINS = 4  # turns without a piece before a rank sleeps
NAP_S = 0.1  # after which a sleeper looks whether its peer still lives
SHORT_NAP_S = 0.001  # if it has messages in several groups: one bell rings for one


class SharedMemory(dist.ProcessGroupGloo):
    """A group that sends through mailboxes and leaves collectives to gloo."""

    def __init__(
        self,
        store: dist.Store,
        rank: int,
        ranks: int,
        limit: timedelta,
        *,
        layout: Layout,
    ):
        super().__init__(dist.PrefixStore("gloo", store), rank, ranks, limit)
        self.limit = limit
        self.segment = share(
            layout.bytes,
            dist.PrefixStore("memory", store),
            *(rank, ranks),
            limit=limit,
            prepare=lambda address: prepare(address, layout),
        )
        self.processes = everyone(store, rank, ranks, limit)
        address, n = self.segment.address, layout.slot_bytes
        self.bell = address + rank * LINE
        self.outboxes, self.inboxes = {}, {}
        for q in {*range(ranks)} - {rank}:
            to, bell = address + layout.box(rank, q), address + q * LINE
            source = address + layout.box(q, rank)
            self.outboxes[q] = Outbox(Mailbox(to, layout), n, bell)
            self.inboxes[q] = Inbox(Mailbox(source, layout), n, bell, q)
        self.boxes = [*self.outboxes.values(), *self.inboxes.values()]

    def getBackendName(self) -> str:
        """Return the name of this kind of group."""
        return "shared memory"

    def send(self, tensors: list[Tensor], to: int, tag: int = 0) -> Message:
        """Begin to send the one tensor of a list to rank `to` of the group."""
        x = self.checked(tensors, to)
        message = Message(self, to, tag, x)
        outbox = self.outboxes[to]
        outbox.queue.append(message)
        outbox.move()
        return message

    def recv(self, tensors: list[Tensor], source: int, tag: int = 0) -> Message:
        """Begin to receive into the one tensor of a list from rank `source`."""
        x = self.checked(tensors, source)
        return self.expect(Message(self, source, tag, x), [self.inboxes[source]])

    def recv_anysource(self, tensors: list[Tensor], tag: int = 0) -> Message:
        """Begin to receive from the rank whose message comes first."""
        message = Message(self, None, tag, self.checked(tensors))
        return self.expect(message, self.inboxes.values())

    def expect(self, message: Message, inboxes: Iterable[Inbox]) -> Message:
        """Let a message come through any of these boxes."""
        message.inboxes = inboxes
        for inbox in inboxes:
            inbox.expected.append(message)
        for inbox in inboxes:
            if inbox.early:
                inbox.open_early()
            inbox.move()
        return message

    def checked(self, tensors: list[Tensor], peer: int | None = None) -> Tensor:
        """Return the tensor to move.

        Errors: ValueError for a tensor that is not contiguous or not on the CPU, more
        than one of them, or a peer that is not another rank.
        """
        if peer is not None and peer not in self.outboxes:
            raise ValueError(
                f"rank {self.rank()} of {self.size()} has no peer {peer}: "
                "a peer is another rank of the same group"
            )
        (x,) = tensors
        if not x.is_contiguous() or x.device.type != "cpu":
            raise ValueError(
                "a tensor to send or receive must be contiguous and on the CPU, not "
                f"{tuple(x.shape)} with strides {x.stride()} on {x.device}"
            )
        return x

    def move(self) -> bool:
        """Move pieces in all boxes; return whether any moved."""
        return any([box.move() for box in self.boxes])

    def finish(self, message: Message, limit: timedelta) -> None:
        """Move pieces until a message is done; sleep when none can be moved."""
        until_s, idle = time.monotonic() + limit.total_seconds(), 0
        while not message.done:
            if move_all():
                idle = 0
            elif idle < SPINS:
                idle += 1
                os.sched_yield()
            elif not self.rest(NAP_S if len(busy) == 1 else SHORT_NAP_S):
                self.complain(message, until_s)

    def rest(self, nap_s: float) -> bool:
        """Sleep until a peer rings; return False if none did for so long.

        Rings that are heard before the last look for pieces are old; one that comes
        after it ends the sleep, so none is missed.
        """
        while take(self.bell):
            pass
        return move_all() or take_within(self.bell, nap_s)

    def complain(self, message: Message, until_s: float) -> None:
        """Raise an error if a message cannot be waited for any longer."""
        peers = self.outboxes if message.peer is None else [message.peer]
        if all(has_ended(self.processes[q]) for q in peers) and not move_all():
            raise RuntimeError("shared memory: connection closed by peer, which ended")
        if time.monotonic() > until_s:
            raise RuntimeError("shared memory: Timed out waiting for a message")


class Attended(Followed):
    """A collective of gloo in a rank whose messages need moving while it waits."""

    def __init__(self, work: dist.Work, group: SharedMemory):
        super().__init__(work, None)
        self.group = group

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Move messages until gloo is done or none is under way; then wait for gloo."""
        while busy and not self.work.is_completed():
            self.group.rest(SHORT_NAP_S)
        return super().wait(timeout)

    def get_future(self) -> torch.futures.Future:
        """Return gloo's own."""
        return self.work.get_future()


def attended(method: str) -> Callable[..., dist.Work]:
    """Return a collective of gloo that does not hold up messages under way."""

    def call(self: SharedMemory, *args, **kwargs) -> dist.Work:
        work = getattr(dist.ProcessGroupGloo, method)(self, *args, **kwargs)
        return Attended(work, self) if busy else work

    return call


for _method in {INNER_NAMES.get(name, name) for name in COLLECTIVES}:
    if hasattr(dist.ProcessGroupGloo, _method):
        setattr(SharedMemory, _method, attended(_method))


def prepare(address: int, layout: Layout) -> None:
    """Make all bells and boxes of a group in fresh memory."""
    for r in range(layout.ranks):
        start(address + r * LINE, 0)
        for q in {*range(layout.ranks)} - {r}:
            Mailbox(address + layout.box(r, q), layout).start()


def everyone(store: dist.Store, rank: int, ranks: int, limit: timedelta) -> list[int]:
    """Return the process of each rank of a group."""
    keys = [f"process/{r}" for r in range(ranks)]
    store.set(keys[rank], str(os.getpid()))
    store.wait(keys, limit)
    return [int(store.get(key)) for key in keys]


def shared_memory(
    store: dist.Store,
    rank: int,
    ranks: int,
    limit: timedelta,
    *,
    slots: int = SLOTS,
    slot_bytes: int = SLOT_BYTES,
) -> SharedMemory:
    """Return a group whose messages go through mailboxes, a transport of a `World`.

    slots, slot_bytes: of each box; a message larger than a slot is cut into pieces.
    Errors: ValueError on a system without semaphores in shared memory, for no slots,
    and as in `shared_segment.share`.
    """
    if sys.platform != "linux":
        raise ValueError(f"shared memory joins ranks on Linux only, not {sys.platform}")
    layout = Layout(ranks=ranks, slots=slots, slot_bytes=slot_bytes)
    return SharedMemory(store, rank, ranks, limit, layout=layout)
