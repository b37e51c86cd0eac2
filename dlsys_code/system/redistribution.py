"""Redistribution: from any layout to any other, by the cheapest moves.

Layouts are places and moves are roads, so the cheapest way is a shortest path::

    P P -> S0 P -> S0 R -> R R    2 (p q - 1)/(p q) n bytes on a mesh (p, q): an
                                  all-reduce of a p-th only, between the two halves of
                                  another.  One on each axis sends nearly twice as much

Dijkstra's search opens layouts in the order of their distance, a short way first where
two cost the same.  A tensor of D dimensions has (D + 2)^A layouts on A axes.  What is
cheap is a matter of the price: bytes, if nothing is said, or seconds on given links.

The gradient goes the way back, between the dual layouts.

Sources: E. W. Dijkstra, "A note on two problems in connexion with graphs", Numerische
Mathematik 1 (1959) 269-271; T. Rink et al., "Memory-efficient array redistribution
through portable collective communication", arXiv:2112.01075 (2021).
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from heapq import heappop, heappush
from itertools import count

from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard

from dlsys_code.communication.cost import Cost
from dlsys_code.communication.link import Link
from dlsys_code.primitive.adjoint import with_adjoint
from dlsys_code.system.layouts import Layout, dual, local_shape
from dlsys_code.system.redistribution_moves import Move, free, moves
from dlsys_code.system.redistribution_steps import TORCHS, Collectives

Price = Callable[[Move], float]


def bytes_sent(move: Move) -> float:
    """Return the bytes that a rank sends."""
    return move.cost.bytes_sent


@cache
def seconds(links: tuple[Link, ...]) -> Price:
    """Return the price in time [s], with links of one kind along each axis."""
    return lambda move: move.cost.time_s(links[move.axis])


@cache
def cheapest(
    shape: tuple[int, ...],
    source: Layout,
    target: Layout,
    mesh: tuple[int, ...],
    *,
    item: int,
    price: Price = bytes_sent,
) -> tuple[Move, ...]:
    """Return the moves from one layout of a tensor of this shape to another.

    mesh: the sizes of its axes.  item: bytes of an element.
    Errors: ValueError when the tensor cannot have one of the layouts.
    """
    for of in (source, target):
        local_shape(shape, of, mesh)
    numbers = count()  # first come, first served, where price and length are the same
    queue, done = [(0.0, 0, next(numbers), source, ())], set()
    while True:
        spent, _, _, here, way = heappop(queue)
        if here == target:
            return way
        if here not in done:
            done.add(here)
            for move in moves(here, shape, mesh, item=item):
                longer = (*way, move)
                total = (spent + price(move), len(longer), next(numbers))
                heappush(queue, (*total, move.after, longer))


def total(way: Sequence[Move]) -> Cost:
    """Return the cost of all moves, one after the other."""
    return sum((move.cost for move in way), start=free(1, 0, 0))


def whole_shape(part: Tensor, of: Layout, mesh: DeviceMesh) -> tuple[int, ...]:
    """Return the shape of the tensor of which this rank holds a part."""
    shape = list(part.shape)
    for place, p in zip(of, mesh.shape, strict=True):
        if isinstance(place, Shard):
            shape[place.dim] *= p
    return tuple(shape)


def carried(
    x: Tensor,
    mesh: DeviceMesh,
    *,
    source: Layout,
    target: Layout,
    price: Price = bytes_sent,
    calls: Collectives = TORCHS,
) -> Tensor:
    """Do as `redistribute`, without gradients."""
    shape, sizes = whole_shape(x, source, mesh), tuple(mesh.shape)
    way = cheapest(shape, source, target, sizes, item=x.element_size(), price=price)
    for move in way:
        at, to = move.before[move.axis], move.after[move.axis]
        x = move.kind.step(x, mesh.get_group(move.axis), at, to, calls)
    return x


def redistribute(
    x: Tensor,
    source: Layout,
    target: Layout,
    mesh: DeviceMesh,
    *,
    price: Price = bytes_sent,
    calls: Collectives = TORCHS,
) -> Tensor:
    """Return what this rank holds of a tensor in the target layout.

    x: what it holds in the source layout, unchanged.  price: what is to be least.
    calls: who moves the rows.
    Errors: ValueError when the tensor cannot have one of the layouts.
    """
    way = partial(carried, price=price, calls=calls)
    there = partial(way, source=source, target=target)
    back = partial(way, source=dual(target), target=dual(source))
    return with_adjoint(there, back)(x, mesh)
