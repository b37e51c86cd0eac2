"""Recursive doubling: what a rank knows about doubles in every round.

In round i a rank exchanges with the one whose number differs in bit i::

    round 0   0 <-> 1   2 <-> 3   4 <-> 5   6 <-> 7     sums of 2
    round 1   0 <-> 2   1 <-> 3   4 <-> 6   5 <-> 7     sums of 4
    round 2   0 <-> 4   1 <-> 5   2 <-> 6   3 <-> 7     sums of 8

For p a power of two, n bytes, latency alpha [s], inverse bandwidth beta [s/byte] and
time per added byte gamma [s/byte]::

    all-reduce    log2 p (alpha + beta n + gamma n)      whole values travel
    all-gather    log2 p alpha + (p - 1)/p beta n        n = all p chunks

Half the rounds of a tree, so the best for few bytes; for many bytes the whole of n in
every round is too much, and `halving` is better.  Other p are folded (see `fold`): two
rounds more, and in the all-gather all n bytes once more.

Gradients do not flow through these functions.

Source: R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective
communication operations in MPICH", Int. J. High Performance Computing Applications 19
(2005) 49-66.
"""

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.formulas import core_distances, core_ranks
from dlsys_code.primitive.fold import Core, fold, fold_messages, rank_of_place
from dlsys_code.world.control import alike, collective
from dlsys_code.world.point_to_point import exchange
from dlsys_code.world.trace import Message


@collective(alike)
def all_reduce(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of `x` over all ranks, bit for bit the same on each of them.

    x: any shape and dtype, alike on every rank, unchanged.  Returns: same shape.
    Both sides of an exchange add the same two numbers, and a + b is b + a to the bit.
    """

    def among(partial_sum: Tensor, core: Core) -> Tensor:
        for distance in core_distances(core.p):
            peer = core.peer(distance)
            partial_sum = partial_sum + exchange(
                partial_sum, group, to=peer, source=peer
            )
        return partial_sum

    return fold(x.clone(), group, join=torch.add, among=among, like=x)


@collective(alike)
def all_gather(chunk: Tensor, group: ProcessGroup) -> Tensor:
    """Give every rank the chunk of every other, stacked in rank order.

    chunk: (k,), alike on every rank, unchanged.  Returns: (p, k).
    A rank holds the rows of a block of places: first its own, in the end all of them.
    """
    p = group.size()

    def among(rows: Tensor, core: Core) -> Tensor:
        for distance in core_distances(p):
            peer, theirs = core.peer(distance), core.place ^ distance
            like = rows.new_empty(rows_of_block(theirs, distance, p), *chunk.shape)
            arrived = exchange(rows, group, to=peer, source=peer, like=like)
            both = [rows, arrived] if core.place < theirs else [arrived, rows]
            rows = torch.cat(both)
        return rows

    everything = chunk.new_empty(p, *chunk.shape)
    mine = chunk.clone().unsqueeze(0)  # (1, k)
    return fold(mine, group, join=join_rows, among=among, like=everything)


def join_rows(left: Tensor, right: Tensor) -> Tensor:
    """Return the rows of two neighbours, those of the left one first."""
    return torch.cat([left, right])


def rows_of_block(place: int, size: int, p: int) -> int:
    """Return how many ranks stand behind the block of `size` places around `place`."""
    start = place - place % size
    return rank_of_place(start + size, p) - rank_of_place(start, p)


def all_reduce_messages(p: int, count: int, item: int) -> list[Message]:
    """Return the messages of `all_reduce` for `count` elements of `item` bytes."""
    n = count * item
    hops = [(distance, [n] * core_ranks(p)) for distance in core_distances(p)]
    return fold_messages(p, hops, first=n, last=n)


def all_gather_messages(p: int, k: int, item: int) -> list[Message]:
    """Return the messages of `all_gather` of p chunks of `k` elements each."""
    row = k * item
    hops = [
        (d, [rows_of_block(place, d, p) * row for place in range(core_ranks(p))])
        for d in core_distances(p)
    ]
    return fold_messages(p, hops, first=row, last=p * row)
