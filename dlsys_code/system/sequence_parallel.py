"""Sequence parallelism: between the branches every rank has its share of the tokens.

Under tensor parallelism all ranks do the same work on the same tokens outside the
branches, and keep all of it for the backward pass.  An all-reduce is a reduce-scatter
and an all-gather.  Move the two apart and what stands between them, residual, dropout
and norm, needs only T / p tokens on each rank::

    tensor      branch | reduce-scatter + all-gather | add, norm: T tokens     | branch
    sequence    branch | reduce-scatter | add, norm: T / p tokens | all-gather | branch

Each is the other's adjoint: on the way back, where there was an all-gather, the parts
of the gradient are added up and shared out.  The bytes on the wire stay what they were;
kept activations outside the branches fall by p, but for the tokens gathered at the
entrance of each, which stay whole.  A norm's gain has seen T / p tokens only, so its
gradient still has to be added up: (2 L + 1) h elements, once per step.

Source: V. Korthikanti et al., "Reducing activation recomputation in large transformer
models", MLSys 2023, section 4.2.2.
"""

from collections.abc import Iterator
from functools import partial

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.primitive.adjoint import Collective, with_adjoint
from dlsys_code.system import tensor_parallel
from dlsys_code.system.tensor_parallel import Ends
from dlsys_code.system.tensor_parallel_copies import held_by_several, sum_parts
from dlsys_code.system.tensor_parallel_shares import check


def gather_tokens(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the tokens of all ranks, (b, T, h).  x: (b, T / p, h)."""
    mine = x.transpose(0, 1).contiguous()  # (T / p, b, h): a rank's are in one piece
    every = mine.new_empty(group.size() * len(mine), *mine.shape[1:])
    dist.all_gather_single(every, mine, group=group)
    return every.transpose(0, 1).contiguous()


def sum_tokens(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum over all ranks of this rank's tokens, (b, T / p, h).

    x: (b, T, h).
    Errors: ValueError when the ranks do not divide T.
    """
    p, T = group.size(), x.size(1)
    if T % p:
        raise ValueError(f"{p} ranks cannot share {T} tokens evenly")
    every = x.transpose(0, 1).contiguous()  # (T, b, h)
    mine = every.new_empty(T // p, *every.shape[1:])
    dist.reduce_scatter_single(mine, every, group=group)
    return mine.transpose(0, 1).contiguous()


def sharded(
    tp: ProcessGroup,
    *,
    all_gather: Collective = gather_tokens,
    reduce_scatter: Collective = sum_tokens,
) -> Ends:
    """Return the ends for `TensorParallelGPT` between which tokens are shared.

    The gradients inside a branch are parts of one sum, as everywhere under tensor
    parallelism, and the loss is replicated: it counts once.
    """
    gather_in = with_adjoint(all_gather, reduce_scatter)
    scatter_out = with_adjoint(reduce_scatter, all_gather)
    return Ends(
        enter=partial(gather_in, group=tp), leave=partial(scatter_out, group=tp)
    )


def sum_gains(model: nn.Module, tp: ProcessGroup) -> None:
    """Add up the gradients of what is not cut: on each rank T / p tokens made them.

    Once per step, after the last micro-batch, with those of copied heads in one call.
    """
    sum_parts(held_by_several(model, tp.size()), model, tp)


def train(
    recipe: serial.Recipe, text: Tensor, tp: ProcessGroup, *, steps: int
) -> Iterator[float]:
    """Yield the loss of each step, as `tensor_parallel.train`.

    Errors: ValueError, at once, that names every size which the ranks cannot share.
    """
    check(recipe.model, tp.size(), sequence=recipe.sequence)
    return tensor_parallel.train(
        recipe, text, tp, steps=steps, ends=sharded, complete=sum_gains
    )
