"""What half precision loses: gradients near zero, and updates too small for a weight.

Both half formats have 16 bits.  bf16 spends 8 of them on the exponent, as float32 does,
and 7 on the fraction; fp16 spends 5 and 10::

    format   smallest normal   smallest   largest       step above 1   below 1
    bf16     2^-126            2^-133     3.4 x 10^38   2^-7           2^-8
    fp16     2^-14             2^-24      65504         2^-10          2^-11

Half of the smallest number, or less, becomes zero.  A mean over the N tokens of a step
gives a logit a gradient of at most 1/N, which weights some 0.02 wide hand down.  Large
models take N = 2^22 (Llama 2): 0.02 x 2^-22 is below 2^-25, and nothing but the head
learns, unless the loss is scaled.

An update of half a step, or less, leaves a weight alone.  AdamW's updates are about as
large as the learning rate: at 1e-3, in bf16, a gain of 1 never moves.

Sources: P. Micikevicius et al., "Mixed precision training", ICLR 2018, sections 3.1 and
3.2; D. Kalamkar et al., "A study of BFLOAT16 for deep learning training",
arXiv:1905.12322 (2019); H. Touvron et al., "Llama 2: open foundation and fine-tuned
chat models", arXiv:2307.09288 (2023), for N.
"""

from collections.abc import Iterable
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dlsys_code.introduction import precision, serial
from dlsys_code.introduction.loss_scaling import LossScale, constant
from dlsys_code.introduction.serial import Recipe


class Lost(NamedTuple):
    """The shares of some numbers that a format cannot hold, from 0 to 1."""

    underflow: float  # became zero
    overflow: float  # became infinite or not a number


def lost(true: Iterable[Tensor], found: Iterable[Tensor]) -> Lost:
    """Return which shares of some gradients were destroyed on the way.

    true: what they should be, finite.  found: what a format has made of them, in the
    same order.  Those that are truly zero do not count.
    Errors: ValueError when there is no gradient other than zero.
    """
    pairs = [
        (wide.flatten(), narrow.flatten())
        for wide, narrow in zip(true, found, strict=True)
    ]
    left = [narrow[wide != 0] for wide, narrow in pairs]
    every = torch.cat(left) if left else torch.empty(0)
    if not len(every):
        raise ValueError("there is no gradient other than zero to lose")
    return Lost(
        underflow=(every == 0).double().mean().item(),
        overflow=(~every.isfinite()).double().mean().item(),
    )


def half_gradients(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    half: torch.dtype,
    scale: float = 1.0,
) -> dict[str, Tensor]:
    """Return each parameter's gradient as a half copy of the model finds it.

    inputs, targets: (b, T).  The gradients are divided by the scale, in the dtype of
    the model, which is left alone.
    """
    master, copy = deepcopy(model), deepcopy(model).to(half)
    (scale * precision.mean_loss(copy, inputs, targets)).backward()
    precision.take_gradients_(master, copy, scale)
    return {name: weight.grad for name, weight in master.named_parameters()}


def large_steps(
    recipe: Recipe, text: Tensor, *, steps: int, micro_batches: int
) -> dict[str, list[float]]:
    """Return the losses in float32, and in fp16 without and with loss scaling.

    A step averages m micro-batches of the recipe's size.  The loss of each is divided
    by m before its backward pass, so that the gradients add up to the mean: a scale of
    1/m.  One is computed and stands for all, as if they were alike.
    """
    share, first = 1 / micro_batches, LossScale().value

    def losses(half: torch.dtype, scale: LossScale) -> list[float]:
        return list(precision.train(recipe, text, steps=steps, half=half, scale=scale))

    return {
        "float32": losses(torch.float32, constant(share)),
        "fp16": losses(torch.float16, constant(share)),
        "fp16, scaled": losses(torch.float16, LossScale(value=share * first)),
    }


def without_masters(
    recipe: Recipe, text: Tensor, *, steps: int, half: torch.dtype
) -> tuple[list[float], nn.Module]:
    """Return the losses and the model when the optimizer itself holds half weights.

    half: of weights, gradients and the state of AdamW; torch.float32 is a serial run.
    Errors: FloatingPointError when a loss is not finite.  In fp16 it soon is not:
    squares of gradients become zero, so does AdamW's 1e-8, and it divides by both.
    """
    model = serial.fresh_model(recipe).to(half)
    optimizer = serial.adamw(model, recipe)
    losses = []
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, range(recipe.batch))
        loss = precision.mean_loss(model, inputs, targets)
        losses.append(serial.finite(loss, step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses, model


def unmoved(model: nn.Module, start: nn.Module) -> float:
    """Return the share of a model's weights that are what they were at the start."""
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    same = torch.cat([(now == then).flatten() for now, then in pairs])
    return same.double().mean().item()
