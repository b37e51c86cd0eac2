"""One step by our shards of model states and by torch's own, on the same work.

Every contender trains the model of a recipe on its rank's share of one batch::

    shares out              ours                torch's own
    optimizer               `OptimizerShards`   `ZeroRedundancyOptimizer`, and a mean of
                                                gradients by DistributedDataParallel
    gradients too           `GradientShards`    -
    weights too             `WeightShards`      `fully_shard`, block by block

A step returns this rank's loss before its update: that the losses of all contenders
are the same shows that they learn the same.  In the bytes of one step `fully_shard`
differs from `WeightShards`: it keeps what is in no block from the end of the forward
pass to the backward pass, and so gathers that once, not twice.

Sources: PyTorch documentation, `torch.distributed.optim.ZeroRedundancyOptimizer` and
`torch.distributed.fsdp.fully_shard`.
"""

from collections.abc import Callable
from functools import partial

import torch.distributed as dist
from torch import nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.average_gradients import share
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system.beside import Step
from dlsys_code.system.zero import OptimizerShards


def known(group: ProcessGroup) -> ProcessGroup:
    """Return a group that torch has a name for: a race's has none, and is replaced."""
    named = isinstance(group, ProcessGroup)
    return group if named else dist.new_group(backend="gloo")


def ours(
    group: ProcessGroup,
    *,
    recipe: Recipe,
    shards: Callable[..., OptimizerShards] = OptimizerShards,
) -> Step:
    """Return a step by one of our stages, maybe with options of its own."""
    group, model = known(group), serial.fresh_model(recipe)
    adamw = partial(serial.adamw, recipe=recipe)
    stage = shards(model, list(model.blocks), group, make_optimizer=adamw)
    data = serial.batch(recipe, tokens.documentation(), 0, share(recipe, group))

    def step() -> float:
        loss = serial.mean_loss(model, *data)
        stage.backward(loss)
        stage.step()
        return loss.item()

    return step


def by_torch(
    model: nn.Module, optimizer: object, recipe: Recipe, group: ProcessGroup
) -> Step:
    """Return a step of a model that averages gradients in its own backward pass."""
    data = serial.batch(recipe, tokens.documentation(), 0, share(recipe, group))

    def step() -> float:
        loss = serial.mean_loss(model, *data)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def zero_redundancy(group: ProcessGroup, *, recipe: Recipe) -> Step:
    """Return a step by torch's stage 1."""
    group, model = known(group), serial.fresh_model(recipe)
    model = DistributedDataParallel(model, process_group=group)
    defaults = serial.adamw(model, recipe).defaults
    options = {name: defaults[name] for name in ("lr", "betas", "weight_decay")}
    optimizer = ZeroRedundancyOptimizer(
        model.parameters(), AdamW, process_group=group, **options
    )
    return by_torch(model, optimizer, recipe, group)


def fully_sharded(group: ProcessGroup, *, recipe: Recipe) -> Step:
    """Return a step by torch's stage 3."""
    group, model = known(group), serial.fresh_model(recipe)
    mesh = DeviceMesh.from_group(group, "cpu")
    for part in [*model.blocks, model]:
        fully_shard(part, mesh=mesh)
    return by_torch(model, serial.adamw(model, recipe), recipe, group)
