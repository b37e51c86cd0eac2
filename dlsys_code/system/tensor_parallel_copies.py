"""Weights that several ranks hold: each has made a part of the gradient.

Norms are on every rank.  Grouped-query attention may have fewer key-value heads than
there are ranks.  A head cannot be cut without cutting its scores, so it is on p / g
neighbours, which use it for query heads of their own::

    rank             0    1    2    3         p = 4, g = 2
    query heads      0,1  2,3  4,5  6,7       a = 8
    key-value head   0    0    1    1

The gradient of a copy is the part that this rank's query heads made.  Copies stay alike
only if the parts are added up before the update; their sum is the serial gradient.  A
rank lays its part into a row of n, for n different parts, zeros into the others, and
all rows of all weights are summed in one call.

Cost: p / g copies of key and value, their weights, their work and what is kept of them;
per step an all-reduce of 2 L g d h elements.  Groups of p / g ranks would send less.

Source: R. Pope et al., "Efficiently scaling transformer inference", MLSys 2023, section
3.3, for one key-value head on all ranks.
"""

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction.average_gradients import torch_sum
from dlsys_code.primitive.adjoint import Collective
from dlsys_code.system.tensor_parallel_shares import cut_dimension, different_parts


def held_by_several(model: nn.Module, p: int) -> dict[str, int]:
    """Return, of the parameters that ranks have in common, in how many parts they are.

    model: as cut for p ranks.
    """
    names = [name for name, _ in model.named_parameters()]
    parts = {name: different_parts(name, model.config, p) for name in names}
    return {name: n for name, n in parts.items() if n < p}


def sum_copies(model: nn.Module, tp: ProcessGroup) -> None:
    """Add up the gradients of key-value heads that several ranks hold, if any.

    Once per step, after the last micro-batch.
    """
    parts = held_by_several(model, tp.size())
    heads = {name: n for name, n in parts.items() if cut_dimension(name) is not None}
    sum_parts(heads, model, tp)


@torch.no_grad()
def sum_parts(
    parts: dict[str, int],
    model: nn.Module,
    tp: ProcessGroup,
    *,
    all_reduce: Collective = torch_sum,
) -> None:
    """Replace the gradients of some parameters by the sum over all who hold the part.

    parts: name -> n different ones.  What has no gradient, frozen or not used, has none
    on any rank, as all run the same graph, and is left out.
    """
    p, r = tp.size(), tp.rank()
    every = [(model.get_parameter(name), n, r * n // p) for name, n in parts.items()]
    held = [(weight, n, i) for weight, n, i in every if weight.grad is not None]
    if not held:
        return
    rows = [in_row(weight.grad, n, i) for weight, n, i in held]
    sums = all_reduce(torch.cat(rows), tp).split([len(row) for row in rows])
    for (weight, n, i), total in zip(held, sums, strict=True):
        weight.grad = total.view(n, *weight.shape)[i].clone()


def in_row(x: Tensor, n: int, i: int) -> Tensor:
    """Return n rows as long as x in line: x in row i, zeros in the others."""
    rows = x.new_zeros(n, x.numel())
    rows[i] = x.flatten()
    return rows.flatten()
