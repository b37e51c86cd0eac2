"""The first parallel step: share the batch, then average the gradients.

Every rank has the same model and its own samples.  A mean over samples has a gradient
that is a mean too, so with as many samples on each of p ranks::

    gradient of the whole batch = (gradient of rank 0 + ... + of rank p - 1) / p

Models that start alike and do this before every step stay alike.  It moves all
gradients once per step, for n bytes at least 2 (p - 1)/p n from the busiest rank, and
all of it after the last gradient is there: nothing overlaps yet.  One call for each
parameter pays for many small messages; one call for all needs a copy of them.

Where ranks have different numbers of samples, the plain mean is not the whole batch's:
weigh each rank's loss by its share first.

Source: S. Arnold, "Writing distributed applications with PyTorch", PyTorch tutorials,
where the function has its name.
"""

from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.introduction.memory import Bytes, peak_of
from dlsys_code.world import compute

AllReduce = Callable[[Tensor, ProcessGroup], Tensor]
Average = Callable[[nn.Module, ProcessGroup], None]


def torch_sum(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of `x` over all ranks, by torch's own all-reduce."""
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total


def own_gradient(parameter: Tensor) -> Tensor:
    """Return the gradient of a parameter, zeros where this rank's samples left none."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


@torch.no_grad()
def average_gradients(
    model: nn.Module, group: ProcessGroup, *, all_reduce: AllReduce = torch_sum
) -> None:
    """Replace the gradient of every parameter by its mean over the ranks.

    model: alike on every rank.  A parameter that got no gradient on some rank counts as
    zero there, so that all ranks make the same calls; frozen parameters are left out.
    all_reduce: makes the sum.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            total = all_reduce(own_gradient(parameter), group)
            parameter.grad = total / group.size()


@torch.no_grad()
def average_at_once(
    model: nn.Module, group: ProcessGroup, *, all_reduce: AllReduce = torch_sum
) -> None:
    """Do as `average_gradients`, with one call for all parameters together."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    joined = torch.cat([own_gradient(weight).flatten() for weight in learning])
    mean = all_reduce(joined, group) / group.size()
    parts = mean.split([weight.numel() for weight in learning])
    for weight, part in zip(learning, parts, strict=True):
        weight.grad = part.view_as(weight)


def samples_each(recipe: serial.Recipe, p: int) -> int:
    """Return how many samples of a step each of p ranks has.

    Who starts the ranks can ask before there are any.
    Errors: ValueError when the ranks do not divide the batch.
    """
    if recipe.batch % p:
        raise ValueError(f"{p} ranks cannot share {recipe.batch} samples evenly")
    return recipe.batch // p


def share(recipe: serial.Recipe, group: ProcessGroup) -> range:
    """Return the numbers of this rank's samples: equal shares, in rank order.

    Errors: ValueError when the ranks do not divide the batch.
    """
    each, r = samples_each(recipe, group.size()), group.rank()
    return range(r * each, (r + 1) * each)


def train(
    recipe: serial.Recipe,
    text: Tensor,
    group: ProcessGroup,
    *,
    steps: int,
    average: Average = average_gradients,
) -> Iterator[float]:
    """Yield the loss of this rank's samples of each step; the batch's is their mean.

    As `serial.train`, but for two lines: a rank reads its share, and gradients are
    averaged before the update.  average: does that.
    """
    model = serial.fresh_model(recipe)
    optimizer = serial.adamw(model, recipe)
    mine = share(recipe, group)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, mine)
        with compute("forward"):
            loss = serial.mean_loss(model, inputs, targets)
        value = serial.finite(loss, step)
        with compute("backward"):
            loss.backward()
        average(model, group)
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        yield value


def peak_bytes(
    recipe: serial.Recipe,
    text: Tensor,
    group: ProcessGroup,
    *,
    average: Average = average_gradients,
) -> Bytes:
    """Return the largest live bytes of this rank in one step, by kind."""
    model = serial.fresh_model(recipe)
    optimizer = serial.adamw(model, recipe)
    inputs, targets = serial.batch(recipe, text, 0, share(recipe, group))

    def step() -> None:
        serial.mean_loss(model, inputs, targets).backward()
        average(model, group)
        optimizer.step()
        optimizer.zero_grad()

    return peak_of(step, model, optimizer)
