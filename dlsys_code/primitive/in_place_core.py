"""Halving and doubling without new memory: the same messages as the readable versions.

By the rules of `in_place`, but for one: a receive begins right after the send of its
step.  Beginning it earlier, which helps in a ring, made small messages slower here,
where every step has another peer.  Ranks beyond a power of two are folded in, as in
`fold`.

Tensors are contiguous and on the CPU.  Gradients do not flow through these functions.

Source: R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective
communication operations in MPICH", Int. J. High Performance Computing Applications 19
(2005) 49-66.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk
from dlsys_code.communication.formulas import core_distances, core_ranks
from dlsys_code.primitive.buffers import changed, chunk_of, cut, filled, flat, room
from dlsys_code.primitive.fold import Core, place_in_fold, rank_of_place
from dlsys_code.world.control import collective
from dlsys_code.world.point_to_point import start_receive_, start_send


@collective(changed)
def doubling_all_reduce_into_(
    x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> None:
    """Replace `x` by the sum over all ranks, as `doubling.all_reduce`.

    x: any shape, alike on every rank.  scratch: from n elements.
    Errors: ValueError as in `buffers`.
    """
    values = flat(x)
    land = room(scratch, len(values), x)

    def among(core: Core) -> None:
        for distance in core_distances(core.p):
            peer = core.peer(distance)
            exchange_into_(land, values, group, peer=peer)
            values.add_(land)

    fold_into_(values, group, give=values, land=land, join=values.add_, among=among)


@collective(filled)
def doubling_all_gather_into_(out: Tensor, x: Tensor, group: ProcessGroup) -> None:
    """Write the chunks of all ranks into `out`, as `doubling.all_gather`.

    x: (k,), alike on every rank, unchanged.  out: (p, k).
    Errors: ValueError where the sizes do not fit, and as in `buffers`.
    """
    p, r, values = group.size(), group.rank(), flat(out)
    rows = cut(values, p + 1, chunk_of(out, x, p))  # and none after the last
    rows[r].copy_(flat(x))

    def among(core: Core) -> None:
        for distance in core_distances(p):
            peer = core.peer(distance)
            mine = block_of(values, core.place, distance, p)
            theirs = block_of(values, core.place ^ distance, distance, p)
            exchange_into_(theirs, mine, group, peer=peer)

    # The neighbour's row arrives where it belongs.
    fold_into_(
        values,
        group,
        give=rows[r],
        land=rows[r + 1],
        join=lambda row: None,
        among=among,
    )


@collective(changed)
def halving_all_reduce_into_(
    x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> None:
    """Replace `x` by the sum over all ranks, as `halving.all_reduce`.

    x: any shape, alike on every rank.  scratch: from n elements.
    Errors: ValueError as in `buffers`.
    """
    values, q = flat(x), core_ranks(group.size())
    k = ring_chunk(q, len(values))
    spare = room(scratch, len(values), x)

    def among(core: Core) -> None:
        halve_and_double_(values, core, group, spare=spare, k=k)

    fold_into_(values, group, give=values, land=spare, join=values.add_, among=among)


def halve_and_double_(
    values: Tensor, core: Core, group: ProcessGroup, *, spare: Tensor, k: int
) -> None:
    """Add up over the core: first ever smaller halves, then back again.

    values: up to q k elements.  spare: as many.
    """
    halves = halves_of(values, core, k)
    for peer, keep, give in halves:
        land = spare[: len(keep)]
        exchange_into_(land, give, group, peer=peer)
        keep.add_(land)
    for peer, keep, give in reversed(halves):  # what was given away comes back finished
        exchange_into_(give, keep, group, peer=peer)


def exchange_into_(out: Tensor, x: Tensor, group: ProcessGroup, *, peer: int) -> None:
    """Send `x` to a peer and write into `out` what it sends."""
    sending = start_send(x, group, to=peer)
    start_receive_(out, group, source=peer).wait()
    sending.wait()


class Half(NamedTuple):
    """What a rank does in one step of the halving; undone in the doubling."""

    peer: int
    keep: Tensor
    give: Tensor


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
        halves.append(Half(core.peer(distance), keep, give))
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
    r = group.rank()
    core, paired = place_in_fold(r, group.size())
    if paired and r % 2:
        start_send(give, group, to=r - 1).wait()  # it may lie inside the result
        start_receive_(result, group, source=r - 1).wait()
        return
    if paired:
        start_receive_(land, group, source=r + 1).wait()
        join(land)
    among(core)
    if paired:
        start_send(result, group, to=r + 1).wait()
