"""Plain gradient descent on one vector is torch's own on the parameters."""

import pytest
import torch

from dlsys_code.architecture import plain_sgd
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe

RECIPE = Recipe(
    model=GPTConfig(width=16, layers=2, heads=4, key_value_heads=2, hidden=12),
    batch=3,
    sequence=7,
    learning_rate=0.2,
    dtype=torch.float64,
)


def test_it_learns_what_torch_learns():
    text, steps = tokens.documentation()[:5_000], 4
    model = serial.fresh_model(RECIPE)
    optimizer = torch.optim.SGD(model.parameters(), lr=RECIPE.learning_rate)
    expected = []
    for step in range(steps):
        rows = serial.batch(RECIPE, text, step, range(RECIPE.batch))
        loss = serial.mean_loss(model, *rows)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    losses = list(plain_sgd.train(RECIPE, text, steps=steps))
    assert losses == pytest.approx(expected, rel=0, abs=1e-12)
    assert losses[-1] < losses[0] - 0.05


def test_weights_written_are_weights_read_and_stay_apart():
    model = serial.fresh_model(RECIPE)
    weights = plain_sgd.weights_of(model)
    plain_sgd.write_(model, 2 * weights)
    assert torch.equal(plain_sgd.weights_of(model), 2 * weights)
    plain_sgd.write_(model, weights)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert weights.abs().sum() > 1


def test_a_loss_that_is_not_finite_is_refused():
    text, model = tokens.documentation()[:5_000], serial.fresh_model(RECIPE)
    plain_sgd.write_(model, plain_sgd.weights_of(model) * torch.inf)
    with pytest.raises(FloatingPointError, match="the loss of step 3 is nan"):
        plain_sgd.gradient(model, RECIPE, text, 3, range(1))
