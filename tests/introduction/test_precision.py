"""Half precision with masters follows float32 to within its own rounding."""

from copy import deepcopy
from itertools import pairwise

import pytest
import torch

from dlsys_code.introduction import precision, serial, tokens
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.loss_scaling import LossScale

TEXT = tokens.documentation()
RECIPE = serial.Recipe(
    model=GPTConfig(width=64, layers=2, heads=4, key_value_heads=2, hidden=176),
    batch=4,
    sequence=64,
)
ROUNDING = {torch.bfloat16: 2**-8, torch.float16: 2**-11}  # relative, at most


def apart(left: list[float], right: list[float]) -> float:
    """The largest relative difference of two runs."""
    return max(abs(a / b - 1) for a, b in zip(left, right, strict=True))


def by_torch(half: torch.dtype, scaler: torch.amp.GradScaler, steps: int):
    """The losses of torch.amp, and its scale after every step."""
    losses = precision.train_by_torch(
        RECIPE, TEXT, steps=steps, half=half, scaler=scaler
    )
    return zip(*((loss, scaler.get_scale()) for loss in losses), strict=True)


def by_hand(half: torch.dtype, scale: LossScale | None, steps: int):
    """The same of ours."""
    losses = precision.train(RECIPE, TEXT, steps=steps, half=half, scale=scale)
    return zip(*((loss, scale.value if scale else 1.0) for loss in losses), strict=True)


def test_masters_and_scale_change_nothing_where_nothing_is_rounded():
    scale = LossScale(interval=2)
    run = precision.train(RECIPE, TEXT, steps=6, half=torch.float32, scale=scale)
    assert list(run) == list(serial.train(RECIPE, TEXT, steps=6))
    assert scale.value == 2.0**19


@pytest.mark.parametrize("half", ROUNDING)
def test_losses_stay_within_one_rounding_of_float32(half):
    """No theorem: rounding errors are many, but they have no common sign."""
    scaled = half == torch.float16
    ours, our_scales = by_hand(half, LossScale(value=2.0**8) if scaled else None, 20)
    theirs, their_scales = by_torch(
        half, torch.amp.GradScaler("cpu", init_scale=2.0**8, enabled=scaled), 20
    )
    wide = list(serial.train(RECIPE, TEXT, steps=20))
    assert 0 < apart(ours, wide) < ROUNDING[half]
    assert 0 < apart(theirs, wide) < ROUNDING[half]
    assert our_scales == their_scales


def test_scales_grow_as_torchs():
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**4, growth_interval=2)
    ours = LossScale(value=2.0**4, interval=2)
    _, scales = by_hand(torch.float16, ours, 10)
    assert scales == tuple(by_torch(torch.float16, theirs, 10))[1]
    assert scales[-1] == 2.0**9


def test_scales_fall_as_torchs_and_skipped_steps_learn_nothing():
    start = 2.0**30
    losses, scales = by_hand(torch.float16, LossScale(value=start), 6)
    their_losses, theirs = by_torch(
        torch.float16, torch.amp.GradScaler("cpu", init_scale=start), 6
    )
    assert scales == theirs == tuple(start / 2**n for n in range(1, 7))
    model = serial.fresh_model(RECIPE).half()
    for step, loss in enumerate(losses):
        batch = serial.batch(RECIPE, TEXT, step, range(RECIPE.batch))
        assert loss == precision.mean_loss(model, *batch).item()


def test_a_skipped_step_leaves_weights_and_optimizer_alone(monkeypatch):
    kept = []

    def adamw(model: GPT, recipe: serial.Recipe) -> torch.optim.AdamW:
        kept.append(serial_adamw(model, recipe))
        return kept[0]

    def state() -> list[torch.Tensor]:
        weights = [x for group in kept[0].param_groups for x in group["params"]]
        inner = [x for s in kept[0].state_dict()["state"].values() for x in s.values()]
        return deepcopy([x.detach() for x in weights + inner])

    serial_adamw = serial.adamw
    monkeypatch.setattr(serial, "adamw", adamw)
    scale = LossScale(value=2.0**19, interval=1)  # tries a larger one after each step
    run = precision.train(RECIPE, TEXT, steps=12, half=torch.float16, scale=scale)
    next(run)
    before, value, skips = state(), scale.value, []
    for _ in run:
        after, skipped = state(), scale.value < value
        same = len(before) == len(after) and all(map(torch.equal, before, after))
        assert same == skipped
        skips.append(skipped)
        before, value = after, scale.value
    assert (False, True) in pairwise(skips)


def test_a_loss_that_fp16_cannot_compute_ends_the_run():
    wild = serial.Recipe(model=RECIPE.model, batch=1, sequence=8, learning_rate=1e6)
    run = precision.train(wild, TEXT, steps=2, half=torch.float16, scale=LossScale())
    next(run)  # its update is beyond 65504
    with pytest.raises(FloatingPointError, match="loss of step 1"):
        next(run)


def test_weights_are_rounded_and_stay_tied():
    master = GPT(RECIPE.model)
    model = deepcopy(master).half()
    with torch.no_grad():
        for weight in master.parameters():
            weight.mul_(1.001)
    precision.round_weights_(master, model)
    assert model.head.weight is model.embed.weight
    for wide, narrow in zip(master.parameters(), model.parameters(), strict=True):
        assert torch.equal(narrow, wide.half()) and narrow.dtype == torch.float16


def test_gradients_are_widened_before_they_are_divided():
    master = torch.nn.Linear(2, 1)
    model = deepcopy(master).half()
    model.weight.grad = torch.tensor([[2.0**-24, 65504.0]]).half()
    master.bias.grad = torch.ones(1)  # of the step before
    precision.take_gradients_(master, model, 2.0**16)
    assert master.weight.grad.tolist() == [[2.0**-40, 65504 / 2**16]]
    assert model.weight.grad is None and master.bias.grad is None
