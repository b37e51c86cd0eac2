"""Recomputation: keep a block's input only, and run the block again when needed.

Backward needs what forward made, and in a deep model that is most of the memory.  A
recomputed block forgets all of it but its input, and makes it anew just before its own
backward pass::

    kept        L inputs of (b, T, h), and, one at a time, what a whole block keeps
    computed    forward twice, backward once: about 4/3 of a step's arithmetic

The gradient is the same, bit by bit, if the second forward pass does what the first
did: it sees the same weights and draws the same random numbers, for which a generator's
state is kept too, 5 KB on the CPU.  Module `torch.utils.checkpoint` does this for any
function; the name checkpoint is left here to what a run resumes from.

Sources: T. Chen, B. Xu, C. Zhang and C. Guestrin, "Training deep nets with sublinear
memory cost", arXiv:1604.06174 (2016); V. Korthikanti et al., "Reducing activation
recomputation in large transformer models", MLSys 2023.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from types import MethodType

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from dlsys_code.introduction import serial
from dlsys_code.introduction.accumulation import accumulate_gradients
from dlsys_code.introduction.memory import Bytes, peak_of


class Recompute(torch.autograd.Function):
    """The output of `block(*inputs)`, of which only the inputs are kept."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, block: nn.Module, *inputs_and_weights: Tensor
    ) -> Tensor:
        """Run the block; as in every Function, autograd records nothing in here."""
        count = len(inputs_and_weights) - len(list(block.parameters()))
        inputs = inputs_and_weights[:count]
        ctx.save_for_backward(*inputs)
        ctx.block, ctx.again = block, same_circumstances(inputs[0].device)
        return type(block).forward(block, *inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Run the block again, now recorded, and differentiate that."""
        _, *needed = ctx.needs_input_grad
        inputs = [x.detach() for x in ctx.saved_tensors]
        sources = [*inputs, *ctx.block.parameters()]
        with ctx.again(), torch.enable_grad():
            for x, need in zip(inputs, needed, strict=False):
                x.requires_grad_(need)
            y = type(ctx.block).forward(ctx.block, *inputs)
        wanted = [x for x, need in zip(sources, needed, strict=True) if need]
        found = iter(torch.autograd.grad(y, wanted, dy, allow_unused=True))
        return None, *(next(found) if need else None for need in needed)


def recomputed(block: nn.Module, *inputs: Tensor) -> Tensor:
    """Return `block(*inputs)`, and keep nothing but the inputs for the backward pass.

    inputs: tensors; constants that need no gradient may be among them.
    """
    # The weights are arguments too, so that y needs a gradient if only they do.
    return Recompute.apply(block, *inputs, *block.parameters())


def recompute_(blocks: Iterable[nn.Module], how: Callable = recomputed) -> None:
    """Let every block keep only its inputs from now on; its weights stay as they are.

    how: called as `how(block, *inputs)`.  `del block.forward` takes it back.
    """
    for block in blocks:
        block.forward = MethodType(how, block)


def same_circumstances(device: torch.device) -> Callable:
    """Return a context in which a forward pass does again what it would do now.

    It brings back the random generators' states and the precision of autocast.
    """
    kind, gpus = device.type, [device] if device.type == "cuda" else []
    states = torch.get_rng_state(), [torch.cuda.get_rng_state(gpu) for gpu in gpus]
    dtype, mixed = torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)

    @contextmanager
    def again() -> Iterator[None]:
        cast = torch.autocast(kind, dtype, enabled=mixed)
        with torch.random.fork_rng(gpus), cast:
            torch.set_rng_state(states[0])
            for gpu, state in zip(gpus, states[1], strict=True):
                torch.cuda.set_rng_state(state, gpu)
            yield

    return again


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How one step saves memory: in how many parts, and whether blocks recompute."""

    micro_batches: int = 1
    recompute: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a step took: the largest live bytes, by kind, and the time."""

    setting: Setting
    peak: Bytes
    seconds: float


def memory_against_time(
    recipe: serial.Recipe,
    text: Tensor,
    settings: Sequence[Setting],
    *,
    rounds: int = 3,
) -> list[Row]:
    """Measure a step of the recipe in each setting; return the rows in their order.

    seconds: the median over the rounds, in each of which every setting has its turn.
    Errors: ValueError without a round, or when micro-batches do not divide the batch.
    """
    if rounds < 1:
        raise ValueError(f"a median needs at least 1 round, not {rounds}")
    steps, peaks = zip(*(_prepare(recipe, text, s) for s in settings), strict=True)
    times = [[_seconds(step) for step in steps] for _ in range(rounds)]
    return [
        Row(setting=setting, peak=peak, seconds=median(taken))
        for setting, peak, taken in zip(
            settings, peaks, zip(*times, strict=True), strict=True
        )
    ]


def _prepare(
    recipe: serial.Recipe, text: Tensor, setting: Setting
) -> tuple[Callable[[], None], Bytes]:
    """Return a step in this setting, and the peak of the second one."""
    model = serial.fresh_model(recipe)
    optimizer = serial.adamw(model, recipe)
    inputs, targets = serial.batch(recipe, text, 0, range(recipe.batch))
    if setting.recompute:
        recompute_(model.blocks)

    def step() -> None:
        m = setting.micro_batches
        accumulate_gradients(model, inputs, targets, micro_batches=m)
        optimizer.step()
        optimizer.zero_grad()

    return step, peak_of(step, model, optimizer)


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    if torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start
