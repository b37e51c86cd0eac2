"""Plain gradient descent on a model seen as one long vector.

What a server holds and what travels is one vector of weights or gradients::

    w = w - rate g

It has no state, so that p steps of rate/p along p gradients found with the same weights
are one step along their mean, in any order.  AdamW is not like this.

Cost: a copy of n bytes into the vector and one out of it.

Source: H. Robbins and S. Monro, "A stochastic approximation method", Annals of
Mathematical Statistics 22 (1951) 400-407.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from dlsys_code.architecture.worker_step import loss_and_backward
from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import own_gradient


def weights_of(model: nn.Module) -> Tensor:
    """Return a copy of all weights, (n,)."""
    return parameters_to_vector(model.parameters()).detach().clone()


def write_(model: nn.Module, weights: Tensor) -> None:
    """Put weights into a model; the vector stays as it is.  weights: (n,)."""
    vector_to_parameters(weights.clone(), model.parameters())


def gradient(
    model: nn.Module, recipe: serial.Recipe, text: Tensor, step: int, samples: range
) -> tuple[float, Tensor]:
    """Return the loss of some samples of a step and its gradient, (n,).

    Errors: FloatingPointError when the loss is not finite.
    """
    model.zero_grad()
    value = loss_and_backward(model, recipe, text, step, samples)
    return value, torch.cat([own_gradient(w).flatten() for w in model.parameters()])


def train(recipe: serial.Recipe, text: Tensor, *, steps: int) -> Iterator[float]:
    """Yield the loss of each step in one process: what workers in step must reproduce.

    The learning rate is the recipe's; its weight decay is not used.
    """
    model = serial.fresh_model(recipe)
    weights = weights_of(model)
    for step in range(steps):
        write_(model, weights)
        loss, g = gradient(model, recipe, text, step, range(recipe.batch))
        weights -= recipe.learning_rate * g
        yield loss
