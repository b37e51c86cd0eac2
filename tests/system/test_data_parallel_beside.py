"""The contenders of the race train the same model."""

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system import data_parallel_beside as beside
from dlsys_code.system.beside import race

MODEL = GPTConfig(width=8, layers=2, heads=2, key_value_heads=1, hidden=6)
RECIPE = Recipe(model=MODEL, batch=4, sequence=5, dtype=torch.float64)


def trained() -> dict[str, list[Tensor]]:
    """The weights of each contender after three steps."""
    found = {}
    for name, wrap in {
        "ours": beside.ours,
        "torch": beside.torchs,
        "after": beside.after,
    }.items():
        kept: list[nn.Module] = []

        def keep(model: nn.Module, group: object, wrap=wrap, kept=kept) -> tuple:
            kept.append(model)
            return wrap(model, group)

        text = tokens.documentation()[:2000]
        step = beside.contender(RECIPE, text, keep)(dist.group.WORLD)
        for _ in range(3):
            step()
        found[name] = [weight.detach() for weight in kept[0].parameters()]
    return found


@pytest.mark.parametrize("p", [1, 2, 4])
def test_all_contenders_train_the_same_model(world, p):
    for found in world(p)(trained):
        for name in ("torch", "after"):
            torch.testing.assert_close(
                found["ours"], found[name], rtol=1e-12, atol=1e-11
            )


def raced() -> dict[str, int]:
    text = tokens.documentation()[:2000]
    times = race(beside.contenders(RECIPE, text), rounds=2)
    return {name: len(seconds) for name, seconds in times.items()}


def test_they_race(world):
    assert world(2)(raced) == [{"ours": 2, "torch": 2, "after": 2}] * 2


def peaks() -> list:
    text, group = tokens.documentation()[:2000], dist.group.WORLD
    ways = (beside.ours, beside.torchs)
    return [beside.peak_bytes(RECIPE, text, group, wrap=wrap) for wrap in ways]


def test_at_the_peak_there_is_one_copy_of_the_gradients_as_in_torchs(world):
    n = sum(weight.nbytes for weight in serial.fresh_model(RECIPE).parameters())
    for ours, torchs in world(2)(peaks):
        assert ours == torchs
        assert ours.weights == ours.gradients == n
        assert ours.activations > 0
