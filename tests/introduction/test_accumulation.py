"""Micro-batches add up to the gradient of the whole batch, in float64."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.introduction import accumulation, serial, tokens
from dlsys_code.introduction.accumulation import accumulate_gradients
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.memory import watch

SMALL = serial.Recipe(
    model=GPTConfig(width=16, layers=2, heads=2, key_value_heads=1, hidden=24),
    batch=12,
    sequence=9,
    dtype=torch.float64,
)
TEXT = tokens.documentation()


def gradients(model: torch.nn.Module) -> list[Tensor]:
    return [p.grad for p in model.parameters()]


def whole(recipe: serial.Recipe) -> tuple[Tensor, list[Tensor]]:
    model = serial.fresh_model(recipe)
    data = serial.batch(recipe, TEXT, 0, range(recipe.batch))
    loss = serial.mean_loss(model, *data)
    loss.backward()
    return loss.detach(), gradients(model)


def in_parts(recipe: serial.Recipe, m: int) -> tuple[Tensor, list[Tensor]]:
    model = serial.fresh_model(recipe)
    data = serial.batch(recipe, TEXT, 0, range(recipe.batch))
    loss = accumulate_gradients(model, *data, micro_batches=m)
    return loss, gradients(model)


@given(m=st.integers(1, 8), each=st.integers(1, 3), T=st.integers(1, 11))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_parts_add_up_to_the_whole(m, each, T):
    recipe = replace(SMALL, batch=m * each, sequence=T)
    torch.testing.assert_close(
        in_parts(recipe, m), whole(recipe), rtol=1e-11, atol=1e-15
    )


def test_one_part_is_the_whole_bit_by_bit():
    (loss, parts), (expected, full) = in_parts(SMALL, 1), whole(SMALL)
    assert torch.equal(loss, expected)
    assert all(torch.equal(x, y) for x, y in zip(parts, full, strict=True))


def test_gradients_are_added_to_those_that_are_there():
    model = serial.fresh_model(SMALL)
    data = serial.batch(SMALL, TEXT, 0, range(SMALL.batch))
    accumulate_gradients(model, *data, micro_batches=3)
    accumulate_gradients(model, *data, micro_batches=4)
    twice = [2 * x for x in whole(SMALL)[1]]
    torch.testing.assert_close(gradients(model), twice, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 6, 12])
def test_a_run_in_parts_has_the_losses_of_the_serial_one(m):
    expected = list(serial.train(SMALL, TEXT, steps=5))
    losses = list(accumulation.train(SMALL, TEXT, steps=5, micro_batches=m))
    # AdamW divides by the size of a gradient: rounding of a tiny one is not tiny.
    assert losses == pytest.approx(expected, rel=1e-9)
    assert len(set(losses)) == 5


@pytest.mark.parametrize("m", [2, 3, 6])
def test_only_one_part_has_its_activations(m):
    model = serial.fresh_model(SMALL)
    data = serial.batch(SMALL, TEXT, 0, range(SMALL.batch))
    with watch(model) as all_parts:
        accumulate_gradients(model, *data, micro_batches=m)
    first = tuple(x[: SMALL.batch // m] for x in data)
    with watch(model) as one_part:
        accumulate_gradients(model, *first, micro_batches=1)
    one, every = one_part.peak, all_parts.peak
    assert every.activations <= one.activations
    model.zero_grad()
    with watch(model) as at_once:
        serial.mean_loss(model, *data).backward()
    assert every.activations < at_once.peak.activations


@pytest.mark.parametrize("m", [-1, 0, 5, 13])
def test_parts_must_be_equal(m):
    message = f"12 sequences cannot be cut into {m} equal micro-batches"
    with pytest.raises(ValueError, match=message):
        in_parts(SMALL, m)
    with pytest.raises(ValueError, match=message):
        next(accumulation.train(SMALL, TEXT, steps=1, micro_batches=m))


def test_a_loss_that_is_not_finite_stops_the_run():
    reckless = replace(SMALL, learning_rate=1e200)
    with pytest.raises(FloatingPointError, match="the loss of step"):
        list(accumulation.train(reckless, TEXT, steps=9, micro_batches=2))
