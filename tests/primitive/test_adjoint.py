"""Gradients through collectives are the gradients of one process, in float64."""

from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.primitive import adjoint
from dlsys_code.world import RankError

Definition = Callable[[list[Tensor]], list[Tensor]]


def values(rank: int, *shape: int) -> Tensor:
    seeded = torch.Generator().manual_seed(rank)
    return torch.randn(shape, generator=seeded, dtype=torch.float64)


def loss_of(y: Tensor, rank: int) -> Tensor:
    """A loss that tells ranks and elements apart and is not linear."""
    return (y * (1 + rank + torch.arange(y.numel()).view(y.shape))).sin().sum()


def run_pair(
    pairs: list[adjoint.Collective], shapes: list[tuple[int, ...]]
) -> tuple[Tensor, Tensor]:
    """This rank's output, and the gradient of its input when it adds its own loss."""
    r = dist.get_rank()
    x = values(r, *shapes[r]).requires_grad_()
    y = pairs[r](x, dist.group.WORLD)
    loss_of(y, r).backward()
    return y.detach(), x.grad


def check_summed(
    world,
    pairs: list[adjoint.Collective],
    shapes: list[tuple[int, ...]],
    definition: Definition,
) -> None:
    """On p ranks the same as in one process, where the loss is the sum of all."""
    xs = [values(r, *shape).requires_grad_() for r, shape in enumerate(shapes)]
    ys = definition(xs)
    sum(loss_of(y, r) for r, y in enumerate(ys)).backward()
    reports = world(len(shapes))(run_pair, pairs, shapes)
    for x, y, (got, gradient) in zip(xs, ys, reports, strict=True):
        torch.testing.assert_close(got, y.detach(), rtol=1e-12, atol=1e-12)
        expected = torch.zeros_like(x) if x.grad is None else x.grad
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


def only_at(root: int, value: Tensor, p: int) -> list[Tensor]:
    return [value if r == root else torch.zeros_like(value) for r in range(p)]


@pytest.mark.parametrize("p", [1, 2, 3, 5])
def test_pairs_without_a_root(world, p):
    for pair, shape, definition in [
        (adjoint.sum_all, (2, 3), lambda xs: [sum(xs)] * p),
        (adjoint.gather_all, (3,), lambda xs: [torch.stack(xs)] * p),
        (adjoint.sum_rows, (p, 3), lambda xs: list(sum(xs))),
    ]:
        check_summed(world, [pair] * p, [shape] * p, definition)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data(), p=st.sampled_from([1, 2, 3, 5]))
def test_pairs_with_a_root(world, data, p):
    root = data.draw(st.integers(0, p - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=p, max_size=p))
    all_rows, rows = [(sum(lengths), 2)] * p, [(n, 2) for n in lengths]
    for pair, shapes, definition in [
        (adjoint.from_root(root), [(2, 3)] * p, lambda xs: [xs[root]] * p),
        (adjoint.to_root(root), [(2, 3)] * p, lambda xs: only_at(root, sum(xs), p)),
        (adjoint.deal(lengths, root), all_rows, lambda xs: xs[root].split(lengths)),
        (
            adjoint.collect(lengths, root),
            rows,
            lambda xs: only_at(root, torch.cat(xs), p),
        ),
    ]:
        check_summed(world, [pair] * p, shapes, definition)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(data=st.data(), p=st.sampled_from([1, 2, 3, 5]))
def test_an_all_to_all_with_any_shares(world, data, p):
    row = st.lists(st.integers(0, 3), min_size=p, max_size=p)
    shares = data.draw(st.lists(row, min_size=p, max_size=p))
    pairs = [adjoint.swap(shares[r], [sends[r] for sends in shares]) for r in range(p)]

    def transposed(xs: list[Tensor]) -> list[Tensor]:
        pieces = [x.split(sends) for x, sends in zip(xs, shares, strict=True)]
        return [torch.cat(column) for column in zip(*pieces, strict=True)]

    check_summed(world, pairs, [(sum(sends), 2) for sends in shares], transposed)


def two_layers(into: adjoint.Collective, out: adjoint.Collective) -> Tensor:
    """Each rank has a slice of the hidden units: x -> w_r x -> sum -> one loss."""
    everyone, r = dist.group.WORLD, dist.get_rank()
    x = values(99, 4).requires_grad_()
    hidden = (values(r, 3, 4) @ into(x, everyone)).tanh()
    loss_of(out(values(r, 2, 3) @ hidden, everyone), 0).backward()
    return x.grad


def two_layers_in_one_process(p: int) -> Tensor:
    x = values(99, 4).requires_grad_()
    branches = [values(r, 2, 3) @ (values(r, 3, 4) @ x).tanh() for r in range(p)]
    loss_of(sum(branches), 0).backward()
    return x.grad


@pytest.mark.parametrize("p", [1, 2, 3, 5])
def test_a_replicated_loss_counts_once(world, p):
    expected = two_layers_in_one_process(p)
    for gradient in world(p)(two_layers, adjoint.copy_in, adjoint.sum_out):
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


def test_the_wrong_convention_counts_a_replicated_loss_p_times(world):
    expected = 3 * two_layers_in_one_process(3)
    for gradient in world(3)(two_layers, adjoint.copy_in, adjoint.sum_all):
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


def differentiate_twice() -> None:
    x = values(0, 3).requires_grad_()
    y = adjoint.sum_all(x, dist.group.WORLD).pow(2).sum()
    (gradient,) = torch.autograd.grad(y, x, create_graph=True)
    gradient.sum().backward()


def test_second_derivatives_are_refused(world):
    with pytest.raises(RankError, match="once_differentiable"):
        world(1)(differentiate_twice)
