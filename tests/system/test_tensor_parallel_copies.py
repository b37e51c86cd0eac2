"""Key-value heads on several ranks: copies that stay alike learn what one would."""

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.introduction import serial
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.primitive import ring
from dlsys_code.system import sequence_parallel as sequence
from dlsys_code.system import tensor_parallel as tensor
from dlsys_code.system import tensor_parallel_copies as copies
from dlsys_code.system import tensor_parallel_shares as shares

LAYERS, T = 2, 12


def recipe(g: int) -> serial.Recipe:
    config = GPTConfig(
        vocabulary=24, width=48, layers=LAYERS, heads=12, key_value_heads=g, hidden=36
    )
    return serial.Recipe(model=config, batch=2, sequence=T, dtype=torch.float64)


@pytest.fixture(scope="module")
def text() -> Tensor:
    return torch.arange(600).remainder(24).pow(2).remainder(23).to(torch.uint8)


WAYS = {"tensor": tensor.train, "sequence": sequence.train}


def run(how: serial.Recipe, text: Tensor, way: str) -> list[float]:
    return list(WAYS[way](how, text, dist.group.WORLD, steps=3))


@pytest.mark.parametrize(("p", "g"), [(2, 1), (4, 1), (4, 2), (3, 1)])
@pytest.mark.parametrize("way", WAYS)
def test_copies_learn_what_one_process_learns(world, text, p, g, way):
    expected = list(serial.train(recipe(g), text, steps=3))
    assert max(expected) - min(expected) > 1e-3
    for losses in world(p)(run, recipe(g), text, way):
        assert losses == pytest.approx(expected, rel=1e-12)


def key_gradients(complete: bool) -> list[Tensor]:
    """The gradients of this rank's keys: of a head that it has in common."""
    tp = dist.group.WORLD
    model = tensor.TensorParallelGPT(serial.fresh_model(recipe(2)), tp)
    inputs = torch.arange(2 * T).view(2, T)
    tensor.mean_loss(model, inputs, inputs.flip(1)).backward()
    if complete:
        copies.sum_copies(model, tp)
    return [block.attention.key.weight.grad for block in model.blocks]


def test_without_the_sum_copies_part(world):
    for complete in (True, False):
        ranks = world(4)(key_gradients, complete)
        for layer in range(LAYERS):
            first, second, third, fourth = (grads[layer] for grads in ranks)
            assert torch.equal(first, second) == complete
            assert torch.equal(third, fourth) == complete
            assert not torch.equal(second, third)


def summed(g: int) -> None:
    model = tensor.TensorParallelGPT(serial.fresh_model(recipe(g)), dist.group.WORLD)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    parts = copies.held_by_several(model, dist.get_world_size())
    heads = {name: n for name, n in parts.items() if "attention" in name}
    copies.sum_parts(heads, model, dist.group.WORLD, all_reduce=ring.all_reduce)
    for name in heads:
        weight = model.get_parameter(name)
        assert torch.equal(weight.grad, torch.full_like(weight, 4 / g))


@pytest.mark.parametrize("g", [1, 2, 4])
def test_the_sum_sends_what_the_formula_says(world, g):
    d, h = 4, 48
    n = 2 * LAYERS * g * d * h * 8  # bytes of all keys and values
    expected = 2 * 3 * n // 4 if g < 4 else 0
    assert world(4).trace(summed, g).bytes_sent() == [expected] * 4


def silent() -> None:
    model = tensor.TensorParallelGPT(serial.fresh_model(recipe(4)), dist.group.WORLD)
    copies.sum_copies(model, dist.group.WORLD)


def test_no_copies_no_message(world):
    assert not [e for e in world(4).trace(silent).events if e.kind == "collective"]


def value_weight() -> Tensor:
    how = recipe(2)
    whole = serial.fresh_model(how)
    model = tensor.TensorParallelGPT(whole, dist.group.WORLD)
    everything = shares.whole_weights(model, dist.group.WORLD)
    name = "blocks.1.attention.value.weight"
    assert torch.equal(everything[name], whole.get_parameter(name))
    return model.get_parameter(name)


def test_neighbours_hold_the_same_head(world):
    first, second, third, fourth = world(4)(value_weight)
    assert first.shape == (4, 48)
    assert torch.equal(first, second) and torch.equal(third, fourth)
    assert not torch.equal(first, third)


COMPLETE = {"tensor": copies.sum_copies, "sequence": sequence.sum_gains}
ENDS = {"tensor": tensor.replicated, "sequence": sequence.sharded}


def with_frozen(how: serial.Recipe) -> GPT:
    """A model whose gains and keys do not learn, as beside an adapter."""
    model = serial.fresh_model(how)
    for name, weight in model.named_parameters():
        weight.requires_grad_(not ("norm" in name or "key" in name))
    return model


def frozen_gradients(way: str) -> dict[str, Tensor]:
    tp = dist.group.WORLD
    model = tensor.TensorParallelGPT(with_frozen(recipe(2)), tp, ends=ENDS[way])
    inputs = torch.arange(2 * T).view(2, T)
    tensor.mean_loss(model, inputs, inputs.flip(1)).backward()
    COMPLETE[way](model, tp)
    return shares.whole_gradients(model, tp)


@pytest.mark.parametrize("way", WAYS)
def test_frozen_weights_stay_without_a_gradient(world, way):
    model = with_frozen(recipe(2))
    inputs = torch.arange(2 * T).view(2, T)
    serial.mean_loss(model, inputs, inputs.flip(1)).backward()
    learning = {n: x.grad for n, x in model.named_parameters() if x.requires_grad}
    for gradients in world(4)(frozen_gradients, way):
        assert list(gradients) == list(learning)
        torch.testing.assert_close(gradients, learning, rtol=1e-11, atol=1e-14)
