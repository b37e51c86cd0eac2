"""Mixed precision in shards: ranks compute in 16 bits, one of them remembers in 32.

What travels and what the passes use is half; the float32 masters, like the moments,
belong to one rank each.  So mixed precision is the optimizer's affair alone, whatever
the stage::

    gradients, half --> shard, half -- widen --> AdamW on the masters' shard
    weights, half   <-- shard, half <-- round --

Cost, in bytes for each parameter: 2 for the weight, 2 for its gradient and 12 for
master and moments, shared out as `introduction.model_states` says.  Messages have half
the bytes.  For the update the shard of the gradients is widened, to 4.

Gradients are added up in half: a sum of bf16 is rounded p - 1 times on the way, each
time by up to 2^-8 of it.  `wide_reduce_scatter` rounds once, at twice the bytes.  There
is no loss scale, which float16 needs: ranks would have to agree on who overflowed.

Sources: S. Rajbhandari, J. Rasley, O. Ruwase and Y. He, "ZeRO: memory optimizations
toward training trillion parameter models", SC20, section 3.1; P. Micikevicius et al.,
"Mixed precision training", ICLR 2018.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction.precision import round_weights_, take_gradients_
from dlsys_code.system.same_model import check_same_model, copy_from_first_
from dlsys_code.system.zero import (
    MakeOptimizer,
    OptimizerShards,
    torch_reduce_scatter,
)
from dlsys_code.system.zero_flat import flats_of


def with_masters(
    shards: nn.Module, masters: nn.Module, make_optimizer: MakeOptimizer
) -> torch.optim.Optimizer:
    """Return an optimizer of the masters that learns from the shards' gradients.

    A step of it moves the gradients to the masters and leaves the masters, rounded, in
    the shards.
    """
    optimizer = make_optimizer(masters)
    optimizer.register_step_pre_hook(lambda *_: take_gradients_(masters, shards, 1))
    optimizer.register_step_post_hook(lambda *_: round_weights_(masters, shards))
    return optimizer


def mixed(
    model: nn.Module,
    units: Sequence[nn.Module],
    group: ProcessGroup,
    *,
    make_optimizer: MakeOptimizer,
    half: torch.dtype = torch.bfloat16,
    shards: Callable[..., OptimizerShards] = OptimizerShards,
) -> OptimizerShards:
    """Return a stage of ZeRO that computes in half.

    model: in the masters' dtype; it becomes half.  make_optimizer: gets the masters'
    shards.  shards: a stage, maybe with options of its own; what it reduces and gathers
    is half.
    Errors: ValueError when half is not narrower than the masters, and as in `shards`.
    """
    flats = flats_of(model, units, group)
    for flat in flats:
        if not half.is_floating_point or half.itemsize >= flat.shard.itemsize:
            raise ValueError(f"{half} is not half of the masters' {flat.shard.dtype}")
    check_same_model(model, [len(flat.weights) for flat in flats], group)
    copy_from_first_(model, group)  # in full; the stage does so in half
    masters = nn.ParameterList(flat.shard.detach().clone() for flat in flats)
    return shards(
        model.to(half),
        units,
        group,
        make_optimizer=lambda halves: with_masters(halves, masters, make_optimizer),
    )


def wide_reduce_scatter(rows: Tensor, group: ProcessGroup) -> Tensor:
    """Do as `torch_reduce_scatter`, but add up in float32 and round at the end."""
    return torch_reduce_scatter(rows.float(), group).to(rows.dtype)
