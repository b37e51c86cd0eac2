"""Ways to share a sequence, raced on the same step, and torch's own on GPUs.

torch's `context_parallel` cuts the batch, its targets and their positions along the
sequence, early and late pieces to one rank, and while a `with` lasts it puts another
attention in the place of `scaled_dot_product_attention`: one that gathers all keys and
values at once, unless it is told to pass them on.  It has none for a CPU, so there our
ways race each other only::

    ring              zigzag: equal work in every step; torch's fused kernel
    ring, contiguous  the same code, the last rank has most to do
    gathered          zigzag: all keys and values at once, the same kernel
    Ulysses           all tokens of some heads, the same kernel
    torch             torch's own, on GPUs: gathered

All do the whole training step.

Sources: PyTorch documentation, `torch.distributed.tensor.experimental`; module `beside`
for the race.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor.experimental import context_parallel
from torch.nn import functional as F

from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import average_at_once
from dlsys_code.introduction.gpt import GPT
from dlsys_code.system.beside import Contender, Step
from dlsys_code.system.context_parallel import contiguous, zigzag
from dlsys_code.system.context_parallel_training import train
from dlsys_code.system.gathered_attention import gathered_attention
from dlsys_code.system.online_softmax import written_out
from dlsys_code.system.online_softmax_fused import fused
from dlsys_code.system.ring_attention import ring_attention
from dlsys_code.system.ulysses import ulysses_attention

MANY = 1_000_000  # steps, more than a race has
Train = Callable[..., Iterator[float]]


def fast_ring(q: Tensor, k: Tensor, v: Tensor, **shared: object) -> Tensor:
    """Return `ring_attention` with the fastest kernel that the device has."""
    kernel = fused if q.device.type == "cpu" else written_out
    return ring_attention(q, k, v, kernel=kernel, **shared)


OURS = {
    "ring": partial(train, attention=fast_ring, layout=zigzag),
    "ring, contiguous": partial(train, attention=fast_ring, layout=contiguous),
    "gathered": partial(train, attention=gathered_attention, layout=zigzag),
    "Ulysses": partial(train, attention=ulysses_attention, layout=contiguous),
}


def repeated_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return what `fused_attention` does, with a key-value head for every query head.

    It asks `torch.nn.functional` at every call, so that torch can put another there.
    """
    k, v = (x.repeat_interleave(q.size(1) // x.size(1), 1) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def by_torch(
    recipe: serial.Recipe, text: Tensor, cp: ProcessGroup, *, steps: int
) -> Iterator[float]:
    """Yield what `context_parallel_training.train` does, by torch's own.

    Errors: NotImplementedError on a CPU.
    """
    mesh = DeviceMesh.from_group(cp, torch.get_default_device().type)
    model = GPT(recipe.model, seed=recipe.seed, attention=repeated_attention)
    model = model.to(recipe.dtype)
    optimizer = serial.adamw(model, recipe)
    for step in range(steps):
        batch = serial.batch(recipe, text, step, range(recipe.batch))
        inputs, targets = (x.clone() for x in batch)  # they are cut in their place
        positions = torch.arange(recipe.sequence)
        buffers = [inputs, targets, positions]
        with context_parallel(mesh, buffers=buffers, buffer_seq_dims=[1, 1, 0]):
            here = partial(model, positions=positions)
            loss = serial.mean_loss(here, inputs, targets)
            value = serial.finite(loss, step)
            loss.backward()
        average_at_once(model, cp)
        optimizer.step()
        optimizer.zero_grad()
        yield value


def contender(way: Train, recipe: serial.Recipe, text: Tensor) -> Contender:
    """Return what `beside.race` takes: every step is the next one of a training run.

    In a plain group of its own: a batch of messages asks for one that torch knows.
    """

    def make(_: ProcessGroup) -> Step:
        on_cpu = torch.get_default_device().type == "cpu"
        run = way(
            recipe, text, dist.new_group(backend="gloo" if on_cpu else None), steps=MANY
        )
        return lambda: next(run)

    return make


def contenders(recipe: serial.Recipe, text: Tensor) -> dict[str, Contender]:
    """Return all ways that this machine has."""
    ways = OURS | (
        {} if torch.get_default_device().type == "cpu" else {"torch": by_torch}
    )
    return {name: contender(way, recipe, text) for name, way in ways.items()}
