"""Halving and doubling without new memory: the same messages as the readable versions.

By the same rules as in `in_place`.  Ranks beyond a power of two are folded in, as in
`fold`.

Tensors are contiguous and on the CPU.  Gradients do not flow through these functions.

Source: R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective
communication operations in MPICH", Int. J. High Performance Computing Applications 19
(2005) 49-66.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk
from dlsys_code.communication.formulas import core_distances, core_ranks
from dlsys_code.primitive.buffers import (
    AHEAD,
    chunk_of,
    cut,
    flat,
    in_order,
    room,
    wait_for,
)
from dlsys_code.primitive.fold import Core, rank_of_place
from dlsys_code.world.point_to_point import start_receive_, start_send


@torch.no_grad()
def doubling_all_reduce_into_(
    x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> None:
    """Replace `x` by the sum over all ranks, as `doubling.all_reduce`.

    x: any shape, alike on every rank.  scratch: from 2 n elements.
    Errors: ValueError as in `buffers`.
    """
    values = flat(x)
    n = len(values)
    lands = room(scratch, AHEAD * n, x).view(AHEAD, n)

    def among(core: Core) -> None:
        peers = [core.peer(distance) for distance in core_distances(core.p)]
        expected = [(lands[i % AHEAD], peer) for i, peer in enumerate(peers)]
        arrivals = in_order(expected, group)
        for peer in peers:
            sending = start_send(values, group, to=peer)
            arrived = next(arrivals)
            sending.wait()  # the values have left before they change
            values.add_(arrived)

    fold_into_(values, group, give=values, land=lands[0], join=values.add_, among=among)


@torch.no_grad()
def doubling_all_gather_into_(out: Tensor, x: Tensor, group: ProcessGroup) -> None:
    """Write the chunks of all ranks into `out`, as `doubling.all_gather`.

    x: (k,), alike on every rank, unchanged.  out: (p, k).
    Errors: ValueError where the sizes do not fit, and as in `buffers`.
    """
    p, r, values = group.size(), group.rank(), flat(out)
    rows = cut(values, p + 1, chunk_of(out, x, p))  # and none after the last
    rows[r].copy_(flat(x))

    def among(core: Core) -> None:
        distances = core_distances(p)
        peers = [core.peer(d) for d in distances]
        mine = [block_of(values, core.place, d, p) for d in distances]
        theirs = [block_of(values, core.place ^ d, d, p) for d in distances]
        arrivals = in_order(list(zip(theirs, peers, strict=True)), group, ahead=p)
        leaving = []
        for block, peer in zip(mine, peers, strict=True):
            leaving.append(start_send(block, group, to=peer))
            next(arrivals)
        wait_for(leaving)

    # The neighbour's row arrives where it belongs.
    fold_into_(
        values,
        group,
        give=rows[r],
        land=rows[r + 1],
        join=lambda row: None,
        among=among,
    )


@torch.no_grad()
def halving_all_reduce_into_(
    x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> None:
    """Replace `x` by the sum over all ranks, as `halving.all_reduce`.

    x: any shape, alike on every rank.  scratch: from n + p elements.
    Errors: ValueError as in `buffers`.
    """
    values, q = flat(x), core_ranks(group.size())
    k = ring_chunk(q, len(values))
    spare = room(scratch, q * k, x)
    land = spare[: len(values)]

    def among(core: Core) -> None:
        halve_and_double_(values, core, group, spare=spare, k=k)

    fold_into_(values, group, give=values, land=land, join=values.add_, among=among)


def halve_and_double_(
    values: Tensor, core: Core, group: ProcessGroup, *, spare: Tensor, k: int
) -> None:
    """Add up over the core: first ever smaller halves, then back again.

    values: up to q k elements.  spare: (q k,).
    """
    halves = halves_of(values, core, k)
    expected = [(spare[h.start : h.start + len(h.keep)], h.peer) for h in halves]
    arrivals = in_order(expected, group, ahead=len(halves))
    for half in halves:
        sending = start_send(half.give, group, to=half.peer)
        half.keep.add_(next(arrivals))
        sending.wait()
    halves.reverse()
    # What a rank has given away comes back finished, from the same peer.
    expected = [(half.give, half.peer) for half in halves]
    arrivals = in_order(expected, group, ahead=len(halves))
    leaving = []
    for half in halves:
        leaving.append(start_send(half.keep, group, to=half.peer))
        next(arrivals)
    wait_for(leaving)


class Half(NamedTuple):
    """What a rank does in one step of the halving; undone in the doubling.

    start: where in the spare room what arrives has its own place.
    """

    peer: int
    keep: Tensor
    give: Tensor
    start: int


def halves_of(values: Tensor, core: Core, k: int) -> list[Half]:
    """Return the steps of a rank of the core, the largest halves first.

    values: up to q k elements, of which a place keeps k or fewer in the end.
    """
    halves, first = [], 0  # first: the lowest chunk still worked on
    for distance in reversed(core_distances(core.p)):
        middle, end = first + distance, first + 2 * distance
        lower, upper = values[first * k : middle * k], values[middle * k : end * k]
        if core.place & distance:
            keep, give, first = upper, lower, middle
        else:
            keep, give = lower, upper
        halves.append(Half(core.peer(distance), keep, give, distance * k))
    return halves


def block_of(values: Tensor, place: int, size: int, p: int) -> Tensor:
    """Return the rows behind the block of `size` places around `place`.

    values: (p * k,).
    """
    k, start = len(values) // p, place - place % size
    return values[rank_of_place(start, p) * k : rank_of_place(start + size, p) * k]


def fold_into_(
    result: Tensor,
    group: ProcessGroup,
    *,
    give: Tensor,
    land: Tensor,
    join: Callable[[Tensor], object],
    among: Callable[[Core], None],
) -> None:
    """Run `among` on the core and write its result everywhere, as `fold`.

    give: what a rank outside of the core hands in.  land: where its neighbour receives
    that, to join it in.  result: what the neighbour hands out.
    """
    p, r = group.size(), group.rank()
    q = core_ranks(p)
    paired = r < 2 * (p - q)
    if paired and r % 2:
        start_send(give, group, to=r - 1).wait()  # it may lie inside the result
        start_receive_(result, group, source=r - 1).wait()
        return
    if paired:
        start_receive_(land, group, source=r + 1).wait()
        join(land)
    among(Core(q, r // 2 if paired else r - (p - q), p))
    if paired:
        start_send(result, group, to=r + 1).wait()
