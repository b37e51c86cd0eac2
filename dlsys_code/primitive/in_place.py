"""The same messages without new memory: what races torch over the same sockets.

A function `x_into_` sends what its namesake in `ring`, `tree`, `exchange`, `doubling`
or `halving` sends, in the same order, and its result is the same to the bit::

    memory     results go into tensors of the caller; additions need scratch, made once
               per call or passed: 3 n elements are enough for all of them
    receives   are begun ahead in a ring, so that a sender finds them waiting and need
               not ask; in trials at p = 8, from 1 MiB, that took off 5 to 20 %
    padding    is cut off: the last chunks are shorter, maybe empty, and so are their
               messages

The rounds, bytes and sources are those of the namesakes.  Tensors are contiguous and on
the CPU (see `start_send`).  Gradients do not flow through these functions.  Those with
a fold are in `in_place_core`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk, tree_rounds
from dlsys_code.communication.formulas import core_ranks
from dlsys_code.primitive.buffers import (
    AHEAD,
    changed,
    chunk_of,
    cut,
    filled,
    flat,
    in_order,
    room,
    wait_for,
)
from dlsys_code.primitive.tree import place_in_tree
from dlsys_code.world.control import collective
from dlsys_code.world.point_to_point import start_receive_, start_send


@collective(changed)
def ring_all_reduce_into_(
    x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> None:
    """Replace `x` by the sum over all ranks, as `ring.all_reduce`.

    x: any shape, alike on every rank.  scratch: from 2 ceil(n / p) elements.
    Errors: ValueError as in `buffers`.
    """
    p, values = group.size(), flat(x)
    k = ring_chunk(p, len(values))
    chunks = cut(values, p, k)
    sum_round_(chunks, chunks, group, lands=room(scratch, AHEAD * k, x).view(AHEAD, k))
    gather_round_(chunks, group)


@collective(filled)
def ring_reduce_scatter_into_(
    out: Tensor, x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> None:
    """Write the sum of row r of every rank's `x` into `out`, as `ring.reduce_scatter`.

    x: (p, k), unchanged.  out: (k,) on every rank.  scratch: from 3 k elements.
    Errors: ValueError where the sizes do not fit, and as in `buffers`.
    """
    p, r, total = group.size(), group.rank(), flat(out)
    rows = cut(flat(x), p, chunk_of(x, out, p))
    k = len(total)
    *lands, spare = room(scratch, (AHEAD + 1) * k, x).view(AHEAD + 1, k)
    # A sum must not overwrite the one before, which is still being sent: they take
    # turns, so that the last one, of row r, is in `out`.
    sums = [(total, spare)[(i - r) % p % 2] for i in range(p)]
    if sum_round_(rows, sums, group, lands=lands) is rows[r]:
        total.copy_(rows[r])  # a single rank has nothing to add


@collective(filled)
def ring_all_gather_into_(out: Tensor, x: Tensor, group: ProcessGroup) -> None:
    """Write the chunks of all ranks into `out` in rank order, as `ring.all_gather`.

    x: (k,), alike on every rank, unchanged.  out: (p, k).
    Errors: ValueError where the sizes do not fit, and as in `buffers`.
    """
    p, r = group.size(), group.rank()
    rows = cut(flat(out), p, chunk_of(out, x, p))
    rows[r].copy_(flat(x))
    gather_round_(rows, group)


@collective(changed)
def tree_broadcast_into_(x: Tensor, group: ProcessGroup, *, root: int = 0) -> None:
    """Replace `x` by the root's, as `tree.broadcast`.

    x: any shape, alike on every rank.
    Errors: ValueError when the root is not a rank of the group, and as in `buffers`.
    """
    values, p, place = flat(x), group.size(), place_in_tree(group, root)
    leaving = []
    for step in range(tree_rounds(p)):
        reach = 2**step  # the places below it know already
        if place < reach and place + reach < p:
            leaving.append(start_send(values, group, to=(place + reach + root) % p))
        elif reach <= place < 2 * reach:
            start_receive_(values, group, source=(place - reach + root) % p).wait()
    wait_for(leaving)


@collective(changed)
def tree_reduce_into_(
    x: Tensor, group: ProcessGroup, *, root: int = 0, scratch: Tensor | None = None
) -> None:
    """Replace the root's `x` by the sum over all ranks, as `tree.reduce`.

    x: any shape, alike on every rank; elsewhere a partial sum in the end.
    scratch: from 2 n elements.
    Errors: ValueError when the root is not a rank of the group, and as in `buffers`.
    """
    values, p, place = flat(x), group.size(), place_in_tree(group, root)
    n = len(values)
    reaches = [2**step for step in reversed(range(tree_rounds(p)))]
    children = [(place + d + root) % p for d in reaches if place < d < p - place]
    lands = room(scratch, AHEAD * n, x).view(AHEAD, n)
    expected = [(lands[i % AHEAD], child) for i, child in enumerate(children)]
    for arrived in in_order(expected, group):
        values.add_(arrived)
    if place > 0:
        start_send(values, group, to=(place - core_ranks(place) + root) % p).wait()


@collective(changed)
def tree_all_reduce_into_(
    x: Tensor, group: ProcessGroup, *, scratch: Tensor | None = None
) -> None:
    """Replace `x` by the sum over all ranks, as `tree.all_reduce`.

    x: any shape, alike on every rank.  scratch: from 2 n elements.
    Errors: ValueError as in `buffers`.
    """
    tree_reduce_into_(x, group, scratch=scratch)
    tree_broadcast_into_(x, group)


@collective(filled)
def pairwise_all_to_all_into_(out: Tensor, x: Tensor, group: ProcessGroup) -> None:
    """Write the r-th piece of every rank's `x` into `out`, as `exchange.pairwise`.

    x: p equal pieces, alike on every rank, unchanged.  out: as many elements.
    All messages are under way at once; it is only in a plan that they have steps.
    Errors: ValueError where the sizes do not fit, and as in `buffers`.
    """
    p, r = group.size(), group.rank()
    if x.numel() % p or out.numel() != x.numel():
        raise ValueError(
            f"{p} ranks cannot exchange {x.numel()} for {out.numel()} elements: "
            "equal numbers, in equal shares"
        )
    k = x.numel() // p
    rows, pieces = cut(flat(out), p, k), cut(flat(x), p, k)
    to, sources = [(r + i) % p for i in range(1, p)], [(r - i) % p for i in range(1, p)]
    moving = [start_send(pieces[q], group, to=q) for q in to]
    moving += [start_receive_(rows[q], group, source=q) for q in sources]
    rows[r].copy_(pieces[r])
    wait_for(moving)


def sum_round_(
    rows: Sequence[Tensor],
    sums: Sequence[Tensor],
    group: ProcessGroup,
    *,
    lands: Sequence[Tensor],
) -> Tensor:
    """Send sums round the ring; return that of row r, the last.

    rows: what this rank adds to each.  sums: where the sum of each goes, maybe the rows
    themselves; two that follow one another differ.  lands: `AHEAD` that fit any row.
    """
    p, r = group.size(), group.rank()
    adding = [(r - 2 - step) % p for step in range(p - 1)]
    expected = [
        (lands[step % AHEAD][: len(rows[i])], (r - 1) % p)
        for step, i in enumerate(adding)
    ]
    partial = rows[(r - 1) % p]
    arrivals = in_order(expected, group)
    for i in adding:
        sending = start_send(partial, group, to=(r + 1) % p)
        partial = torch.add(next(arrivals), rows[i], out=sums[i])
        sending.wait()
    return partial


def gather_round_(rows: Sequence[Tensor], group: ProcessGroup) -> None:
    """Send row r, and what arrives, round the ring until all rows are everywhere.

    rows: row r is there, the others are written; they lie apart, so all of them may
    arrive at any time.
    """
    p, r = group.size(), group.rank()
    coming = [rows[(r - 1 - step) % p] for step in range(p - 1)]
    arrivals = in_order([(row, (r - 1) % p) for row in coming], group, ahead=p)
    leaving = []
    for step in range(p - 1):
        leaving.append(start_send(rows[(r - step) % p], group, to=(r + 1) % p))
        next(arrivals)
    wait_for(leaving)
