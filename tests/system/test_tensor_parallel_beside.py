"""DTensor's plan and our shares: one loss, one gradient, the same bytes."""

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe, fresh_model
from dlsys_code.system import tensor_parallel_beside as beside
from dlsys_code.system.beside import race
from dlsys_code.system.tensor_parallel_plan import torchs_loss, torchs_model
from dlsys_code.system.tensor_parallel_shares import whole_gradients
from dlsys_code.world import World

CONFIG = GPTConfig(
    vocabulary=264, width=48, layers=2, heads=24, key_value_heads=12, hidden=36
)


def recipe(tied: bool) -> Recipe:
    config = GPTConfig(**vars(CONFIG) | {"tied": tied})
    return Recipe(model=config, batch=3, sequence=12, dtype=torch.float64)


def whole(model: nn.Module) -> dict[str, Tensor]:
    """The gradients of torch's model, put together."""
    return {
        name: x.grad.full_tensor() if isinstance(x.grad, DTensor) else x.grad
        for name, x in model.named_parameters()
    }


def both(how: Recipe, shared: bool) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Loss and whole gradients, ours and torch's."""
    tp, start = dist.group.WORLD, fresh_model(how)
    ours = beside.our_model(start, tp, tokens_shared=shared)
    theirs = torchs_model(start, tp, tokens_shared=shared)
    loss = beside.our_loss(ours, *beside.samples(how), tokens_shared=shared)
    their_loss = torchs_loss(theirs, *beside.samples(how))
    return [(loss, whole_gradients(ours, tp)), (their_loss, whole(theirs))]


@pytest.mark.parametrize(
    ("p", "tied", "shared"),
    [(2, True, False), (3, False, False), (4, True, True), (2, False, True)],
)
def test_torchs_plan_gives_the_same_loss_and_gradients(world, p, tied, shared):
    for (loss, ours), (their_loss, theirs) in world(p)(both, recipe(tied), shared):
        assert loss.item() == pytest.approx(their_loss.item(), rel=1e-14)
        assert ours.keys() == theirs.keys()
        for name, gradient in theirs.items():
            limit = 1e-12 * gradient.abs().max().item()
            torch.testing.assert_close(ours[name], gradient, rtol=0, atol=limit)


def one(how: Recipe, shared: bool, torchs: bool) -> None:
    """Forward and backward of one of them."""
    tp, start, words = dist.group.WORLD, fresh_model(how), beside.samples(how)
    if torchs:
        torchs_loss(torchs_model(start, tp, tokens_shared=shared), *words)
    else:
        model = beside.our_model(start, tp, tokens_shared=shared)
        beside.our_loss(model, *words, tokens_shared=shared)


def calls(trace) -> dict[str, list[int]]:
    """Elements of the calls of rank 0, by operation; torch scatters its weights."""
    found = {}
    for e in trace.events:
        if e.rank == 0 and e.kind == "collective" and e.op != "scatter":
            found.setdefault(e.op, []).append(e.bytes // 8)
    return found


@pytest.mark.parametrize("p", [2, 3])
def test_torch_sends_the_same_bytes(world, p):
    t, h, layers = 3 * 12, CONFIG.width, CONFIG.layers
    counts = [calls(world(p).trace(one, recipe(True), False, x)) for x in (0, 1)]
    assert [list(count) for count in counts] == [["all_reduce"]] * 2
    ours, theirs = (sorted(count["all_reduce"]) for count in counts)
    assert sum(ours) == sum(theirs) == 2 * (2 * layers + 1) * t * h + 3 * t
    assert len(ours) == len(theirs) - 1  # the loss: [t, 2 t] and [t, t, t]


@pytest.mark.parametrize("p", [2, 3])
def test_torch_gathers_and_scatters_the_same_tokens(world, p):
    ours, theirs = (
        calls(world(p).trace(one, recipe(True), True, x)) for x in (False, True)
    )
    gains = (2 * CONFIG.layers + 1) * CONFIG.width
    assert ours.pop("all_reduce") == [3 * 12, 2 * 3 * 12, gains]
    assert theirs.pop("all_reduce") == [3 * 12] * 3  # gains are left as parts
    assert ours == theirs and len(ours["all_gather"]) == 2 * (2 * CONFIG.layers + 1)


@pytest.mark.parametrize("shared", [False, True])
def test_both_can_be_raced(shared):
    def program() -> int:
        return len(
            race(beside.contenders(recipe(True), tokens_shared=shared), rounds=2)
        )

    with World(2, device="cpu") as world:
        assert world(program) == [2, 2]
