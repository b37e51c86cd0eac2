"""Every scheme of this chapter in one form: what a rank holds, and its three moves.

A step has a forward pass, a backward pass and an update.  A scheme says what each of
them is on one rank, and nothing else; so one loop trains them all, and one watch counts
what they hold::

    scheme             split among the ranks     between the ranks
    data               samples                   gradients, during backward
    optimizer (ZeRO)   samples, states           gradients, and weights where needed
    tensor             matrices                  sums, inside of every layer
    sequence           matrices, tokens          the same bytes, cut in two
    context            tokens                    keys and values, and gradients

Each scheme's own module says what it costs and who invented it.

Source: this book.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import average_at_once, share
from dlsys_code.introduction.ledger import LAST
from dlsys_code.introduction.memory import Bytes, watch
from dlsys_code.introduction.serial import Recipe
from dlsys_code.primitive.contenders import COLLECTIVES
from dlsys_code.system import context_parallel_training as context_training
from dlsys_code.system import sequence_parallel, tensor_parallel
from dlsys_code.system.buckets import FIRST_BYTES, LIMIT_BYTES
from dlsys_code.system.context_parallel import zigzag
from dlsys_code.system.data_parallel import DataParallel
from dlsys_code.system.tensor_parallel import TensorParallelGPT
from dlsys_code.system.tensor_parallel_copies import sum_copies
from dlsys_code.system.zero import OptimizerShards
from dlsys_code.system.zero_weights import WeightShards
from dlsys_code.world import Trace, compute


@dataclass(frozen=True, kw_only=True)
class Part:
    """One rank's part of training.

    held: the weights that it keeps.  forward: number of a step -> this rank's loss.
    update: of the weights; forgets the gradients, and marks the end of a step.
    """

    held: nn.Module
    optimizer: torch.optim.Optimizer
    forward: Callable[[int], Tensor]
    backward: Callable[[Tensor], object]
    update: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Held:
    """Bytes of a step on one rank.

    most: of each kind when it is complete: weights and activations after the forward
    pass, gradients and the optimizer's states after the backward pass.  peak: of all
    kinds together at one moment.
    """

    most: Bytes
    peak: Bytes


Scheme = Callable[[Recipe, Tensor, ProcessGroup], Part]
Backward = Callable[[Tensor], object]


def marked(backward: Backward) -> Backward:
    """Return the same backward pass, marked in the trace."""

    def marked_backward(loss: Tensor) -> None:
        with compute("backward"):
            backward(loss)

    return marked_backward


def stepped(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Return what updates the weights and forgets the gradients."""

    def update() -> None:
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()

    return update


def alone(recipe: Recipe, text: Tensor, group: ProcessGroup) -> Part:
    """One process: every rank does all of it."""
    model = serial.fresh_model(recipe)
    optimizer = serial.adamw(model, recipe)
    return Part(
        held=model,
        optimizer=optimizer,
        forward=reading(model, recipe, text, range(recipe.batch)),
        backward=marked(Tensor.backward),
        update=stepped(optimizer),
    )


def reading(
    model: Callable[[Tensor], Tensor], recipe: Recipe, text: Tensor, samples: range
) -> Callable[[int], Tensor]:
    """Return step -> mean loss of a model on these samples of the step."""

    def forward(step: int) -> Tensor:
        return serial.mean_loss(model, *serial.batch(recipe, text, step, samples))

    return forward


def data(
    recipe: Recipe,
    text: Tensor,
    dp: ProcessGroup,
    *,
    limit_bytes: int = LIMIT_BYTES,
    first_bytes: int = FIRST_BYTES,
) -> Part:
    """Data parallel: a rank reads its samples; gradients are averaged on their way."""
    model = serial.fresh_model(recipe)
    parallel = DataParallel(model, dp, limit_bytes=limit_bytes, first_bytes=first_bytes)
    optimizer = serial.adamw(model, recipe)
    return Part(
        held=model,
        optimizer=optimizer,
        forward=reading(model, recipe, text, share(recipe, dp)),
        backward=parallel.backward,
        update=stepped(optimizer),
    )


def zero(
    recipe: Recipe,
    text: Tensor,
    dp: ProcessGroup,
    *,
    shards: type[OptimizerShards] = WeightShards,
) -> Part:
    """Optimizer parallel: a rank keeps its shard of the states.  shards: the stage."""
    model = serial.fresh_model(recipe)
    adamw = partial(serial.adamw, recipe=recipe)
    stage = shards(model, list(model.blocks), dp, make_optimizer=adamw)
    return Part(
        held=nn.ModuleList([model, stage.shards]),
        optimizer=stage.optimizer,
        forward=reading(model, recipe, text, share(recipe, dp)),
        backward=marked(stage.backward),
        update=stage.step,
    )


def tensor(
    recipe: Recipe,
    text: Tensor,
    tp: ProcessGroup,
    *,
    ends: tensor_parallel.MakeEnds = tensor_parallel.replicated,
    complete: Callable[[nn.Module, ProcessGroup], None] = sum_copies,
) -> Part:
    """Tensor parallel: a rank reads all samples with its share of every matrix."""
    model = TensorParallelGPT(serial.fresh_model(recipe), tp, ends=ends)
    optimizer = serial.adamw(model, recipe)

    def forward(step: int) -> Tensor:
        words = serial.batch(recipe, text, step, range(recipe.batch))
        return tensor_parallel.mean_loss(model, *words)

    def backward(loss: Tensor) -> None:
        marked(Tensor.backward)(loss)
        complete(model, tp)

    return Part(
        held=model,
        optimizer=optimizer,
        forward=forward,
        backward=backward,
        update=stepped(optimizer),
    )


sequence = partial(
    tensor, ends=sequence_parallel.sharded, complete=sequence_parallel.sum_gains
)


def context(recipe: Recipe, text: Tensor, cp: ProcessGroup) -> Part:
    """Context parallel: a rank reads its tokens of every sample."""
    mine = zigzag(recipe.sequence, cp.size(), cp.rank())
    model = context_training.fresh_model(recipe, cp)
    optimizer = serial.adamw(model, recipe)

    def forward(step: int) -> Tensor:
        words = serial.batch(recipe, text, step, range(recipe.batch))
        here = partial(model, positions=mine)
        return serial.mean_loss(here, *(x[:, mine] for x in words))

    def backward(loss: Tensor) -> None:
        marked(Tensor.backward)(loss)
        average_at_once(model, cp)

    return Part(
        held=model,
        optimizer=optimizer,
        forward=forward,
        backward=backward,
        update=stepped(optimizer),
    )


SCHEMES: dict[str, Scheme] = {
    "data": data,
    "ZeRO-3": zero,
    "tensor": tensor,
    "sequence": sequence,
    "context": context,
}


def train(
    scheme: Scheme, recipe: Recipe, text: Tensor, group: ProcessGroup, *, steps: int
) -> Iterator[float]:
    """Yield this rank's loss of each step; the batch's is the mean over the ranks."""
    part = scheme(recipe, text, group)
    for step in range(steps):
        with compute("forward"):
            loss = part.forward(step)
        value = serial.finite(loss, step)
        part.backward(loss)
        part.update()
        yield value


def last_step(trace: Trace) -> Trace:
    """Return the record of every rank's last step, of two or more."""
    ends: dict[int, list[float]] = defaultdict(list)
    for event in trace.events:
        if event.kind == "compute" and event.op == LAST:
            ends[event.rank].append(event.end_s)
    begins = {rank: sorted(times)[-2] for rank, times in ends.items()}
    events = [e for e in trace.events if e.start_s >= begins[e.rank]]
    return Trace(trace.results, events)


def bytes_sent(trace: Trace) -> list[float]:
    """Return what every rank sends: its messages, and of collectives what a ring sends.

    gloo and NCCL may send more where a message is small.
    """
    sent = [float(n) for n in trace.bytes_sent()]
    for event in trace.events:
        if event.kind == "collective":
            factor = COLLECTIVES[event.op].bus_factor(len(event.group))
            sent[event.rank] += factor * event.bytes
    return sent


def bytes_held(
    scheme: Scheme, recipe: Recipe, text: Tensor, group: ProcessGroup
) -> Held:
    """Return what this rank holds in a step."""
    part = scheme(recipe, text, group)
    part.backward(part.forward(0))
    part.update()  # makes the optimizer's states
    with watch(part.held, part.optimizer) as memory:
        loss = part.forward(1)
        forward = memory.now
        part.backward(loss)
        backward = memory.now
        part.update()
    most = Bytes(
        weights=forward.weights,
        gradients=backward.gradients,
        optimizer=backward.optimizer,
        activations=forward.activations,
    )
    return Held(most=most, peak=memory.peak)
