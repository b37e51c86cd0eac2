"""One process hands a tensor to another; everything else is built from this.

These functions are the only place in the package that moves a message.  Ranks are
ranks of the group that is passed, from 0 to group.size() - 1.

A message of n bytes over a link with latency alpha [s] and inverse bandwidth
beta [s/byte] takes::

    time = alpha + beta n     (Hockney 1994)

Both sides must agree on shape and dtype: the receiver says what it expects.  Where they
differ, torch ends the process without a Python error; a World(n, checked=True) names
both sides instead.

Sources: torch.distributed, "Point-to-point communication"; NCCL user guide,
"Point-to-point communication"; R. W. Hockney, "The communication challenge for MPP",
Parallel Computing 20 (1994) 389-398.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup


def send(x: Tensor, group: ProcessGroup, *, to: int) -> None:
    """Hand `x` to rank `to`; return when `x` may be changed again.

    x: any shape and dtype, unchanged.
    Errors: ValueError when `to` is this rank or not in the group.
    """
    dist.send(x.contiguous(), group=group, group_dst=_peer(to, group))


def receive(like: Tensor, group: ProcessGroup, *, source: int) -> Tensor:
    """Wait for the next tensor from rank `source` and return it.

    like: a tensor of the shape and dtype to come; its values do not matter.
    Returns: same shape.
    Errors: ValueError when `source` is this rank or not in the group.
    """
    arrived = torch.empty_like(like, memory_format=torch.contiguous_format)
    dist.recv(arrived, group=group, group_src=_peer(source, group))
    return arrived


def exchange(
    x: Tensor,
    group: ProcessGroup,
    *,
    to: int,
    source: int,
    like: Tensor | None = None,
) -> Tensor:
    """Send `x` to rank `to` while receiving another tensor from rank `source`.

    x: any shape and dtype, unchanged.  like: of the shape and dtype to come, where they
    are not those of x; its values do not matter.  Returns: the shape of `like`.
    Both start together: two blocking sends face to face never end, and NCCL may hold
    up even two that do not block unless it is given them as one batch.  The receive
    comes first: gloo tells the peer that it may send, which must not queue behind x.
    Errors: ValueError when a peer is this rank or not in the group.
    """
    outgoing = x.contiguous()
    arrived = torch.empty_like(
        x if like is None else like, memory_format=torch.contiguous_format
    )
    both = [
        dist.P2POp(dist.irecv, arrived, group=group, group_peer=_peer(source, group)),
        dist.P2POp(dist.isend, outgoing, group=group, group_peer=_peer(to, group)),
    ]
    for work in dist.batch_isend_irecv(both):
        work.wait()
    return arrived


def shift(x: Tensor, group: ProcessGroup, by: int = 1) -> Tensor:
    """Send `x` to rank + by, round the circle, while receiving from rank - by.

    x: any shape and dtype, alike on every rank, unchanged.  Returns: same shape.
    Errors: ValueError when `by` is a multiple of the group's size.
    """
    p, r = group.size(), group.rank()
    return exchange(x, group, to=(r + by) % p, source=(r - by) % p)


def start_send(x: Tensor, group: ProcessGroup, *, to: int, tag: int = 0) -> dist.Work:
    """Begin to hand `x` to rank `to`; until wait() has returned, `x` must not change.

    x: contiguous, any shape and dtype.  tag: messages with another one are not mixed up
    with this; on the CPU only.  A promise for the CPU: NCCL would finish one
    call before it begins the next, so that two ranks face to face never end.
    Errors: ValueError when `to` is this rank or not in the group.
    """
    return dist.isend(x, group=group, group_dst=_peer(to, group), tag=tag)


def start_receive_(
    out: Tensor, group: ProcessGroup, *, source: int, tag: int = 0
) -> dist.Work:
    """Begin to write the next tensor from rank `source` into `out`: see `start_send`.

    out: contiguous, of the shape and dtype to come; there once wait() has returned.
    Several receives from one rank are filled in the order in which they were begun.
    Errors: ValueError when `source` is this rank or not in the group.
    """
    return dist.irecv(out, group=group, group_src=_peer(source, group), tag=tag)


def _peer(rank: int, group: ProcessGroup) -> int:
    if not 0 <= rank < group.size() or rank == group.rank():
        raise ValueError(
            f"rank {group.rank()} of {group.size()} has no peer {rank}: "
            "a peer is another rank of the same group"
        )
    return rank
