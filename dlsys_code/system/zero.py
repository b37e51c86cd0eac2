"""Optimizer parallel: p ranks that train one model need its optimizer only once.

Ranks of data parallelism hold the same weights, gradients and optimizer states p times
over.  An all-reduce is a reduce-scatter and an all-gather; AdamW works on every element
alone, so the update fits in between, each rank's on its own shard::

    gradients -- reduce-scatter --> shard -- AdamW --> shard -- all-gather --> weights

That is ZeRO's stage 1, and the frame for stages 2 and 3 in `zero_gradients` and
`zero_weights`.

Cost for n bytes of weights: each rank sends 2 (p - 1)/p n in a step, as all-reduce
alone.  It holds what `introduction.model_states` says, and during a reduction a copy of
one unit's gradients.  Before the first step it takes the n bytes of rank 0, as
`same_model` says.  Clipping by the norm of all gradients sums one more number.  An
optimizer that looks at whole matrices cannot be cut like this.

Sources: S. Rajbhandari, J. Rasley, O. Ruwase and Y. He, "ZeRO: memory optimizations
toward training trillion parameter models", SC20; Y. Xu et al., "Automatic cross-replica
sharding of weight update in data-parallel training", arXiv:2004.13336 (2020).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import share
from dlsys_code.system.same_model import check_same_model, copy_from_first_
from dlsys_code.system.zero_clipping import clip_before_step
from dlsys_code.system.zero_flat import Flat, flats_of
from dlsys_code.world import compute, label

MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]
ReduceScatter = Callable[[Tensor, ProcessGroup], Tensor]
MeanLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]
StartGather = Callable[[Tensor, Tensor, ProcessGroup], Callable[[], object]]


def torch_reduce_scatter(rows: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of row r over all ranks.  rows: (p, k).  Returns: (k,)."""
    own = torch.empty_like(rows[0])
    dist.reduce_scatter_single(own, rows.view(-1), group=group)
    return own


def torch_start_gather(
    rows: Tensor, own: Tensor, group: ProcessGroup
) -> Callable[[], object]:
    """Begin to write the (k,) of every rank into `rows`, (p, k); return what waits."""
    work = dist.all_gather_single(rows.view(-1), own, group=group, async_op=True)
    return work.wait


class OptimizerShards:
    """ZeRO's stage 1: a rank updates its shard, and hands it to the others.

    model: built alike on every rank; it starts from the weights and buffers of rank 0.
    Its weights move to other memory, so tie and convert them first.  units: parts of it
    whose weights are reduced and gathered at once, in the order of the forward pass.
    make_optimizer: gets the shards, as a module; it must treat every element alone.
    max_norm: of the mean gradient.
    A weight that nobody used has a gradient of zero, not none: AdamW still decays it.
    Errors: ValueError as in `flats_of`, on every rank as in `check_same_model`, or when
    `max_norm` is not positive.
    """

    def __init__(
        self,
        model: nn.Module,
        units: Sequence[nn.Module],
        group: ProcessGroup,
        *,
        make_optimizer: MakeOptimizer,
        max_norm: float = inf,
        reduce_scatter: ReduceScatter = torch_reduce_scatter,
        start_gather: StartGather = torch_start_gather,
    ):
        self.model, self.group = model, group
        self.reduce_scatter, self.start_gather = reduce_scatter, start_gather
        self.flats = flats_of(model, units, group)
        check_same_model(model, [len(flat.weights) for flat in self.flats], group)
        copy_from_first_(model, group)  # into the rows, and so into the shards
        self.shards = nn.ParameterList(flat.shard for flat in self.flats)
        self.optimizer = make_optimizer(self.shards)
        if max_norm != inf:
            clip_before_step(self.optimizer, group, max_norm)
        self.attach()

    def attach(self) -> None:
        """Hook into the passes of the model; in stage 1 there is nothing to hook."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of this rank's loss, a mean over its samples."""
        loss.backward()

    def step(self) -> None:
        """Update the weights by the mean gradient of all ranks, and forget it."""
        for flat in reversed(self.flats):
            self.reduce(flat)
        self.update()

    def reduce(self, flat: Flat) -> None:
        """Turn the gradients of a unit into this rank's shard of their mean."""
        with label(flat.name):
            mean = self.reduce_scatter(flat.take_gradients(), self.group)
        mean /= self.group.size()
        flat.shard.grad = mean if flat.shard.grad is None else flat.shard.grad + mean

    def update(self) -> None:
        """Let the optimizer work on the shards, and share what it made."""
        with compute("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.publish()

    def publish(self) -> None:
        """Give every rank the updated weights of all."""
        for wait in [self.gather(flat) for flat in self.flats]:
            wait()

    def gather(self, flat: Flat) -> Callable[[], object]:
        """Begin to fill the weights of a unit from all shards; return what waits."""
        with label(flat.name):
            return self.start_gather(flat.rows, flat.shard.detach(), self.group)


def train(
    recipe: serial.Recipe,
    text: Tensor,
    group: ProcessGroup,
    *,
    steps: int,
    shards: Callable[..., OptimizerShards] = OptimizerShards,
    mean_loss: MeanLoss = serial.mean_loss,
) -> Iterator[float]:
    """Yield the loss of this rank's samples of each step; the batch's is their mean.

    As `average_gradients.train`.  shards: a stage, maybe with options of its own.
    mean_loss: of a model, inputs and targets.
    """
    mine = share(recipe, group)
    model = serial.fresh_model(recipe)
    adamw = partial(serial.adamw, recipe=recipe)
    stage = shards(model, list(model.blocks), group, make_optimizer=adamw)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, mine)
        with compute("forward"):
            loss = mean_loss(model, inputs, targets)
        value = serial.finite(loss, step)
        with compute("backward"):
            stage.backward(loss)
        stage.step()
        yield value
