"""Mixed precision: compute in 16 bits, remember in 32.

Half precision halves the bytes of weights, activations and gradients, and tensor cores
multiply it many times faster.  Two things it cannot do.  It cannot add little to much:
between a power of two and the next, bf16 has 2^7 numbers and fp16 2^10, so an update
below half the step between neighbours rounds away, however often it comes.  Hence the
optimizer holds float32 copies, the master weights::

    half weights    = master weights, rounded
    half gradients  = gradients of (scale x loss) at the half weights
    master weights  = optimizer(master weights, half gradients / scale, in float32)

And fp16 cannot hold small gradients: hence the scale, module `loss_scaling`; bf16, with
float32's range, does without.

Cost, in bytes for each parameter: 2 for the weight and 2 for its gradient, 4 for its
master, and AdamW's 8 as ever.  For the update all gradients are widened, to 4.

The loss is computed from float32 logits, and so is its multiple: 5 nat at a scale of
2^16 are beyond fp16's 65504.  A loss that is not finite all the same comes from the
half forward pass, where no scale helps, and ends the run.

Sources: P. Micikevicius et al., "Mixed precision training", ICLR 2018; D. Kalamkar et
al., "A study of BFLOAT16 for deep learning training", arXiv:1905.12322 (2019).
"""

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn

from dlsys_code.introduction import serial
from dlsys_code.introduction.loss_scaling import LossScale, all_finite, constant
from dlsys_code.introduction.serial import Recipe


def mean_loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy per token [nat] in float32.  inputs, targets: (b, T)."""
    return serial.mean_loss(lambda x: model(x).float(), inputs, targets)


@torch.no_grad()
def round_weights_(master: nn.Module, model: nn.Module) -> None:
    """Make each weight of the model its master's, rounded to the model's dtype."""
    for wide, narrow in zip(master.parameters(), model.parameters(), strict=True):
        narrow.copy_(wide)


@torch.no_grad()
def take_gradients_(master: nn.Module, model: nn.Module, scale: float) -> None:
    """Move each gradient to its master, divided by the scale in the master's dtype."""
    for wide, narrow in zip(master.parameters(), model.parameters(), strict=True):
        missing = narrow.grad is None
        wide.grad = None if missing else narrow.grad.to(wide.dtype) / scale
        narrow.grad = None


def train(
    recipe: Recipe,
    text: Tensor,
    *,
    steps: int,
    half: torch.dtype,
    scale: LossScale | None = None,
) -> Iterator[float]:
    """Yield the loss of each step [nat per token], as `serial.train`, computed in half.

    half: of the model, for example torch.bfloat16; the recipe's dtype is the masters'.
    scale: moves on with the run; None is no scaling.
    Errors: those of `serial.train`.
    """
    scale = scale or constant(1)
    master = serial.fresh_model(recipe)
    model = deepcopy(master).to(half)
    optimizer = serial.adamw(master, recipe)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, range(recipe.batch))
        loss = mean_loss(model, inputs, targets)
        value = serial.finite(loss, step)
        (scale.value * loss).backward()
        take_gradients_(master, model, scale.value)
        finite = all_finite(master)
        if finite:
            optimizer.step()
            round_weights_(master, model)
        scale.update(finite)
        yield value


def train_by_torch(
    recipe: Recipe,
    text: Tensor,
    *,
    steps: int,
    half: torch.dtype,
    scaler: torch.amp.GradScaler,
) -> Iterator[float]:
    """Yield the same losses from torch.amp, up to rounding.

    Its weights are the masters, and each matrix product rounds its own arguments; sums
    along the stream stay in float32.  scaler: torch's; disabled it is no scaling.
    Errors: those of `serial.train`.
    """
    model = serial.fresh_model(recipe)
    optimizer = serial.adamw(model, recipe)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, range(recipe.batch))
        with torch.autocast(inputs.device.type, dtype=half):
            loss = mean_loss(model, inputs, targets)
        value = serial.finite(loss, step)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        yield value
