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
    keys, rank = placement.keys, group.rank()
    samples = share(recipe, placement, rank)
    model = serial.fresh_model(recipe)
    first = weights_of(model, keys)
    mine = {key: first[key] for key in placement.served_by(rank)}
    shard = Shard(mine, make_optimizer)
    for step in range(steps):
        weights, gradients = pull(shard.values(), placement, group), {}
        if samples:
            write_(model, weights, keys)
            value = loss_and_backward(model, recipe, text, step, samples)
            gradients = gradients_of(model, keys)
            model.zero_grad()
        total = push(gradients, placement, group)
        with compute("optimizer"):
            shard.update_({k: g / len(placement.workers) for k, g in total.items()})
        if samples:
            yield value
