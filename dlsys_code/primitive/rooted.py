"""Scatter and gather along a binomial tree; a broadcast made of a scatter.

In a scatter the root hands on half of what it holds, and so does everyone who has
received something, p = 8 chunks::

    round 0   0 -> 4: 4 chunks
    round 1   0 -> 2: 2 chunks   4 -> 6: 2 chunks
    round 2   0 -> 1   2 -> 3   4 -> 5   6 -> 7: 1 chunk

A gather runs the same messages backwards.  The broadcast scatters and then gathers on
all ranks, so that the root does not send all n bytes in every round.  For n bytes on
the root in p equal chunks, latency alpha [s] and inverse bandwidth beta [s/byte]::

    scatter, gather   ceil(log2 p) alpha + (p - 1)/p beta n        both the fewest
    broadcast         (ceil(log2 p) + p - 1) alpha + 2 (p - 1)/p beta n

The broadcast loses to the tree where latency counts: few bytes or many ranks.
Chunks of a scatter or gather may differ in length; all ranks know all lengths.

Gradients do not flow through these functions.

Sources: E. Chan, M. Heimlich, A. Purkayastha and R. van de Geijn, "Collective
communication: theory, practice, and experience", Concurrency and Computation: Practice
and Experience 19 (2007) 1749-1783; M. Barnett et al.,
"Interprocessor collective communication library (InterCom)", Scalable High-Performance
Computing Conference (Knoxville, 1994) 357-364.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk, tree_rounds
from dlsys_code.communication.plan import in_turn
from dlsys_code.primitive import ring
from dlsys_code.primitive.tree import place_in_tree
from dlsys_code.world.control import alike, collective, rows
from dlsys_code.world.point_to_point import receive, send
from dlsys_code.world.trace import Message


@collective(rows)
def scatter(
    x: Tensor, lengths: Sequence[int], group: ProcessGroup, *, root: int = 0
) -> Tensor:
    """Return on rank r the rows that the root has for it, lengths[r] of them.

    x: (sum(lengths), ...), in rank order, unchanged; elsewhere than on the root only
    the dtype and the shape of a row matter.  Returns: (lengths[r], ...).
    Errors: ValueError for a root that is no rank of the group, or lengths that do not
    fit the ranks or the root's x.
    """
    p, place = group.size(), place_in_tree(group, root)
    sizes = by_place(lengths, p, root)
    held = x
    if place == 0:
        check_rows(x, sum(lengths))
        held = turn(x, lengths, root)
    for reach in reversed(reaches(p)):
        if place % (2 * reach) == 0 and place + reach < p:
            mine = sum(sizes[place : place + reach])
            send(held[mine:], group, to=(place + reach + root) % p)
            held = held[:mine]
        elif place % (2 * reach) == reach:
            coming = sum(sizes[place : place + reach])
            like = x.new_empty(coming, *x.shape[1:])
            held = receive(like, group, source=(place - reach + root) % p)
    return held


@collective(rows)
def gather(
    x: Tensor, lengths: Sequence[int], group: ProcessGroup, *, root: int = 0
) -> Tensor | None:
    """Return on the root the rows of all ranks in rank order, None elsewhere.

    x: (lengths[r], ...) on rank r, unchanged.  Returns: (sum(lengths), ...).
    Errors: ValueError for a root that is no rank of the group, or lengths that do not
    fit the ranks or x.
    """
    p, place = group.size(), place_in_tree(group, root)
    sizes = by_place(lengths, p, root)
    check_rows(x, sizes[place])
    held = x
    for reach in reaches(p):
        if place % (2 * reach) == 0 and place + reach < p:
            coming = sum(sizes[place + reach : place + 2 * reach])
            like = x.new_empty(coming, *x.shape[1:])
            arrived = receive(like, group, source=(place + reach + root) % p)
            held = torch.cat([held, arrived])
        elif place % (2 * reach) == reach:
            send(held, group, to=(place - reach + root) % p)
    return turn(held, sizes, -root % p) if place == 0 else None


@collective(alike)
def broadcast(x: Tensor, group: ProcessGroup, *, root: int = 0) -> Tensor:
    """Return the root's `x` on every rank, by a scatter and a ring all-gather.

    x: any shape and dtype, alike on every rank, unchanged; its values count on the
    root only.  Returns: same shape.
    Errors: ValueError when the root is not a rank of the group.
    """
    p, count = group.size(), x.numel()
    flat = F.pad(x.reshape(count), (0, -count % p))  # (p * k,) with k = ceil(count / p)
    chunk = scatter(flat, [ring_chunk(p, count)] * p, group, root=root)  # (k,)
    return ring.all_gather(chunk, group).view(-1)[:count].view(x.shape)


def reaches(p: int) -> list[int]:
    """Return [1, 2, 4, ...] below p: how far the messages of a gather go, by round."""
    return [2**step for step in range(tree_rounds(p))]


def by_place(lengths: Sequence[int], p: int, root: int) -> list[int]:
    """Return the lengths in the order of the places, the root's first.

    Errors: ValueError when there is not one length, from 0 up, for each rank.
    """
    if len(lengths) != p or min(lengths) < 0:
        raise ValueError(f"{p} ranks need {p} lengths from 0 up, not {list(lengths)}")
    return [*lengths[root:], *lengths[:root]]


def check_rows(x: Tensor, rows: int) -> None:
    """Errors: ValueError when `x` does not have that many rows."""
    if x.ndim == 0 or len(x) != rows:
        raise ValueError(f"the lengths ask for {rows} rows, not {tuple(x.shape)}")


def turn(x: Tensor, lengths: Sequence[int], by: int) -> Tensor:
    """Return a copy of `x` whose first `by` pieces of the given lengths stand last."""
    pieces = x.split(list(lengths))
    return torch.cat([*pieces[by:], *pieces[:by]])


def scatter_messages(lengths: Sequence[int], item: int, root: int = 0) -> list[Message]:
    """Return the messages of `scatter`; lengths in elements of `item` bytes."""
    p = len(lengths)
    sizes = by_place(lengths, p, root)
    return [
        Message(step, (place + root) % p, (place + reach + root) % p, n * item)
        for step, reach in enumerate(reversed(reaches(p)))
        for place in range(0, p - reach, 2 * reach)
        for n in [sum(sizes[place + reach : place + 2 * reach])]
    ]


def gather_messages(lengths: Sequence[int], item: int, root: int = 0) -> list[Message]:
    """Return the messages of `gather`: those of `scatter`, backwards."""
    last = tree_rounds(len(lengths)) - 1
    return [
        Message(last - step, destination, source, n)
        for step, source, destination, n in scatter_messages(lengths, item, root)
    ]


def broadcast_messages(p: int, count: int, item: int, root: int = 0) -> list[Message]:
    """Return the messages of `broadcast` for `count` elements of `item` bytes."""
    return in_turn(
        scatter_messages([ring_chunk(p, count)] * p, item, root),
        ring.all_gather_messages(p, count, item),
    )
