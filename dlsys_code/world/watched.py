"""A process group that notes every call, and on request checks it.

`Watched` is a real `torch.distributed.ProcessGroup`: whatever reaches it, from
`dist.*`, from functional collectives, from the C++ reducer of DistributedDataParallel
or from fully_shard, is written into the journal of this rank and handed on to an inner
group, gloo unless another transport is given::

    program -> torch -> Watched: journal (always), board (when checked) -> gloo

A note costs some microseconds a call.  Nothing is patched, so a program behaves on a
watched group as it does on a plain one.

Source: torch.distributed, "Third-party backends".
"""

from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.world import journal
from dlsys_code.world.agreement import (
    compare,
    describe_collective,
    describe_message,
    dtype_name,
    tensors_in,
)
from dlsys_code.world.board import Board
from dlsys_code.world.journal import Channel, Event

NAME = "watched"
SMALL = 64  # bytes; the values of a smaller message are kept in a trace
Transport = Callable[[dist.Store, int, int, timedelta], dist.ProcessGroup]

# method of a process group -> (op as torch.distributed calls it, argument that every
# rank fills alike).  Calls with None differ in shape between ranks by design.
COLLECTIVES: dict[str, tuple[str, int | None]] = {
    "allreduce": ("all_reduce", 0),
    "allreduce_coalesced": ("all_reduce", 0),
    "broadcast": ("broadcast", 0),
    "reduce": ("reduce", 0),
    "allgather": ("all_gather", 1),
    "allgather_coalesced": ("all_gather", 1),
    "_allgather_base": ("all_gather", 1),
    "all_gather_single": ("all_gather", 1),
    "allgather_into_tensor_coalesced": ("all_gather", 1),
    "all_gather_single_coalesced": ("all_gather", 1),
    "gather": ("gather", 1),
    "scatter": ("scatter", 0),
    "reduce_scatter": ("reduce_scatter", 0),
    "_reduce_scatter_base": ("reduce_scatter", 0),
    "reduce_scatter_single": ("reduce_scatter", 0),
    "reduce_scatter_tensor_coalesced": ("reduce_scatter", 0),
    "reduce_scatter_single_coalesced": ("reduce_scatter", 0),
    "alltoall": ("all_to_all", None),
    "alltoall_base": ("all_to_all", None),
    "all_to_all_single": ("all_to_all", None),
    "barrier": ("barrier", None),
}
# The new names of torch are not known to the inner gloo group.
INNER_NAMES = {
    "all_gather_single": "_allgather_base",
    "reduce_scatter_single": "_reduce_scatter_base",
    "all_to_all_single": "alltoall_base",
}


def gloo(store: dist.Store, rank: int, ranks: int, limit: timedelta):
    """Return torch's own group over sockets, the transport of a World by default."""
    return dist.ProcessGroupGloo(store, rank, ranks, limit)


class Watched(dist.ProcessGroup):
    """A process group whose calls are noted; the backend "watched" makes it."""

    transport: Transport = staticmethod(gloo)
    board: Board | None = None  # the board of the running call, when it is checked

    def __init__(self, options, _backend_options=None):
        rank, ranks = options.group_rank, options.group_size
        super().__init__(rank, ranks)
        self.inner = self.transport(options.store, rank, ranks, options.timeout)
        self._register_backend(
            torch.device("cpu"), dist.ProcessGroup.BackendType.GLOO, self.inner
        )
        self.members = tuple(options.global_ranks_in_group) or tuple(range(ranks))
        self.key = str(options.group_id)

    def getBackendName(self) -> str:
        """Return the name under which torch knows this kind of group."""
        return NAME

    def send(self, tensors: list[Tensor], to: int, tag: int = 0) -> dist.Work:
        """Note a message to rank `to` of this group and hand it on."""
        channel = Channel(self.key, self._global(), self.members[to], tag)
        event = self._meet("send", channel, journal.current().sent, tensors)
        return follow(self.inner.send(tensors, to, tag), event)

    def recv(self, tensors: list[Tensor], source: int, tag: int = 0) -> dist.Work:
        """Note the message expected from rank `source` and hand the call on."""
        channel = Channel(self.key, self.members[source], self._global(), tag)
        event = self._meet("recv", channel, journal.current().received, tensors)
        return follow(self.inner.recv(tensors, source, tag), event)

    def recv_anysource(self, tensors: list[Tensor], tag: int = 0) -> dist.Work:
        """Note a message whose sender is known only when it has arrived."""
        journal_now = journal.current()
        event = journal_now.begin("recv", "recv", **self._details(tensors), tag=tag)

        def arrived(work: dist.Work) -> None:
            source = self.members[work._source_rank()]
            channel = Channel(self.key, source, self._global(), tag)
            journal_now.received[channel] += 1
            if event is not None:
                event.peer = source

        return Followed(self.inner.recv_anysource(tensors, tag), event, arrived)

    def _meet(self, kind: str, channel: Channel, counts, tensors) -> Event | None:
        """Count one end of a message; on a checked World compare it with the other."""
        counts[channel] += 1
        site = journal.current().last_site[channel] = journal.call_site()
        peer = channel.destination if kind == "send" else channel.source
        if self.board is not None:
            key = "/".join(map(str, (*channel, counts[channel])))
            compare(self.board, key, describe_message(kind, tensors, site), (peer,))
        if not journal.current().traced:
            return None
        details = self._details(tensors, site) | {"peer": peer, "tag": channel.tag}
        if kind == "send" and tensors[0].nbytes <= SMALL:
            details["payload"] = tuple(tensors[0].flatten().tolist())
        return journal.current().begin(kind, kind, **details)

    def _collective(self, method: str, *args, **kwargs) -> dist.Work:
        notes, (op, alike) = journal.current(), COLLECTIVES[method]
        notes.collectives[self.key, self.members] += 1
        event = None
        if notes.traced or self.board is not None:
            site = journal.call_site()
            event = notes.begin("collective", op, **self._details(args, site))
        if self.board is not None:
            key = (
                f"{self.key}/{self.members}/{notes.collectives[self.key, self.members]}"
            )
            note = describe_collective(op, alike, args, kwargs, site, self.members)
            compare(self.board, key, note, self.members)
        work = getattr(self.inner, INNER_NAMES.get(method, method))(*args, **kwargs)
        return follow(work, event)

    def _details(self, args, site: str = "") -> dict[str, object]:
        """Return what an event says of the tensors of a call."""
        tensors = [list(tensors_in(side)) for side in args[:2]] or [[]]
        flat = [t for side in tensors for t in side]
        return {
            "bytes": max(sum(t.nbytes for t in side) for side in tensors),
            "dtype": dtype_name(flat[0]) if flat else "",
            "group": self.members,
            "label": "/".join(journal.current().labels),
            "site": site,
        }

    def _global(self) -> int:
        return self.members[self.rank()]


def _noted(method: str) -> Callable[..., dist.Work]:
    def call(self: Watched, *args, **kwargs) -> dist.Work:
        return self._collective(method, *args, **kwargs)

    call.__name__ = method
    call.__doc__ = f"Note a call of `{method}` and hand it on."
    return call


for _method in COLLECTIVES:
    setattr(Watched, _method, _noted(_method))


class Followed(dist.Work):
    """A Work that notes its end when the program waits for it."""

    def __init__(self, work: dist.Work, event: Event | None, arrived=None):
        super().__init__()
        self.work, self.event, self.arrived = work, event, arrived

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Wait for the inner work, then note the time."""
        done = self.work.wait(timeout) if timeout else self.work.wait()
        journal.end(self.event)
        if self.arrived:
            self.arrived(self.work)
            self.arrived = None
        return done

    def is_completed(self) -> bool:
        """Return whether the inner work is done."""
        return self.work.is_completed()

    def source_rank(self) -> int:
        """Return the rank from which a message of any source came."""
        return self.work._source_rank()

    _source_rank = source_rank


def follow(work: dist.Work, event: Event | None) -> dist.Work:
    """Return a Work that ends `event`: the same one where it can call back."""
    if event is None:
        return work
    try:
        work.get_future().add_done_callback(lambda _: journal.end(event))
    except RuntimeError:  # gloo's messages, reduce_scatter and barrier have no future
        return Followed(work, event)
    return work


def register() -> None:
    """Make the backend "watched" known to torch; a second call does nothing."""
    if NAME not in dist.Backend.backend_list:
        dist.Backend.register_backend(NAME, Watched, extended_api=True, devices=["cpu"])
