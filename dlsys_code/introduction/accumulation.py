"""Gradient accumulation: the same gradient from a batch that does not fit at once.

The loss of a batch is a mean, and a mean over b sequences is the mean of the means over
m equal parts.  So is its gradient, and backward adds gradients up by itself::

    gradient of loss(batch) = sum over the parts of the gradient of loss(part) / m

Only one part's activations are there at a time: their bytes fall by m, the arithmetic
stays.  What does not fall are the weights, their gradients and the optimizer's state.
Without the division by m the gradient would be m times too large.

Cost: m forward and backward passes over b / m sequences; smaller products use the
machine less well.

Source: Y. Huang et al., "GPipe: efficient training of giant neural networks using
pipeline parallelism", NeurIPS 2019, section 2.2 (micro-batches).
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dlsys_code.introduction import serial
from dlsys_code.world import compute


def accumulate_gradients(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, micro_batches: int
) -> Tensor:
    """Add the gradient of the batch's loss to the parameters' own; return the loss, ().

    inputs, targets: (batch, T).
    Errors: ValueError when the micro-batches do not divide the batch.
    """
    m, batch = micro_batches, len(inputs)
    if m < 1 or batch % m:  # means over parts of different sizes do not weigh alike
        raise ValueError(
            f"{batch} sequences cannot be cut into {m} equal micro-batches"
        )
    losses = []
    for x, y in zip(inputs.chunk(m), targets.chunk(m), strict=True):  # (b, T) each
        with compute("forward"):
            loss = serial.mean_loss(model, x, y) / m
        with compute("backward"):
            loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def train(
    recipe: serial.Recipe, text: Tensor, *, steps: int, micro_batches: int
) -> Iterator[float]:
    """Yield the loss of each step [nat per token], as `serial.train` up to rounding.

    text: tokens, (length,) of uint8.
    Errors: ValueError when the micro-batches do not divide the batch or the text is
    shorter than a sample; FloatingPointError when a loss is not finite, before the
    weights are touched.
    """
    model = serial.fresh_model(recipe)
    optimizer = serial.adamw(model, recipe)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, range(recipe.batch))
        loss = accumulate_gradients(model, inputs, targets, micro_batches=micro_batches)
        value = serial.finite(loss, step)
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        yield value
