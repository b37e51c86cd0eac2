"""Training in one process: the answer that every parallel scheme must reproduce.

One step is a forward pass, a backward pass and an update by AdamW::

    loss = mean of the cross-entropy over all tokens of the batch
    g    = its gradient
    w    = AdamW(w, g)

The weights come from a seed and the samples from (seed, step, sample), so two runs of a
recipe give the same losses, bit by bit on one machine; in float64 to rounding anywhere.

Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlsys_code.introduction import tokens
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.world import compute


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides a run, but for the text.

    batch: samples of a step, over all ranks.  sequence: tokens T of a sample.
    Errors: ValueError for a batch or a sequence below 1.
    """

    model: GPTConfig = GPTConfig()
    batch: int = 8
    sequence: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    seed: int = 0
    dtype: torch.dtype = torch.float32

    def __post_init__(self):
        if self.batch < 1 or self.sequence < 1:
            raise ValueError(
                "a step needs at least 1 sample of 1 token, not "
                f"{self.batch} of {self.sequence}"
            )

    @property
    def tokens_per_step(self) -> int:
        """The tokens that one step learns from, batch x T."""
        return self.batch * self.sequence


def fresh_model(recipe: Recipe) -> GPT:
    """Return the model that the recipe starts from."""
    return GPT(recipe.model, seed=recipe.seed).to(recipe.dtype)


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return the optimizer of the recipe for the parameters of a model."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=recipe.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=recipe.weight_decay,
    )


def batch(
    recipe: Recipe, text: Tensor, step: int, samples: range
) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of some samples of a step, (b, T) each."""
    T, seed = recipe.sequence, recipe.seed
    rows = tokens.batch(text, T, seed=seed, step=step, samples=samples)
    inputs, targets = (x.to(torch.get_default_device()) for x in rows)
    return inputs, targets


def mean_loss(
    model: Callable[[Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> Tensor:
    """Return the cross-entropy per token [nat].  inputs, targets: (b, T)."""
    logits = model(inputs)  # (b, T, V)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def finite(loss: Tensor, step: int) -> float:
    """Return the loss as a number.

    Errors: FloatingPointError when it is infinite or not a number.
    """
    value = loss.item()
    if not isfinite(value):
        raise FloatingPointError(f"the loss of step {step} is {value}")
    return value


def train(recipe: Recipe, text: Tensor, *, steps: int) -> Iterator[float]:
    """Yield the loss of each step [nat per token].

    text: tokens, (length,) of uint8.
    Errors: ValueError when the text is shorter than a sample; FloatingPointError when
    a loss is not finite, before the weights are touched.
    """
    model = fresh_model(recipe)
    optimizer = adamw(model, recipe)
    for step in range(steps):
        inputs, targets = batch(recipe, text, step, range(recipe.batch))
        with compute("forward"):
            loss = mean_loss(model, inputs, targets)
        value = finite(loss, step)
        with compute("backward"):
            loss.backward()
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        yield value
