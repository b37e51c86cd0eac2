"""Each thing that half precision loses is lost, and is not with scale and masters."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.introduction import precision, serial, tokens
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.rounding import (
    half_gradients,
    large_steps,
    lost,
    unmoved,
    without_masters,
)

TEXT = tokens.documentation()
RECIPE = serial.Recipe(
    model=GPTConfig(width=64, layers=2, heads=4, key_value_heads=2, hidden=176),
    batch=4,
    sequence=64,
)
MICRO_BATCHES = 2**22 // RECIPE.tokens_per_step
FORMATS = {  # powers of two: smallest normal, smallest, step above 1
    torch.bfloat16: (-126, -133, -7),
    torch.float16: (-14, -24, -10),
}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return serial.batch(RECIPE, TEXT, 0, range(RECIPE.batch))


@pytest.mark.parametrize("half", FORMATS)
def test_the_table_of_formats(half):
    normal, smallest, step = FORMATS[half]

    def rounded(x: float) -> float:
        return torch.tensor(x, dtype=torch.float64).to(half).item()

    assert torch.finfo(half).smallest_normal == 2.0**normal
    assert rounded(2.0**smallest) == 2.0**smallest
    assert rounded(2.0 ** (smallest - 1)) == 0 < rounded(1.01 * 2 ** (smallest - 1))
    assert rounded(1 + 2.0**step) == 1 + 2.0**step
    assert rounded(1 + 2.0 ** (step - 1)) == 1 < rounded(1 + 1.01 * 2 ** (step - 1))
    assert rounded(1 - 2.0 ** (step - 2)) == 1 > rounded(1 - 1.01 * 2 ** (step - 2))


@settings(derandomize=True, deadline=None)
@given(
    st.sampled_from(list(FORMATS)),
    st.lists(st.integers(-200, 200), min_size=1),
    st.integers(-40, 40),
)
def test_what_is_lost_is_counted(half, powers, k):
    largest = {torch.bfloat16: 127, torch.float16: 15}[half]
    gradients = [torch.tensor([2.0**n, 0.0], dtype=torch.float64) for n in powers]
    shares = lost(gradients, [(2.0**k * g).to(half) for g in gradients])
    under = [n + k < FORMATS[half][1] for n in powers]
    over = [n + k > largest for n in powers]
    assert shares.underflow == pytest.approx(sum(under) / len(powers), abs=1e-12)
    assert shares.overflow == pytest.approx(sum(over) / len(powers), abs=1e-12)


@pytest.mark.parametrize("nothing", [[], [torch.zeros(3), torch.zeros(())]])
def test_nothing_cannot_be_lost(nothing):
    with pytest.raises(ValueError, match="no gradient other than zero"):
        lost(nothing, [g.half() for g in nothing])


def test_gradients_of_a_copy_are_the_models():
    model = GPT(RECIPE.model)
    found = half_gradients(model, *batch(), half=torch.float32, scale=2.0**16)
    assert all(weight.grad is None for weight in model.parameters())
    serial.mean_loss(model, *batch()).backward()
    for name, weight in model.named_parameters():
        assert torch.equal(found[name], weight.grad)


def test_in_a_large_step_only_the_head_gets_a_gradient_unless_scaled():
    model, share = GPT(RECIPE.model), 1 / MICRO_BATCHES
    wide = half_gradients(model, *batch(), half=torch.float32, scale=share)
    bare = half_gradients(model, *batch(), half=torch.float16, scale=share)
    scaled = half_gradients(model, *batch(), half=torch.float16, scale=share * 2**16)
    assert all(x.any() for x in wide.values())
    assert [name for name, x in bare.items() if x.any()] == ["embed.weight"]
    for name in wide:
        error = (scaled[name] - wide[name]).norm() / wide[name].norm()
        assert error < 20 * 2**-11, name  # 2 layers of some 10 roundings each


def test_large_steps_in_fp16_lag_and_scaled_ones_do_not():
    runs = large_steps(RECIPE, TEXT, steps=20, micro_batches=MICRO_BATCHES)
    assert runs["float32"] == list(serial.train(RECIPE, TEXT, steps=20))
    for wide, bare, scaled in list(zip(*runs.values(), strict=True))[10:]:
        assert bare - wide > 0.25
        assert abs(scaled / wide - 1) < 2**-11


def gains(model: GPT) -> torch.Tensor:
    return torch.cat([x for x in model.parameters() if x.dim() == 1])


def test_a_gain_of_one_never_moves_in_bf16():
    _, wide = without_masters(RECIPE, TEXT, steps=10, half=torch.float32)
    _, narrow = without_masters(RECIPE, TEXT, steps=10, half=torch.bfloat16)
    assert (gains(wide) != 1).all()
    assert (gains(narrow) == 1).all()


def test_at_a_small_rate_bf16_stands_still_without_masters():
    slow, start = replace(RECIPE, learning_rate=3e-5), GPT(RECIPE.model)
    wide, moved = without_masters(slow, TEXT, steps=30, half=torch.float32)
    bare, stuck = without_masters(slow, TEXT, steps=30, half=torch.bfloat16)
    held = list(precision.train(slow, TEXT, steps=30, half=torch.bfloat16))
    assert unmoved(moved, start) < 0.001
    assert unmoved(stuck, deepcopy(start).bfloat16()) > 0.5
    assert bare[-1] - wide[-1] > 2**-8 * wide[-1]
    assert abs(held[-1] / wide[-1] - 1) < 2**-8


def test_adamw_in_fp16_divides_by_zero():
    with pytest.raises(FloatingPointError, match="loss of step 1 is nan"):
        without_masters(RECIPE, TEXT, steps=2, half=torch.float16)
