"""Alone for H steps, then the mean: what it equals, and what it saves."""

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.architecture import local_sgd, plain_sgd
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.average_gradients import share
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.world import RankError

RECIPE = Recipe(
    model=GPTConfig(
        vocabulary=256, width=24, layers=2, heads=6, key_value_heads=3, hidden=20
    ),
    batch=12,
    sequence=9,
    learning_rate=0.3,
    dtype=torch.float64,
)
STEPS = 6


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


@pytest.fixture(scope="module")
def together(text) -> list[float]:
    """The losses of one process."""
    return list(plain_sgd.train(RECIPE, text, steps=STEPS))


def losses(recipe: Recipe, text: Tensor, lengths: list[int], options: dict) -> list:
    group = dist.group.WORLD
    return list(local_sgd.train(recipe, text, group, lengths=lengths, **options))


def mean(ranks: list[list[float]]) -> list[float]:
    return [sum(step) / len(step) for step in zip(*ranks, strict=True)]


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_meeting_after_every_step_is_data_parallelism(world, text, together, p):
    found = mean(world(p)(losses, RECIPE, text, [1] * STEPS, {}))
    assert found == pytest.approx(together, rel=0, abs=1e-12)
    assert together[-1] < together[0] - 0.1


def in_one_process(p: int, text: Tensor, lengths: list[int]) -> list[list[float]]:
    """The losses of p workers with plain SGD, one after the other."""
    model, each = serial.fresh_model(RECIPE), RECIPE.batch // p
    common, found, step = plain_sgd.weights_of(model), [[] for _ in range(p)], 0
    for length in lengths:
        reached = []
        for r in range(p):
            own = common.clone()
            for s in range(step, step + length):
                plain_sgd.write_(model, own)
                samples = range(r * each, (r + 1) * each)
                loss, g = plain_sgd.gradient(model, RECIPE, text, s, samples)
                own -= RECIPE.learning_rate * g
                found[r].append(loss)
            reached.append(own)
        common, step = sum(reached) / p, step + length
    return found


@pytest.mark.parametrize("lengths", [[3, 3], [2, 2, 2], [1, 1, 4], [4, 2]])
def test_workers_alone_do_as_one_process_that_plays_them_all(
    world, text, together, lengths
):
    found = world(3)(losses, RECIPE, text, lengths, {})
    expected = world(1)(in_one_process, 3, text, lengths)[0]
    for mine, its in zip(found, expected, strict=True):
        assert mine == pytest.approx(its, rel=0, abs=1e-12)
    assert max(abs(a - b) for a, b in zip(mean(found), together, strict=True)) > 1e-6


def adamw(model: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=2e-3)


def by_the_paper(text: Tensor, lengths: list[int]) -> list[float]:
    """DiLoCo, its outer step by the formula; the loss of this rank's samples."""
    group = dist.group.WORLD
    model, mine = serial.fresh_model(RECIPE), share(RECIPE, group)
    inner, step, found = adamw(model, RECIPE), 0, []
    common = plain_sgd.weights_of(model)
    velocity = torch.zeros_like(common)
    for length in lengths:
        for _ in range(length):
            found.append(plain_sgd.gradient(model, RECIPE, text, step, mine)[0])
            inner.step()
            step += 1
        total = plain_sgd.weights_of(model)
        dist.all_reduce(total)
        outer_gradient = common - total / group.size()
        velocity = 0.9 * velocity + outer_gradient
        common = common - 0.7 * (outer_gradient + 0.9 * velocity)
        plain_sgd.write_(model, common)
    return found


def test_diloco_is_adamw_inside_and_nesterov_outside(world, text):
    lengths = local_sgd.rounds(12, alone=3)
    options = {"inner": adamw, "outer": local_sgd.nesterov}
    found = world(3)(losses, RECIPE, text, lengths, options)
    for mine, its in zip(found, world(3)(by_the_paper, text, lengths), strict=True):
        assert mine == pytest.approx(its, rel=0, abs=1e-12)
    assert mean(found)[-1] < mean(found)[0] - 0.1


@pytest.mark.parametrize("alone", [1, 2, 3, 4, 12])
def test_bytes_fall_by_the_steps_alone(world, text, alone):
    lengths = local_sgd.rounds(12, alone=alone)
    trace = world(2).trace(losses, RECIPE, text, lengths, {})
    n = plain_sgd.weights_of(serial.fresh_model(RECIPE)).nbytes
    for rank in range(2):
        calls = [e for e in trace.events if e.rank == rank and e.kind == "collective"]
        assert [(e.op, e.bytes) for e in calls] == [("all_reduce", n)] * (12 // alone)
    assert trace.bytes_sent() == [0, 0]


def drift(recipe: Recipe, text: Tensor, lengths: list[int]) -> list[float]:
    apart, group = [], dist.group.WORLD
    noted = local_sgd.noting(apart)
    list(local_sgd.train(recipe, text, group, lengths=lengths, all_reduce=noted))
    return apart


def first_steps_apart(text: Tensor) -> list[float]:
    """How far from the mean of all each of 3 workers is after its first step."""
    model, reached = serial.fresh_model(RECIPE), []
    for r in range(3):
        samples = range(4 * r, 4 * r + 4)
        g = plain_sgd.gradient(model, RECIPE, text, 0, samples)[1]
        reached.append(-RECIPE.learning_rate * g)
    return [(w - sum(reached) / 3).norm().item() for w in reached]


def test_the_drift_is_the_distance_from_the_mean_before_each_meeting(world, text):
    found = world(3)(drift, RECIPE, text, [1, 4])
    assert [len(apart) for apart in found] == [2, 2, 2]
    first, second = zip(*found, strict=True)
    assert first == pytest.approx(first_steps_apart(text), rel=1e-9)
    assert min(second) > max(first)
    assert world(1)(drift, RECIPE, text, [2, 2]) == [[0, 0]]


@pytest.mark.parametrize(
    ("steps", "alone", "first", "expected"),
    [
        (6, 1, 0, [1, 1, 1, 1, 1, 1]),
        (6, 3, 0, [3, 3]),
        (8, 3, 0, [3, 3, 2]),
        (8, 3, 2, [1, 1, 3, 3]),
        (2, 5, 0, [2]),
        (3, 5, 3, [1, 1, 1]),
        (0, 2, 0, []),
    ],
)
def test_rounds_by_hand(steps, alone, first, expected):
    assert local_sgd.rounds(steps, alone=alone, first=first) == expected


@pytest.mark.parametrize("alone", [0, -3])
def test_less_than_one_step_alone_is_refused(alone):
    with pytest.raises(ValueError) as caught:
        local_sgd.rounds(6, alone=alone)
    assert str(caught.value) == f"a worker takes at least 1 step alone, not {alone}"


@pytest.mark.parametrize(("steps", "first"), [(6, 7), (6, -1)])
def test_more_steps_in_step_than_there_are_are_refused(steps, first):
    with pytest.raises(ValueError, match=f"{first} of {steps} steps"):
        local_sgd.rounds(steps, alone=2, first=first)


@pytest.mark.parametrize(
    ("lengths", "batch", "complaint"),
    [
        ([2, 0], 12, "a round has at least 1 step, not 0"),
        ([2], 7, "3 ranks cannot share 7 samples evenly"),
    ],
)
def test_bad_rounds_and_batches_are_refused_by_the_ranks(
    world, text, lengths, batch, complaint
):
    recipe = Recipe(**vars(RECIPE) | {"batch": batch})
    with pytest.raises(RankError) as failed:
        world(3)(losses, recipe, text, lengths, {})
    assert failed.value.cause == f"ValueError: {complaint}"
