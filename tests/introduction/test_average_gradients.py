"""Averaged gradients are the whole batch's, on real ranks and in float64."""

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from dlsys_code.introduction.average_gradients import average_gradients, torch_sum
from dlsys_code.primitive import halving, ring, tree

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


@pytest.mark.parametrize("all_reduce", [ring.all_reduce, tree.all_reduce])
def test_any_all_reduce_will_do(world, all_reduce):
    expected = whole_batch(3, None)
    for averaged in world(3)(one_share, all_reduce, None):
        torch.testing.assert_close(averaged, expected, rtol=1e-12, atol=1e-14)


def test_all_ranks_have_the_same_bits(world):
    first, *others = world(6)(one_share, halving.all_reduce, None)
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)
