"""Averaged gradients are the whole batch's, on real ranks and in float64."""

from collections.abc import Callable
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from dlsys_code.introduction import average_gradients as parallel
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.average_gradients import (
    average_at_once,
    average_gradients,
    torch_sum,
)
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.primitive import halving, ring, tree
from dlsys_code.world import RankError

SAMPLES = 840  # divisible by 1 to 8


class Small(nn.Module):
    """A transposed weight, a frozen one, and one that only some samples reach."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.linspace(-1, 1, 15).view(5, 3).T)
        self.frozen = nn.Parameter(torch.full((5,), 0.5), requires_grad=False)
        self.rare = nn.Parameter(torch.ones(()))
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor, *, with_rare: bool) -> Tensor:
        y = torch.tanh(x @ self.first + self.frozen)
        return self.last(y * self.rare if with_rare else y)


def batch() -> tuple[Tensor, Tensor]:
    seeded = torch.Generator().manual_seed(7)
    return (
        torch.randn(SAMPLES, 3, generator=seeded, dtype=torch.float64),
        torch.randn(SAMPLES, 2, generator=seeded, dtype=torch.float64),
    )


def gradients(model: Small) -> dict[str, Tensor]:
    return {name: x.grad for name, x in model.named_parameters() if x.requires_grad}


def fresh_model() -> Small:
    torch.manual_seed(0)
    return Small().double()


def one_share(all_reduce: Callable, rare_rank: int | None) -> dict[str, Tensor]:
    """The gradients of this rank's samples, averaged; `rare` on one rank or on all."""
    rank, p = dist.get_rank(), dist.get_world_size()
    model = fresh_model()
    x, y = (part.chunk(p)[rank] for part in batch())
    with_rare = rare_rank is None or rank == rare_rank
    nn.functional.mse_loss(model(x, with_rare=with_rare), y).backward()
    average_gradients(model, dist.group.WORLD, all_reduce=all_reduce)
    assert model.frozen.grad is None
    return gradients(model)


def whole_batch(p: int, rare_rank: int | None) -> dict[str, Tensor]:
    """The same batch in one process."""
    model = fresh_model()
    parts = zip(*(part.chunk(p) for part in batch()), strict=True)
    for rank, (x, y) in enumerate(parts):
        with_rare = rare_rank is None or rank == rare_rank
        loss = nn.functional.mse_loss(model(x, with_rare=with_rare), y)
        (loss / p).backward()
    return gradients(model)


@pytest.mark.parametrize("p", range(1, 9))
def test_the_mean_is_the_gradient_of_the_whole_batch(world, p):
    model = fresh_model()
    x, y = batch()
    nn.functional.mse_loss(model(x, with_rare=True), y).backward()
    for averaged in world(p)(one_share, torch_sum, None):
        torch.testing.assert_close(averaged, gradients(model), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("rare_rank", [0, 2])
def test_a_rank_without_a_gradient_counts_as_zero(world, rare_rank):
    expected = whole_batch(4, rare_rank)
    for averaged in world(4)(one_share, torch_sum, rare_rank):
        torch.testing.assert_close(averaged, expected, rtol=1e-12, atol=1e-14)


def in_one_call(rare_rank: int | None) -> tuple[dict, dict, bool]:
    """The gradients averaged by one call for each parameter, and by one for all."""
    p = dist.get_world_size()
    mine = one_share(torch_sum, rare_rank)
    model = fresh_model()
    x, y = (part.chunk(p)[dist.get_rank()] for part in batch())
    with_rare = rare_rank is None or dist.get_rank() == rare_rank
    nn.functional.mse_loss(model(x, with_rare=with_rare), y).backward()
    average_at_once(model, dist.group.WORLD)
    return mine, gradients(model), model.frozen.grad is None


@pytest.mark.parametrize("rare_rank", [None, 1])
@pytest.mark.parametrize("p", range(1, 9))
def test_one_call_for_all_parameters_does_the_same(world, p, rare_rank):
    rare_rank = None if rare_rank is None else min(rare_rank, p - 1)
    for one_by_one, at_once, frozen_is_left in world(p)(in_one_call, rare_rank):
        torch.testing.assert_close(at_once, one_by_one, rtol=1e-12, atol=1e-14)
        assert frozen_is_left


@pytest.mark.parametrize("all_reduce", [ring.all_reduce, tree.all_reduce])
def test_any_all_reduce_will_do(world, all_reduce):
    expected = whole_batch(3, None)
    for averaged in world(3)(one_share, all_reduce, None):
        torch.testing.assert_close(averaged, expected, rtol=1e-12, atol=1e-14)


def test_all_ranks_have_the_same_bits(world):
    first, *others = world(6)(one_share, halving.all_reduce, None)
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


# ------------------------------------------------------------ a whole run

STEPS = 4
MODEL = GPTConfig(
    vocabulary=256, width=24, layers=2, heads=6, key_value_heads=3, hidden=20
)


def recipe(batch: int, *, tied: bool = True) -> Recipe:
    model = GPTConfig(**vars(MODEL) | {"tied": tied})
    return Recipe(model=model, batch=batch, sequence=9, dtype=torch.float64)


def run(how: Recipe, text: Tensor, steps: int) -> tuple[list[float], list[Tensor]]:
    """This rank's losses, and its weights after the last step."""
    model = serial.fresh_model(how)
    with mock.patch.object(serial, "fresh_model", return_value=model):
        losses = list(parallel.train(how, text, dist.group.WORLD, steps=steps))
    return losses, [x.detach() for x in model.parameters()]


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


def serial_run(how: Recipe, text: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The losses of one process, and its weights after the last step."""
    model = serial.fresh_model(how)
    with mock.patch.object(serial, "fresh_model", return_value=model):
        losses = list(serial.train(how, text, steps=STEPS))
    return torch.tensor(losses, dtype=torch.float64), list(model.parameters())


SHARED = [(1, 8), (2, 8), (4, 8), (8, 8), (3, 12), (6, 12)]  # ranks, batch


@pytest.mark.parametrize(("p", "batch"), SHARED)
def test_ranks_learn_what_one_process_learns(world, text, p, batch):
    expected, weights = serial_run(recipe(batch), text)
    (first, *others) = world(p)(run, recipe(batch), text, STEPS)
    losses = torch.tensor([own for own, _ in (first, *others)], dtype=torch.float64)
    torch.testing.assert_close(losses.mean(0), expected, rtol=0, atol=1e-12)
    assert expected.diff().abs().min() > 1e-3
    for _, other in others:
        assert all(map(torch.equal, first[1], other))
    for mine, whole in zip(first[1], weights, strict=True):
        # AdamW divides by at least 1e-8, so a rounding of 1e-17 in g moves a weight by
        # at most 1e-3 x 1e-9 a step.
        torch.testing.assert_close(mine, whole, rtol=0, atol=1e-11)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_step_moves_every_parameter_once(world, text, tied, steps):
    how = recipe(6, tied=tied)
    weights = list(serial.fresh_model(how).parameters())
    trace = world(3).trace(run, how, text, steps)
    for rank in range(3):
        calls = [e for e in trace.events if e.rank == rank and e.kind == "collective"]
        assert {e.op for e in calls} == {"all_reduce"}
        assert [e.bytes for e in calls] == [w.nbytes for w in weights] * steps
    assert trace.messages() == []


@pytest.mark.parametrize(("p", "batch"), [(2, 7), (3, 8), (8, 4)])
def test_ranks_that_cannot_share_a_batch_are_refused(world, text, p, batch):
    complaint = f"{p} ranks cannot share {batch} samples evenly"
    with pytest.raises(ValueError) as caught:
        parallel.samples_each(recipe(batch), p)
    assert str(caught.value) == complaint
    if p < 8:
        with pytest.raises(RankError) as failed:
            world(p)(run, recipe(batch), text, 1)
        assert failed.value.cause == f"ValueError: {complaint}"


def shares(how: Recipe) -> list[int]:
    return list(parallel.share(how, dist.group.WORLD))


@pytest.mark.parametrize("p", [1, 2, 4])
def test_shares_are_the_batch_in_rank_order(world, p):
    every = world(p)(shares, recipe(8))
    assert sum(every, []) == list(range(8))
    assert {len(share) for share in every} == {parallel.samples_each(recipe(8), p)}


def one_step_at_once(how: Recipe, text: Tensor) -> list[float]:
    group = dist.group.WORLD
    average = average_at_once
    return list(parallel.train(how, text, group, steps=1, average=average))


def test_all_at_once_is_one_call_of_the_same_bytes(world, text):
    how = recipe(6)
    weights = list(serial.fresh_model(how).parameters())
    trace = world(3).trace(one_step_at_once, how, text)
    for rank in range(3):
        calls = [e for e in trace.events if e.rank == rank and e.kind == "collective"]
        assert [e.bytes for e in calls] == [sum(w.nbytes for w in weights)]


def peaks(how: Recipe, text: Tensor) -> list:
    group = dist.group.WORLD
    return [
        parallel.peak_bytes(how, text, group, average=average)
        for average in (average_gradients, average_at_once)
    ]


def test_more_ranks_keep_less_of_the_activations_and_all_of_the_rest(world, text):
    how = recipe(6)
    n = sum(w.nbytes for w in serial.fresh_model(how).parameters())
    found = {p: world(p)(peaks, how, text) for p in (1, 2, 3)}
    for p, ranks in found.items():
        assert all(rank == ranks[0] for rank in ranks)
        assert {peak.weights for peak in ranks[0]} == {n}
        assert ranks[0][0].optimizer == found[1][0][0].optimizer > 2 * n
        assert p == 1 or ranks[0][0].activations < found[p - 1][0][0].activations
