"""Training with a parameter server, all ranks in step.

A step of a worker is that of `serial.train` with a pull before it and a push in place
of the update; the optimizer runs where the weights are::

    worker   pull    forward    backward    push
    server   pull                           push    optimizer

The mean over equal shares of the batch is the mean over the batch, so the losses are
those of one process, to rounding, wherever the servers are.  With p workers and n bytes
of weights a step moves 2 p n bytes, less what a rank serves itself.  Every worker waits
for the slowest.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014, section 3.5.
"""

from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from dlsys_code.architecture.keys import Keys, Values, elements, join, split
from dlsys_code.architecture.parameter_server import MakeOptimizer, Shard, pull, push
from dlsys_code.architecture.placement import Placement
from dlsys_code.architecture.worker_step import loss_and_backward
from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import own_gradient, samples_each
from dlsys_code.introduction.memory import Bytes, peak_of
from dlsys_code.world import compute


def weights_of(model: nn.Module, keys: Keys) -> Values:
    """Return a copy of all weights of a model, by key.

    Errors: ValueError when the keys are those of another number of elements.
    """
    vector = parameters_to_vector(model.parameters()).detach().clone()  # (count,)
    if elements(keys) != len(vector):
        raise ValueError(
            f"keys of {elements(keys)} elements do not fit a model of {len(vector)}"
        )
    return split(vector, keys)


def gradients_of(model: nn.Module, keys: Keys) -> Values:
    """Return a copy of the gradients of all weights of a model, by key."""
    every = [own_gradient(weight).flatten() for weight in model.parameters()]
    return split(torch.cat(every), keys)


def write_(model: nn.Module, weights: Values, keys: Keys) -> None:
    """Put weights into a model."""
    dtype = next(model.parameters()).dtype
    vector_to_parameters(join(weights, keys, dtype), model.parameters())


def share(recipe: serial.Recipe, placement: Placement, rank: int) -> range:
    """Return the numbers of a rank's samples: none unless it works, else equal shares.

    Errors: ValueError when the workers do not divide the batch.
    """
    each = samples_each(recipe, len(placement.workers))
    if rank not in placement.workers:
        return range(0)
    turn = placement.workers.index(rank)
    return range(turn * each, (turn + 1) * each)


class Member:
    """A rank that trains with a parameter server: what it holds, and its step.

    samples: the numbers of its samples, none on a rank that only serves; that has no
    model either.
    """

    def __init__(
        self,
        recipe: serial.Recipe,
        placement: Placement,
        rank: int,
        make_optimizer: MakeOptimizer,
    ):
        self.recipe, self.placement = recipe, placement
        self.samples = share(recipe, placement, rank)
        model = serial.fresh_model(recipe)
        first = weights_of(model, placement.keys)
        mine = {key: first[key] for key in placement.served_by(rank)}
        self.model = model if self.samples else None
        self.shard = Shard(mine, make_optimizer)

    def step(self, text: Tensor, step: int, group: ProcessGroup) -> float | None:
        """Take part in a step; return the loss of the samples, None without any."""
        placement, keys, loss = self.placement, self.placement.keys, None
        weights, gradients = pull(self.shard.values(), placement, group), {}
        if self.model is not None:
            write_(self.model, weights, keys)
            loss = loss_and_backward(self.model, self.recipe, text, step, self.samples)
            gradients = gradients_of(self.model, keys)
            self.model.zero_grad()
        total = push(gradients, placement, group)
        with compute("optimizer"):
            mean = {key: g / len(placement.workers) for key, g in total.items()}
            self.shard.update_(mean)
        return loss


def train(
    recipe: serial.Recipe,
    text: Tensor,
    group: ProcessGroup,
    *,
    placement: Placement,
    steps: int,
    make_optimizer: MakeOptimizer,
) -> Iterator[float]:
    """Yield the loss of this worker's samples of each step; the batch's is their mean.

    A rank that only serves yields nothing, once all steps are done.
    placement: its keys are those of the recipe's model, its dtype the recipe's.
    """
    member = Member(recipe, placement, group.rank(), make_optimizer)
    for step in range(steps):
        loss = member.step(text, step, group)
        if loss is not None:
            yield loss


def peak_bytes(
    recipe: serial.Recipe,
    text: Tensor,
    group: ProcessGroup,
    *,
    placement: Placement,
    make_optimizer: MakeOptimizer,
) -> Bytes:
    """Return the largest live bytes of this rank in one step, by kind.

    Weights are those that it serves and those that it works with.
    """
    member, steps = Member(recipe, placement, group.rank(), make_optimizer), count()
    held = [part for part in (member.model, member.shard.weights) if part is not None]
    return peak_of(
        lambda: member.step(text, next(steps), group),
        nn.ModuleList(held),
        member.shard.optimizer,
    )
