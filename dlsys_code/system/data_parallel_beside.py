"""The step of data parallelism beside DistributedDataParallel's, for `beside.race`.

All train the same recipe on the same parts of the batch; only who averages the
gradients, and when, differs::

    ours     `DataParallel`: hooks in Python, buckets of our own
    torch    `DistributedDataParallel`: hooks and buckets in C++
    after    `average_gradients`: a call for each parameter, once backward is over

Cost: each keeps a model and an optimizer of its own on every rank.

Source: S. Li et al., "PyTorch distributed: experiences on accelerating data parallel
training", PVLDB 13 (2020) 3005-3018.
"""

from collections.abc import Callable
from itertools import count

from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.nn.parallel import DistributedDataParallel

from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import average_gradients, share
from dlsys_code.introduction.memory import Bytes, peak_of
from dlsys_code.system.beside import Contender, Step
from dlsys_code.system.data_parallel import DataParallel
from dlsys_code.world import compute

Backward = Callable[[Tensor], object]
Wrap = Callable[[nn.Module, ProcessGroup], tuple[nn.Module, Backward]]


def marked(loss: Tensor) -> None:
    """Run torch's own backward pass, as a span in a trace."""
    with compute("backward"):
        loss.backward()


def ours(model: nn.Module, group: ProcessGroup) -> tuple[nn.Module, Backward]:
    """Return a model and its backward pass, by `DataParallel`."""
    return model, DataParallel(model, group).backward


def torchs(model: nn.Module, group: ProcessGroup) -> tuple[nn.Module, Backward]:
    """Return the same by `DistributedDataParallel`, gradients in its buckets."""
    ddp = DistributedDataParallel(
        model, process_group=group, gradient_as_bucket_view=True
    )
    return ddp, marked


def after(model: nn.Module, group: ProcessGroup) -> tuple[nn.Module, Backward]:
    """Return the same by `average_gradients`."""

    def backward(loss: Tensor) -> None:
        marked(loss)
        average_gradients(model, group)

    return model, backward


def contender(recipe: serial.Recipe, text: Tensor, wrap: Wrap) -> Contender:
    """Return who trains a recipe, one step at a time, by one way of averaging."""

    def make(group: ProcessGroup) -> Step:
        model, backward = wrap(serial.fresh_model(recipe), group)
        optimizer = serial.adamw(model, recipe)
        mine, steps = share(recipe, group), count()

        def step() -> None:
            data = serial.batch(recipe, text, next(steps), mine)
            with compute("forward"):
                loss = serial.mean_loss(model, *data)
            backward(loss)
            with compute("optimizer"):
                optimizer.step()
                optimizer.zero_grad()

        return step

    return make


def contenders(recipe: serial.Recipe, text: Tensor) -> dict[str, Contender]:
    """Return the three of them by name."""
    ways = {"ours": ours, "torch": torchs, "after": after}
    return {name: contender(recipe, text, wrap) for name, wrap in ways.items()}


def peak_bytes(
    recipe: serial.Recipe, text: Tensor, group: ProcessGroup, *, wrap: Wrap
) -> Bytes:
    """Return the largest live bytes of this rank in one step, by kind.

    Gradients are set to zero, not to none: a watch knows by them which memory is the
    buckets', which stay there from step to step.
    """
    model, backward = wrap(serial.fresh_model(recipe), group)
    optimizer = serial.adamw(model, recipe)
    data = serial.batch(recipe, text, 0, share(recipe, group))

    def step() -> None:
        backward(serial.mean_loss(model, *data))
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

    return peak_of(step, model, optimizer)
