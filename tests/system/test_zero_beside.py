"""Contenders of the race do the same work: their losses are the same, step by step."""

from collections import Counter
from functools import partial

import pytest
import torch
import torch.distributed as dist

from dlsys_code.introduction import serial
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system.beside import race
from dlsys_code.system.zero_beside import fully_sharded, ours, zero_redundancy
from dlsys_code.system.zero_gradients import GradientShards
from dlsys_code.system.zero_weights import WeightShards

MODEL = GPTConfig(width=8, layers=2, heads=2, key_value_heads=1, hidden=6)
RECIPE = Recipe(
    model=MODEL, batch=4, sequence=6, dtype=torch.float64, learning_rate=0.05
)
CONTENDERS = {
    "stage 1": partial(ours, recipe=RECIPE),
    "stage 2": partial(ours, recipe=RECIPE, shards=GradientShards),
    "stage 3": partial(ours, recipe=RECIPE, shards=WeightShards),
    "ZeroRedundancyOptimizer": partial(zero_redundancy, recipe=RECIPE),
    "fully_shard": partial(fully_sharded, recipe=RECIPE),
}


@pytest.mark.parametrize("p", [1, 2])
def test_all_contenders_lose_alike(world, p):
    def losses() -> dict[str, list[float]]:
        steps = {name: make(dist.group.WORLD) for name, make in CONTENDERS.items()}
        return {name: [step() for _ in range(4)] for name, step in steps.items()}

    for found in world(p)(losses):
        first, *others = found.values()
        assert first[-1] < first[0] - 0.1
        for other in others:
            assert other == pytest.approx(first, rel=1e-11)


def handed(steps: int, name: str) -> None:
    step = CONTENDERS[name](dist.group.WORLD)
    for _ in range(steps):
        step()


def test_what_a_step_hands_to_collectives(world):
    """Bytes of tensors, not of the wire; of the third step: torch prepares itself."""

    def of_third(name: str) -> Counter:
        both = []
        for steps in (2, 3):
            events = world(2).trace(handed, steps, name).events
            mine = [e for e in events if e.kind == "collective" and e.rank == 0]
            both.append(Counter())
            for event in mine:
                both[-1][event.op] += event.bytes
        return both[1] - both[0]

    model = serial.fresh_model(RECIPE)
    n = 8 * sum(w.numel() for w in model.parameters())
    outside = n - 8 * sum(w.numel() for w in model.blocks.parameters())
    all_gather, reduce_scatter = "all_gather", "reduce_scatter"
    twice = {reduce_scatter: n, all_gather: n}
    assert of_third("stage 1") == of_third("stage 2") == twice
    assert of_third("stage 3") == {reduce_scatter: n, all_gather: 2 * n}
    # fully_shard keeps what is in no block between the passes.
    kept = {reduce_scatter: n, all_gather: 2 * n - outside}
    assert of_third("fully_shard") == kept
    # Updated weights are broadcast by their owners: n more than an all-reduce's half.
    redundancy = of_third("ZeroRedundancyOptimizer")
    assert redundancy["all_reduce"] == redundancy["broadcast"] == n


def test_they_can_race(world):
    times = world(2)(partial(race, CONTENDERS, rounds=2))[0]
    assert list(times) == list(CONTENDERS)
