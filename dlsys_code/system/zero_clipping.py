"""Clipping by the norm of a gradient that no rank has whole.

The square of a norm is a sum, so each rank adds up its shards and all ranks their
sums::

    norm^2 = sum over ranks of (sum over the rank's shards of |g|^2)
    g      = g x min(1, max_norm / norm)

Cost: an all-reduce of one number, which the update has to wait for.

Source: R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent
neural networks", ICML 2013, algorithm 1.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup


@torch.no_grad()
def clip_(gradients: Sequence[Tensor], group: ProcessGroup, max_norm: float) -> None:
    """Shrink sharded gradients together to a norm of `max_norm` if theirs is larger.

    The norm is over the shards of all ranks, as `clip_grad_norm_` takes it of whole
    gradients.
    """
    square = torch.stack([wide(g).square().sum() for g in gradients]).sum()  # ()
    dist.all_reduce(square, group=group)
    for g in gradients:
        g.mul_((max_norm / (square.sqrt() + 1e-6)).clamp(max=1))


def wide(x: Tensor) -> Tensor:
    """Return `x` in float32, or wider: in 16 bits squares overflow, sums are rough."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def clip_before_step(
    optimizer: torch.optim.Optimizer, group: ProcessGroup, max_norm: float
) -> None:
    """Have an optimizer clip the gradients of its shards whenever it makes a step.

    Errors: ValueError when `max_norm` is not positive.
    """
    if not max_norm > 0:
        raise ValueError(f"gradients cannot be clipped to a norm of {max_norm}")

    def clip(*_: object) -> None:
        clip_([shard.grad for shard in updated(optimizer)], group, max_norm)

    optimizer.register_step_pre_hook(clip)


def updated(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return every parameter that an optimizer updates."""
    return [w for group in optimizer.param_groups for w in group["params"]]
