"""The derivative of a collective is a collective.

A collective is linear: its outputs on all ranks are a matrix times its inputs on all
ranks.  Gradients go through the transposed matrix, its adjoint, which is a collective
again.  Which one depends on what the ranks' losses mean::

    summed        each rank has a loss of its own and calls backward on it;
                  what is differentiated is the sum of all: the transposed matrix
    replicated    every rank has computed the same loss from the same values, and it
                  counts once: a gradient that all ranks hold is not added up again

A pair costs forward and backward what the two collectives cost.  With the wrong
convention nothing fails, but gradients are p times too large or too small.

Sources: M. Shoeybi et al., "Megatron-LM: training multi-billion parameter language
models using model parallelism", arXiv:1909.08053 (2019), section 3 (the functions f and
g); R. J. Hewett and T. J. Grady, "A linear algebraic approach to model parallelism in
deep learning", arXiv:2006.03108 (2020).
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.distributed import ProcessGroup

from dlsys_code.primitive import exchange, ring, rooted, tree

Collective = Callable[[Tensor, ProcessGroup], Tensor]


class Pair(torch.autograd.Function):
    """A collective and its adjoint as one step of autograd."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        group: ProcessGroup,
        collective: Collective,
        adjoint: Collective,
    ) -> Tensor:
        """Run the collective; keep its adjoint for the way back."""
        ctx.group, ctx.adjoint = group, adjoint
        return collective(x, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Run the adjoint; only the tensor has a gradient."""
        return ctx.adjoint(gradient, ctx.group), None, None, None


def with_adjoint(forward: Collective, backward: Collective) -> Collective:
    """Return `forward` as a function through which gradients flow by `backward`.

    All ranks of the group must run backward through it, as they ran forward, and in the
    same order.  Second derivatives are refused with a RuntimeError.
    """

    def collective(x: Tensor, group: ProcessGroup) -> Tensor:
        return Pair.apply(x, group, forward, backward)

    return collective


def identity(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return a copy of `x`; nothing is sent."""
    return x.clone()


def reduce_or_zeros(x: Tensor, group: ProcessGroup, *, root: int) -> Tensor:
    """Return the sum of `x` on the root, zeros elsewhere: see `tree.reduce`."""
    total = tree.reduce(x, group, root=root)
    return torch.zeros_like(x) if total is None else total


def gather_or_zeros(
    x: Tensor, group: ProcessGroup, *, lengths: Sequence[int], root: int
) -> Tensor:
    """Return all rows on the root, zeros elsewhere: see `rooted.gather`."""
    rows = rooted.gather(x, lengths, group, root=root)
    return x.new_zeros(sum(lengths), *x.shape[1:]) if rows is None else rows


def scatter(
    x: Tensor, group: ProcessGroup, *, lengths: Sequence[int], root: int
) -> Tensor:
    """Return this rank's rows of the root's; `x` has the same shape on all ranks."""
    return rooted.scatter(x, lengths, group, root=root)


sum_out = with_adjoint(ring.all_reduce, identity)  # replicated
copy_in = with_adjoint(identity, ring.all_reduce)  # replicated
sum_all = with_adjoint(ring.all_reduce, ring.all_reduce)  # summed
gather_all = with_adjoint(ring.all_gather, ring.reduce_scatter)  # summed
sum_rows = with_adjoint(ring.reduce_scatter, ring.all_gather)  # summed


def from_root(root: int) -> Collective:
    """Return the pair broadcast <-> reduce; losses summed."""
    return with_adjoint(
        partial(tree.broadcast, root=root), partial(reduce_or_zeros, root=root)
    )


def to_root(root: int) -> Collective:
    """Return the pair reduce <-> broadcast; losses summed.  Zeros but on the root."""
    return with_adjoint(
        partial(reduce_or_zeros, root=root), partial(tree.broadcast, root=root)
    )


def deal(lengths: Sequence[int], root: int) -> Collective:
    """Return the pair scatter <-> gather; losses summed."""
    rows = {"lengths": lengths, "root": root}
    return with_adjoint(partial(scatter, **rows), partial(gather_or_zeros, **rows))


def collect(lengths: Sequence[int], root: int) -> Collective:
    """Return the pair gather <-> scatter; losses summed.  Zeros but on the root."""
    rows = {"lengths": lengths, "root": root}
    return with_adjoint(partial(gather_or_zeros, **rows), partial(scatter, **rows))


def swap(sends: Sequence[int], receives: Sequence[int]) -> Collective:
    """Return the pair all-to-all <-> all-to-all the other way; losses summed."""
    return with_adjoint(
        partial(exchange.pairwise, sends=sends, receives=receives),
        partial(exchange.pairwise, sends=receives, receives=sends),
    )
