"""Recursive halving, then doubling: Rabenseifner's all-reduce.

Every exchange of the halving settles which half of the remaining chunks a rank goes on
adding up; the doubling collects what is finished.  Rank 0 of 8, in chunks::

    reduce-scatter   gives 4 to rank 4, 2 to rank 2, 1 to rank 1    chunk 0 is finished
    all-gather       gets  1 from rank 1, 2 from rank 2, 4 from rank 4

For p a power of two, n bytes, latency alpha [s], inverse bandwidth beta [s/byte] and
time per added byte gamma [s/byte]::

    time  = 2 log2 p alpha + 2 (p - 1)/p beta n + (p - 1)/p gamma n
    bytes = 2 n (p - 1) / p       sent by each rank, as in the ring

The bytes of the ring in the rounds of the tree.  It loses where distant ranks share
slow links, for the ring talks to neighbours only, and for other p: the fold (see
`fold`) costs two rounds and 2 n bytes more.

Gradients do not flow through these functions.

Sources: R. Rabenseifner, "Optimization of collective reduction operations", Int. Conf.
on Computational Science (Krakow, 2004), LNCS 3036, 1-9; R. Thakur, R. Rabenseifner and
W. Gropp, Int. J. High Performance Computing Applications 19 (2005) 49-66.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk
from dlsys_code.communication.formulas import core_distances, core_ranks
from dlsys_code.primitive.fold import Core, fold, fold_messages
from dlsys_code.world.control import alike, collective
from dlsys_code.world.point_to_point import exchange
from dlsys_code.world.trace import Message


@collective(alike)
def all_reduce(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of `x` over all ranks, bit for bit the same on each of them.

    x: any shape and dtype, alike on every rank, unchanged.  Returns: same shape.
    """
    count = x.numel()

    def among(flat: Tensor, core: Core) -> Tensor:
        chunks = F.pad(flat, (0, -count % core.q)).view(core.q, -1)
        finished = halve(chunks, core, group)  # (1, k) with k = ceil(count / q)
        return double(finished, core, group).view(-1)[:count]

    flat = x.clone().reshape(count)
    return fold(flat, group, join=torch.add, among=among, like=flat).view(x.shape)


def halve(chunks: Tensor, core: Core, group: ProcessGroup) -> Tensor:
    """Add up row i of the core's `chunks` at place i.

    chunks: (q, k), unchanged.  Returns: (1, k).
    """
    for distance in reversed(core_distances(core.p)):
        lower, upper = chunks.split(distance)  # (distance, k) each
        keep, give = (upper, lower) if core.place & distance else (lower, upper)
        peer = core.peer(distance)
        chunks = keep + exchange(give, group, to=peer, source=peer)
    return chunks


def double(rows: Tensor, core: Core, group: ProcessGroup) -> Tensor:
    """Give the whole core the rows of all its places, in their order.

    rows: (1, k), unchanged.  Returns: (q, k).
    """
    for distance in core_distances(core.p):
        peer = core.peer(distance)
        arrived = exchange(rows, group, to=peer, source=peer)
        both = [arrived, rows] if core.place & distance else [rows, arrived]
        rows = torch.cat(both)
    return rows


def all_reduce_messages(p: int, count: int, item: int) -> list[Message]:
    """Return the messages of `all_reduce` for `count` elements of `item` bytes."""
    q, doubling = core_ranks(p), core_distances(p)
    chunk_bytes = ring_chunk(q, count) * item
    hops = [(d, [d * chunk_bytes] * q) for d in [*reversed(doubling), *doubling]]
    return fold_messages(p, hops, first=count * item, last=count * item)
