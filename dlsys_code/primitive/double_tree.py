"""All-reduce over two trees at once: nobody is idle half of the time.

In a binary tree the leaves, half of the ranks, only ever send up what is theirs.  So
there are two trees, and a rank inside one is a leaf of the other; each tree has half of
the data, cut in S segments that follow one another.  With p = 8::

    first tree    0 - 4 - 2 - 1         second tree    7 - 3 - 5 - 6
                      |   - 3             (mirrored)       |   - 4
                      - 6 - 5                              - 1 - 2
                          - 7                                  - 0

Sums travel up to the root and come back down.  The order is decided beforehand: step by
step every message goes that can, the most urgent first, while no rank sends or
receives two at once.  For n bytes in segments of n / (2 S), latency alpha [s], inverse
bandwidth beta [s/byte]::

    bytes = 2 n          sent by the busiest rank, for p from 4 up
    steps                from 4 S to 5 S + 4 ceil(log2 p) in all plans of the tests
    time  = steps x (alpha + beta n / (2 S))

So it takes about as many bytes as a ring, in a number of steps that does not grow with
p but for the logarithm: good for many ranks.  The steps are counted from the plan; this
simple order takes more of them than that of the source, which colours the edges of both
trees.  For few ranks a ring is simpler and as fast.

Gradients do not flow through these functions.

Sources: P. Sanders, J. Speck and J. L. Traeff, "Two-tree algorithms for full bandwidth
broadcast, reduction and scan", Parallel Computing 35 (2009) 581-594; S. Jeaugey,
"Massively scale your deep learning training with NCCL 2.4", NVIDIA blog (2019).
"""

from functools import cache
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk
from dlsys_code.world.control import alike, collective
from dlsys_code.world.point_to_point import exchange, receive, send
from dlsys_code.world.trace import Message


class Part(NamedTuple):
    """A piece of the data, on its way up as a partial sum or down as a total."""

    segment: int
    down: bool
    tree: int


class Hop(NamedTuple):
    """One part on its way between two ranks that are neighbours in its tree."""

    part: Part
    source: int
    destination: int


@collective(alike)
def all_reduce(x: Tensor, group: ProcessGroup, *, segments: int = 4) -> Tensor:
    """Return the sum of `x` over all ranks, bit for bit the same on each of them.

    x: any shape and dtype, alike on every rank, unchanged.  Returns: same shape.
    Errors: ValueError for less than one segment.
    """
    count, r = x.numel(), group.rank()
    steps = schedule(group.size(), segments)
    k = ring_chunk(2 * segments, count)
    flat = F.pad(x.clone().reshape(count), (0, 2 * segments * k - count))
    values = flat.view(2, segments, k)  # of the first and of the second tree
    for hops in steps:
        away = next((hop for hop in hops if hop.source == r), None)
        here = next((hop for hop in hops if hop.destination == r), None)
        arrived = move(values, group, away=away, here=here)
        if here is not None:
            segment, down, tree = here.part
            known = values[tree, segment]
            values[tree, segment] = arrived if down else known + arrived
    return values.view(-1)[:count].view(x.shape)


def move(
    values: Tensor, group: ProcessGroup, *, away: Hop | None, here: Hop | None
) -> Tensor | None:
    """Carry out this rank's hops of one step; return what arrived.

    values: (2, segments, k), unchanged.  Returns: (k,), None if there is no hop here.
    """
    if away is None:
        return here and receive(values[0, 0], group, source=here.source)
    outgoing = values[away.part.tree, away.part.segment]
    if here is None:
        return send(outgoing, group, to=away.destination)
    return exchange(outgoing, group, to=away.destination, source=here.source)


@cache
def schedule(p: int, segments: int) -> tuple[tuple[Hop, ...], ...]:
    """Return the hops of every step; a rank is source and destination of at most one.

    Errors: ValueError for less than one rank or one segment.
    """
    if p < 1 or segments < 1:
        raise ValueError(f"{p} ranks, {segments} segments: there is at least 1 of each")
    waiting, steps = by_urgency(p, segments), []
    while waiting:
        awaited = {(hop.part, hop.destination) for hop in waiting}
        busy: set[tuple[str, int]] = set()
        now = []
        for hop in waiting:
            ends = {("sends", hop.source), ("receives", hop.destination)}
            if not ends & busy and not inputs(hop) & awaited:
                busy |= ends
                now.append(hop)
        waiting = [hop for hop in waiting if hop not in set(now)]
        steps.append(tuple(now))
    return tuple(steps)


def by_urgency(p: int, segments: int) -> list[Hop]:
    """Return all hops, the most urgent first.

    A total may wait for the sums of the next four segments (found by trial: the whole
    takes fewer steps when new segments are let in early).
    """
    hops = []
    for tree, parents in enumerate(two_trees(p)):
        for child, parent in parents.items():
            for segment in range(segments):
                hops.append(Hop(Part(segment, False, tree), child, parent))
                hops.append(Hop(Part(segment, True, tree), parent, child))
    return sorted(hops, key=lambda hop: (hop.part.segment + 4 * hop.part.down, hop))


def inputs(hop: Hop) -> set[tuple[Part, int]]:
    """Return what must have reached the source before: sums, and then the total."""
    return {
        (hop.part._replace(down=down), hop.source) for down in (False, hop.part.down)
    }


def two_trees(p: int) -> tuple[dict[int, int], dict[int, int]]:
    """Return the parent of every rank but the root, in the first and the second tree.

    The first has its leaves at odd ranks.  The second is its mirror image, whose leaves
    are even; for odd p it is the first shifted by one, and rank 0 is inside both.
    """
    first = {rank: parent_in_order(rank, p) for rank in range(1, p)}
    place = [(rank + 1) % p if p % 2 else p - 1 - rank for rank in range(p)]
    return first, {place[child]: place[parent] for child, parent in first.items()}


def parent_in_order(rank: int, p: int) -> int:
    """Return the parent of a rank from 1 up in a tree that is numbered in order.

    The lowest 1 of the rank's binary number moves up one place: 001 and 011 hang on
    010; where there is no such rank, the 1 goes: of 5 ranks, 100 hangs on 000.
    """
    lowest = rank & -rank
    above = rank ^ lowest
    return above | 2 * lowest if above | 2 * lowest < p else above


def all_reduce_messages(
    p: int, count: int, item: int, segments: int = 4
) -> list[Message]:
    """Return the messages of `all_reduce` for `count` elements of `item` bytes."""
    part_bytes = ring_chunk(2 * segments, count) * item
    return sorted(
        Message(step, hop.source, hop.destination, part_bytes)
        for step, hops in enumerate(schedule(p, segments))
        for hop in hops
    )
