"""The serial run: it repeats itself, learns, and stops at a loss that is no number."""

from itertools import islice, pairwise
from math import exp, inf, isfinite, nan
from unittest import mock

import pytest
import torch
from torch import Tensor

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.serial import Recipe

SMALL = GPTConfig(width=32, layers=2, heads=4, key_value_heads=2, hidden=64)
RECIPE = Recipe(model=SMALL, batch=4, sequence=32)


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()


def weights(model: GPT) -> list[Tensor]:
    return [x.detach().clone() for x in model.parameters()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_runs_are_the_same_bits(text, dtype):
    recipe = Recipe(model=SMALL, batch=4, sequence=32, dtype=dtype)
    first = list(serial.train(recipe, text, steps=4))
    torch.manual_seed(1)
    assert list(serial.train(recipe, text, steps=4)) == first
    assert len(set(first)) == 4


def test_the_default_dtype_does_not_matter(text):
    recipe = Recipe(model=SMALL, batch=4, sequence=32, dtype=torch.float64)
    expected = list(serial.train(recipe, text, steps=3))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert list(serial.train(recipe, text, steps=3)) == expected
    finally:
        torch.set_default_dtype(before)


def test_float64_is_float64_all_through(text):
    recipe = Recipe(model=SMALL, batch=4, sequence=32, dtype=torch.float64)
    model = serial.fresh_model(recipe)
    optimizer = serial.adamw(model, recipe)
    loss = serial.mean_loss(model, *serial.batch(recipe, text, 0, range(4)))
    loss.backward()
    optimizer.step()
    moments = [x["exp_avg_sq"] for x in optimizer.state.values()]
    for x in (loss, *moments, *(y for w in model.parameters() for y in (w, w.grad))):
        assert x.dtype is torch.float64


def test_float32_follows_float64_to_its_rounding(text):
    runs = (
        list(serial.train(
            Recipe(model=SMALL, batch=4, sequence=32, dtype=dtype), text, steps=5
        ))
        for dtype in (torch.float32, torch.float64)
    )  # fmt: skip
    for narrow, wide in zip(*runs, strict=True):
        assert narrow == pytest.approx(wide, abs=1e-3)
        assert narrow != wide


def test_the_seed_decides(text):
    losses = {
        next(serial.train(Recipe(model=SMALL, seed=seed), text, steps=1))
        for seed in range(3)
    }
    assert len(losses) == 3


def test_the_loss_falls(text):
    recipe = Recipe(model=SMALL, sequence=64, learning_rate=3e-3)
    losses = list(serial.train(recipe, text, steps=40))
    assert sum(losses[-5:]) / 5 < losses[0] - 1


def test_the_default_recipe_starts_below_the_loss_of_guessing(text):
    """...for a text repeats its bytes and a tied head prefers the token it has read."""
    recipe = Recipe()
    assert recipe.tokens_per_step == 8 * 128
    (loss,) = serial.train(recipe, text, steps=1)
    assert 200 < exp(loss) < 256


def test_a_step_is_the_update_of_the_whole_batchs_gradient(text):
    """Step by step as the docstring says it, by AdamW written out."""
    recipe = Recipe(
        model=SMALL, batch=4, sequence=32, learning_rate=1e-2, dtype=torch.float64
    )
    model = serial.fresh_model(recipe)
    moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in model.parameters()]
    expected = []
    for step in range(3):
        inputs, targets = serial.batch(recipe, text, step, range(4))
        right = model(inputs).log_softmax(-1).gather(-1, targets[..., None])
        expected.append(-right.mean().item())
        gradients = torch.autograd.grad(-right.mean(), list(model.parameters()))
        with torch.no_grad():
            triples = zip(model.parameters(), gradients, moments, strict=True)
            for w, g, (mean, square) in triples:
                mean.mul_(0.9).add_(0.1 * g)
                square.mul_(0.95).add_(0.05 * g**2)
                m = mean / (1 - 0.9 ** (step + 1))
                v = square / (1 - 0.95 ** (step + 1))
                w.mul_(1 - 1e-2 * 0.1).sub_(1e-2 * m / (v.sqrt() + 1e-8))
    losses = list(serial.train(recipe, text, steps=3))
    assert losses == pytest.approx(expected, rel=1e-10)
    assert all(abs(before - after) > 1e-3 for before, after in pairwise(losses))


@pytest.mark.parametrize("learning_rate", [1e3, 1e10, 1e30])
def test_an_absurd_learning_rate_ends_with_the_step_it_spoils(text, learning_rate):
    recipe = Recipe(model=SMALL, batch=4, sequence=32, learning_rate=learning_rate)
    seen: list[float] = []
    with pytest.raises(FloatingPointError) as caught:
        for loss in serial.train(recipe, text, steps=10):
            seen.append(loss)
    assert str(caught.value) == f"the loss of step {len(seen)} is nan"
    assert 1 <= len(seen) <= 2 and all(map(isfinite, seen))


@pytest.mark.parametrize("poison", [nan, inf])
def test_a_loss_that_is_no_number_leaves_the_weights_alone(text, poison):
    model = serial.fresh_model(RECIPE)
    with mock.patch.object(serial, "fresh_model", return_value=model):
        run = serial.train(RECIPE, text, steps=9)
        list(islice(run, 2))
        with torch.no_grad():
            model.blocks[1].feed_forward.up.weight[3, 5] = poison
        before = weights(model)
        with pytest.raises(FloatingPointError, match="^the loss of step 2 is nan$"):
            next(run)
    after = weights(model)
    pairs = zip(before, after, strict=True)
    assert all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in pairs)
    assert all(x.grad is None for x in model.parameters())


@pytest.mark.parametrize("sizes", [(0, 32), (4, 0), (-1, 32)])
def test_a_recipe_without_a_token_is_refused(sizes):
    with pytest.raises(ValueError) as caught:
        Recipe(batch=sizes[0], sequence=sizes[1])
    complaint = (
        f"a step needs at least 1 sample of 1 token, not {sizes[0]} of {sizes[1]}"
    )
    assert str(caught.value) == complaint


def test_a_text_without_a_sample_is_refused():
    text = tokens.as_tokens(b"short")
    with pytest.raises(ValueError, match=r"32 \+ 1 bytes, but the text has only 5$"):
        next(serial.train(RECIPE, text, steps=1))


def test_no_steps_are_no_losses(text):
    assert list(serial.train(RECIPE, text, steps=0)) == []
