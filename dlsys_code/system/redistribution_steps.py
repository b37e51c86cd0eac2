"""One step of a redistribution, done on real ranks along one axis of a mesh.

Collectives know rows, one for each rank, and no dimensions.  So a tensor is cut along
its dimension into p rows first, and put together along a dimension afterwards::

    rows_of   (m, n)      along 1 -> (p, m, n / p)
    whole_of  (p, m, n)   along 1 -> (m, p n)

Cost: along dimension 0 rows are views; along any other one all elements are copied.

Source: T. Rink et al., "Memory-efficient array redistribution through portable
collective communication", arXiv:2112.01075 (2021).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.tensor.placement_types import Placement

from dlsys_code.introduction.average_gradients import torch_sum
from dlsys_code.primitive import exchange, ring
from dlsys_code.primitive.adjoint import Collective


@dataclass(frozen=True, kw_only=True)
class Collectives:
    """Who moves the rows: of (p, k), or of (k,) on each rank, as in chapter 4."""

    all_gather: Collective
    reduce_scatter: Collective
    all_reduce: Collective
    all_to_all: Collective


Step = Callable[[Tensor, ProcessGroup, Placement, Placement, Collectives], Tensor]


def rows_of(x: Tensor, dim: int, p: int) -> Tensor:
    """Return p equal pieces along a dimension, stacked: (p, ...)."""
    return x.unflatten(dim, (p, -1)).movedim(dim, 0).contiguous()


def whole_of(rows: Tensor, dim: int) -> Tensor:
    """Return the pieces put together along a dimension: undo `rows_of`."""
    return rows.movedim(0, dim).flatten(dim, dim + 1)


def take_slice(
    x: Tensor, group: ProcessGroup, _: Placement, to: Placement, calls: Collectives
) -> Tensor:
    """Keep this rank's piece of what all of them have."""
    return x.chunk(group.size(), to.dim)[group.rank()].clone(
        memory_format=torch.contiguous_format
    )


def keep_one(
    x: Tensor, group: ProcessGroup, _: Placement, to: Placement, calls: Collectives
) -> Tensor:
    """Keep what all have on the first rank only; zeros elsewhere, so that they add."""
    return x.clone() if group.rank() == 0 else torch.zeros_like(x)


def among_zeros(
    x: Tensor, group: ProcessGroup, at: Placement, to: Placement, calls: Collectives
) -> Tensor:
    """Put this rank's piece among zeros, where it is in the whole."""
    rows = x.new_zeros(group.size(), *x.shape)
    rows[group.rank()] = x
    return whole_of(rows, at.dim)


def all_gather(
    x: Tensor, group: ProcessGroup, at: Placement, to: Placement, calls: Collectives
) -> Tensor:
    """Put the pieces of all ranks together."""
    rows = calls.all_gather(x.flatten(), group)
    return whole_of(rows.view(-1, *x.shape), at.dim)


def reduce_scatter(
    x: Tensor, group: ProcessGroup, _: Placement, to: Placement, calls: Collectives
) -> Tensor:
    """Add up everyone's terms of this rank's piece."""
    rows = rows_of(x, to.dim, group.size())
    return calls.reduce_scatter(rows.flatten(1), group).view(rows.shape[1:])


def all_reduce(
    x: Tensor, group: ProcessGroup, _: Placement, to: Placement, calls: Collectives
) -> Tensor:
    """Add up everyone's terms."""
    return calls.all_reduce(x, group)


def all_to_all(
    x: Tensor, group: ProcessGroup, at: Placement, to: Placement, calls: Collectives
) -> Tensor:
    """Give every rank its piece along another dimension of the piece here."""
    rows = rows_of(x, to.dim, group.size())
    arrived = calls.all_to_all(rows.flatten(1), group)
    return whole_of(arrived.view(rows.shape), at.dim)


def torch_gather(chunk: Tensor, group: ProcessGroup) -> Tensor:
    """Return the chunks of all ranks, (p, k), by torch's own all-gather."""
    rows = chunk.new_empty(group.size(), *chunk.shape)
    dist.all_gather_single(rows.view(-1), chunk.contiguous(), group=group)
    return rows


def torch_scatter(rows: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of this rank's row, (k,), by torch's own reduce-scatter."""
    total = rows.new_empty(rows[0].shape)
    dist.reduce_scatter_single(total, rows.view(-1), group=group)
    return total


def torch_exchange(rows: Tensor, group: ProcessGroup) -> Tensor:
    """Return what all ranks have for this one, (p, k), by torch's own all-to-all."""
    arrived = torch.empty_like(rows)
    dist.all_to_all_single(arrived, rows, group=group)
    return arrived


TORCHS = Collectives(
    all_gather=torch_gather,
    reduce_scatter=torch_scatter,
    all_reduce=torch_sum,
    all_to_all=torch_exchange,
)
OURS = Collectives(
    all_gather=ring.all_gather,
    reduce_scatter=ring.reduce_scatter,
    all_reduce=ring.all_reduce,
    all_to_all=exchange.pairwise,
)
