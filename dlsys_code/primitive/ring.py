"""Ring all-reduce, built from nothing but sending and receiving.

The p ranks stand in a circle and hand one chunk at a time to the right.  Every
rank sends and receives in every step, so no link is ever idle::

    reduce-scatter   p - 1 steps   partial sums travel; rank r keeps finished chunk r
    all-gather       p - 1 steps   finished chunks travel once round the circle

For n bytes per rank, latency alpha [s], inverse bandwidth beta [s/byte] and time per
added byte gamma [s/byte]::

    time  = 2 (p - 1) (alpha + beta n / p) + (p - 1) gamma n / p
    bytes = 2 n (p - 1) / p       sent by each rank; in any other algorithm
                                  the busiest rank sends at least as much

Gradients do not flow through these functions.

Source: P. Patarasuk and X. Yuan, "Bandwidth optimal all-reduce algorithms for
clusters of workstations", J. Parallel Distrib. Comput. 69 (2009) 117-124.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk
from dlsys_code.communication.plan import in_turn
from dlsys_code.world.control import alike, collective
from dlsys_code.world.point_to_point import shift
from dlsys_code.world.trace import Message


@collective(alike)
def reduce_scatter(chunks: Tensor, group: ProcessGroup) -> Tensor:
    """Add up row r of every rank's `chunks` and leave the sum on rank r.

    chunks: (p, k), unchanged.  Returns: (k,).
    Errors: ValueError when there is not one row for each rank.
    """
    p, r = group.size(), group.rank()
    if chunks.ndim != 2 or len(chunks) != p:
        raise ValueError(f"{p} ranks need ({p}, k) chunks, not {tuple(chunks.shape)}")
    partial = chunks[(r - 1) % p].clone()
    for step in range(p - 1):
        arriving = (r - 2 - step) % p  # which row the left neighbour has been summing
        partial = shift(partial, group) + chunks[arriving]
    return partial


@collective(alike)
def all_gather(chunk: Tensor, group: ProcessGroup) -> Tensor:
    """Give every rank the chunk of every other, stacked in rank order.

    chunk: (k,), unchanged.  Returns: (p, k).
    """
    p, r = group.size(), group.rank()
    rows = {r: chunk}
    for step in range(p - 1):
        held = (r - step) % p  # the row to pass on; the one before it arrives
        rows[(held - 1) % p] = shift(rows[held], group)
    return torch.stack([rows[i] for i in range(p)])


@collective(alike)
def all_reduce(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of `x` over all ranks, bit for bit the same on each of them.

    x: any shape and dtype, alike on every rank, unchanged.  Returns: same shape.
    """
    p, count = group.size(), x.numel()
    flat = F.pad(x.reshape(count), (0, -count % p))  # (p * k,) with k = ceil(count / p)
    total = all_gather(reduce_scatter(flat.view(p, -1), group), group)  # (p, k)
    return total.view(-1)[:count].view(x.shape)


def reduce_scatter_messages(p: int, count: int, item: int) -> list[Message]:
    """Return the messages of `reduce_scatter` for p chunks of ceil(count / p) elements.

    Every rank sends one chunk to the right in every step.
    """
    chunk_bytes = ring_chunk(p, count) * item
    return [
        Message(step, r, (r + 1) % p, chunk_bytes)
        for step in range(p - 1)
        for r in range(p)
    ]


def all_gather_messages(p: int, count: int, item: int) -> list[Message]:
    """Return the messages of `all_gather` of p chunks of ceil(count / p) elements.

    Other values than in `reduce_scatter`, the same way round the circle.
    """
    return reduce_scatter_messages(p, count, item)


def all_reduce_messages(p: int, count: int, item: int) -> list[Message]:
    """Return the messages of `all_reduce` for `count` elements of `item` bytes.

    First p - 1 steps of partial sums, then p - 1 of finished chunks.
    """
    return in_turn(
        reduce_scatter_messages(p, count, item), all_gather_messages(p, count, item)
    )
