"""A process group that notes every call, and on request checks it.

`Watched` is a real `torch.distributed.ProcessGroup`: whatever reaches it, from
`dist.*`, from functional collectives, from the C++ reducer of DistributedDataParallel
or from fully_shard, is written into the journal of this rank and handed on to an inner
group, gloo unless another transport is given::

    program -> torch -> Watched: journal (always), board (when checked) -> gloo

A note costs some microseconds a call.  Nothing is patched, so a program behaves on a
watched group as it does on a plain one; only a message whose handle the program drops
is not lost, as it may be with gloo.

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
from dlsys_code.world.handles import MessageEnd, follow
from dlsys_code.world.journal import ANY, Channel, Event, Group
from dlsys_code.world.sources import call_site

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
# Nor are these, which take lists of tensors; it makes one call for each pair.
PIECEWISE = {
    "allgather_into_tensor_coalesced": "_allgather_base",
    "all_gather_single_coalesced": "_allgather_base",
    "reduce_scatter_tensor_coalesced": "_reduce_scatter_base",
    "reduce_scatter_single_coalesced": "_reduce_scatter_base",
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
        self.group = Group(str(options.group_id), self.members)
        self.me = self.members[rank]

    def getBackendName(self) -> str:
        """Return the name under which torch knows this kind of group."""
        return NAME

    def send(self, tensors: list[Tensor], to: int, tag: int = 0) -> dist.Work:
        """Note a message to rank `to` of this group and hand it on."""
        channel = Channel(self.group.name, self.me, self.members[to], tag)
        event = self._meet("send", channel, tensors)
        return MessageEnd(self.inner.send(tensors, to, tag), event)

    def recv(self, tensors: list[Tensor], source: int, tag: int = 0) -> dist.Work:
        """Note the message expected from rank `source` and hand the call on."""
        channel = Channel(self.group.name, self.members[source], self.me, tag)
        event = self._meet("recv", channel, tensors)
        return MessageEnd(self.inner.recv(tensors, source, tag), event)

    def recv_anysource(self, tensors: list[Tensor], tag: int = 0) -> dist.Work:
        """Note a message whose sender is known only when it has arrived."""
        notes, expected = journal.current(), Channel(self.group.name, ANY, self.me, tag)
        event = self._meet("recv", expected, tensors)

        def arrived(work: dist.Work) -> None:
            channel = expected._replace(source=self.members[work._source_rank()])
            notes.received[expected] -= 1
            notes.received[channel] += 1
            notes.sites[channel] = notes.sites[expected]
            if event is not None:
                event.peer = channel.source

        return MessageEnd(self.inner.recv_anysource(tensors, tag), event, arrived)

    def _meet(self, kind: str, channel: Channel, tensors: list[Tensor]) -> Event | None:
        """Count one end of a message; on a checked World compare it with the other."""
        notes = journal.current()
        counts = notes.sent if kind == "send" else notes.received
        counts[channel] += 1
        site = notes.sites[channel] = call_site()
        peer = channel.destination if kind == "send" else channel.source
        if self.board is not None and peer != ANY:
            key = "/".join(map(str, (*channel, counts[channel])))
            compare(self.board, key, describe_message(kind, tensors, site), (peer,))
        if not notes.traced:
            return None
        event = notes.begin(
            kind, kind, **self._details(tensors, site), peer=peer, tag=channel.tag
        )
        if kind == "send" and tensors[0].nbytes <= SMALL:
            event.payload = tuple(tensors[0].flatten().tolist())
        return event

    def _collective(self, method: str, *args, **kwargs) -> dist.Work:
        notes, (op, alike) = journal.current(), COLLECTIVES[method]
        notes.collectives[self.group] += 1
        site = notes.sites[self.group] = call_site()
        event = None
        if notes.traced:
            event = notes.begin("collective", op, **self._details(args, site))
        if self.board is not None:
            key = f"{self.group}/{notes.collectives[self.group]}"
            every = (*args, *kwargs.values())
            note = describe_collective(op, alike, every, self.members, site)
            compare(self.board, key, note, self.members)
        work = self._hand_on(method, *args, **kwargs)
        return work if event is None else follow(work, event)

    def _hand_on(self, method: str, *args, **kwargs) -> dist.Work:
        """Make a call on the inner group."""
        if method not in PIECEWISE:
            return getattr(self.inner, INNER_NAMES.get(method, method))(*args, **kwargs)
        call, (outputs, inputs, *options) = getattr(self.inner, PIECEWISE[method]), args
        pairs = zip(outputs, inputs, strict=True)
        works = [call(out, x, *options, **kwargs) for out, x in pairs]
        for work in works[:-1]:
            work.wait()
        return works[-1]

    def _details(self, args, site: str) -> dict[str, object]:
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


def _noted(method: str) -> Callable[..., dist.Work]:
    def call(self: Watched, *args, **kwargs) -> dist.Work:
        return self._collective(method, *args, **kwargs)

    call.__name__ = method
    call.__doc__ = f"Note a call of `{method}` and hand it on."
    return call


for _method in COLLECTIVES:
    setattr(Watched, _method, _noted(_method))


def register(transport: Transport) -> str:
    """Make the backend "watched" known to torch; return its name.

    transport: makes the group that carries the messages of every watched group.
    """
    Watched.transport = staticmethod(transport)
    if NAME not in dist.Backend.backend_list:
        dist.Backend.register_backend(NAME, Watched, extended_api=True, devices=["cpu"])
    return NAME
