"""Moves: from one layout to another along one axis of the mesh, and their costs.

Along an axis of p ranks, each of which holds n bytes before::

    move                            bytes a rank sends     rounds
    R -> S     slice                0                      0
    R -> P     one keeps it         0                      0
    S -> P     among zeros          0                      0
    S -> R     all-gather           (p - 1) n              p - 1
    P -> S     reduce-scatter       (p - 1) n / p          p - 1
    P -> R     all-reduce           2 (p - 1) n / p        2 (p - 1)
    Si -> Sj   all-to-all           (p - 1) n / p          p - 1

Where several axes cut one dimension only the last of them can move: the pieces of
another one are not neighbours in the whole.

Source: Y. Xu et al., "GSPMD: general and scalable parallelization for ML computation
graphs", arXiv:2105.04663 (2021), section 4.5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod

from torch.distributed.tensor import Shard

from dlsys_code.communication.cost import (
    Cost,
    ring_all_gather,
    ring_all_reduce,
    ring_reduce_scatter,
)
from dlsys_code.communication.formulas import pairwise_all_to_all
from dlsys_code.system import redistribution_steps as steps
from dlsys_code.system.layouts import Layout, P, R, fits, local_shape, names


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of move.  cost: of p ranks, the elements that each holds, bytes of one."""

    name: str
    cost: Callable[[int, int, int], Cost]
    step: steps.Step


def free(p: int, held: int, item: int) -> Cost:
    """Return the cost of a move for which nothing is sent."""
    return Cost(rounds=0, bytes_sent=0, serial_bytes=0)


def gathered(p: int, held: int, item: int) -> Cost:
    """Return the cost of an all-gather: p times as much is there afterwards."""
    return ring_all_gather(p, p * held, item)


KINDS = {
    "RS": Kind(name="slice", cost=free, step=steps.take_slice),
    "RP": Kind(name="one keeps it", cost=free, step=steps.keep_one),
    "SP": Kind(name="among zeros", cost=free, step=steps.among_zeros),
    "SR": Kind(name="all-gather", cost=gathered, step=steps.all_gather),
    "PS": Kind(
        name="reduce-scatter", cost=ring_reduce_scatter, step=steps.reduce_scatter
    ),
    "PR": Kind(name="all-reduce", cost=ring_all_reduce, step=steps.all_reduce),
    "SS": Kind(name="all-to-all", cost=pairwise_all_to_all, step=steps.all_to_all),
}


@dataclass(frozen=True, kw_only=True)
class Move:
    """One step: `before` and `after` differ on one axis of the mesh."""

    axis: int
    before: Layout
    after: Layout
    kind: Kind
    cost: Cost

    def __str__(self) -> str:
        move = f"{names(self.before)} -> {names(self.after)}"
        return f"{move}  {self.kind.name} on axis {self.axis}"


@cache
def moves(
    before: Layout, shape: tuple[int, ...], mesh: tuple[int, ...], *, item: int
) -> tuple[Move, ...]:
    """Return every move from a layout of a tensor of this shape.

    mesh: the sizes of its axes.  item: bytes of an element.
    """
    held = prod(local_shape(shape, before, mesh))  # elements on every rank
    found = []
    for axis, place in product(
        range(len(mesh)), (*map(Shard, range(len(shape))), R, P)
    ):
        after = (*before[:axis], place, *before[axis + 1 :])
        kind = KINDS.get(names((before[axis],))[0] + names((place,))[0])
        fit = last(before, axis) and last(after, axis) and fits(shape, after, mesh)
        if kind and fit and after != before:
            cost = kind.cost(mesh[axis], held, item)
            found.append(
                Move(axis=axis, before=before, after=after, kind=kind, cost=cost)
            )
    return tuple(found)


def last(of: Layout, axis: int) -> bool:
    """Return whether no later axis cuts the dimension that this one cuts, if any."""
    return not (isinstance(of[axis], Shard) and of[axis] in of[axis + 1 :])
