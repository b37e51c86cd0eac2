"""Recomputed blocks give the same gradient bit by bit, and keep what they should."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import (
    GPT,
    GPTConfig,
    explicit_attention,
    fused_attention,
)
from dlsys_code.introduction.memory import Bytes, saved_for_backward, watch
from dlsys_code.introduction.recomputation import (
    Setting,
    memory_against_time,
    recompute_,
    recomputed,
)

SMALL = serial.Recipe(
    model=GPTConfig(width=32, layers=4, heads=4, key_value_heads=2, hidden=40),
    batch=3,
    sequence=10,
)
TEXT = tokens.documentation()
DATA = serial.batch(SMALL, TEXT, 0, range(SMALL.batch))


def by_torch(block: nn.Module, *inputs: Tensor) -> Tensor:
    return checkpoint(type(block).forward, block, *inputs, use_reentrant=False)


def plainly(block: nn.Module, *inputs: Tensor) -> Tensor:
    return type(block).forward(block, *inputs)


class Dropping(nn.Module):
    """A block with random state, a frozen weight, an idle one and a nested no_grad."""

    def __init__(self):
        super().__init__()
        self.linear, self.again = nn.Linear(6, 6), nn.Linear(6, 6)
        self.frozen = nn.Parameter(torch.ones(6), requires_grad=False)
        self.idle = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        y = nn.functional.dropout(self.linear(x) * self.frozen, 0.5)
        with torch.no_grad():
            size = y.abs().mean()
        return x + self.again(self.again(y * scale) / size)


def same_bits(ours: list[Tensor | None], theirs: list[Tensor | None]) -> bool:
    return all(
        (x is None and y is None) or (x is not None and torch.equal(x, y))
        for x, y in zip(ours, theirs, strict=True)
    )


def gradients(model: nn.Module) -> list[Tensor | None]:
    return [p.grad for p in model.parameters()]


def of_gpt(how: Callable, dtype: torch.dtype, attention: Callable) -> list[Tensor]:
    model = GPT(SMALL.model, attention=attention).to(dtype)
    recompute_(model.blocks, how)
    for _ in range(2):  # the second gradient is added to the first
        loss = serial.mean_loss(model, *DATA)
        loss.backward()
    return [loss.detach(), *gradients(model)]


@pytest.mark.parametrize("how", [recomputed, by_torch])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("attention", [fused_attention, explicit_attention])
def test_the_gradient_is_the_same_bit_by_bit(how, dtype, attention):
    expected = of_gpt(plainly, dtype, attention)
    assert all(x is not None for x in expected)
    assert same_bits(of_gpt(how, dtype, attention), expected)


@pytest.mark.parametrize("needs", [(True, True), (True, False), (False, False)])
def test_random_numbers_are_drawn_again(needs):
    def run(how: Callable) -> list[Tensor | None]:
        torch.manual_seed(5)
        blocks = nn.ModuleList(Dropping() for _ in range(3))
        recompute_(blocks, how)
        x = torch.randn(7, 6).requires_grad_(needs[0])
        scale = torch.rand(6).requires_grad_(needs[1])
        y = x
        for block in blocks:
            y = block(y, scale)
        y.square().sum().backward()
        assert blocks[0].idle.grad is None and blocks[0].frozen.grad is None
        # The stream of random numbers goes on as if nothing had been drawn again.
        return [y.detach(), torch.rand(3), x.grad, scale.grad, *gradients(blocks)]

    expected = run(plainly)
    assert (expected[2] is not None, expected[3] is not None) == needs
    assert expected[-1] is not None
    assert same_bits(run(recomputed), expected)
    assert same_bits(run(by_torch), expected)


@pytest.mark.parametrize("backward_inside", [True, False])
def test_autocast_casts_again(backward_inside):
    def run(how: Callable) -> list[Tensor | None]:
        torch.manual_seed(5)
        block, x, scale = Dropping(), torch.randn(7, 6), torch.ones(6)
        recompute_([block], how)
        with torch.autocast("cpu", torch.bfloat16):
            y = block(x, scale).float().square().sum()
            if backward_inside:
                y.backward()
        if not backward_inside:
            y.backward()
        return [y.detach(), *gradients(block)]

    expected = run(plainly)
    assert expected[-1] is not None
    assert same_bits(run(recomputed), expected)


def test_recomputed_inside_recomputed():
    class Pair(nn.Module):
        def __init__(self, how: Callable):
            super().__init__()
            self.parts = nn.ModuleList(Dropping() for _ in range(2))
            recompute_(self.parts, how)

        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return self.parts[1](self.parts[0](x, scale), scale)

    def run(how: Callable) -> list[Tensor | None]:
        torch.manual_seed(5)
        pair = Pair(how)
        recompute_([pair], how)
        y = pair(torch.randn(7, 6), torch.ones(6)).square().sum()
        y.backward(retain_graph=True)
        y.backward()
        return [y.detach(), *gradients(pair)]

    assert same_bits(run(recomputed), run(plainly))


def test_a_model_keeps_its_names_and_can_be_copied_and_turned_back():
    model = serial.fresh_model(SMALL)
    names = list(model.state_dict())
    recompute_(model.blocks)
    recompute_(model.blocks)  # once more changes nothing
    twin = copy.deepcopy(model)
    assert list(model.state_dict()) == list(twin.state_dict()) == names
    serial.mean_loss(twin, *DATA).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in twin.parameters())
    few = len(saved_for_backward(twin, lambda: serial.mean_loss(twin, *DATA)))
    for block in twin.blocks:
        del block.forward
    many = len(saved_for_backward(twin, lambda: serial.mean_loss(twin, *DATA)))
    assert few < many


def test_a_second_derivative_is_refused():
    block, x = Dropping(), torch.ones(2, 6, requires_grad=True)
    y = recomputed(block, x, torch.ones(6)).square().sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_without_gradients_nothing_is_kept():
    model = serial.fresh_model(SMALL)
    recompute_(model.blocks)
    with watch(model) as memory, torch.no_grad():
        serial.mean_loss(model, *DATA)
    assert memory.peak.activations == 0


@pytest.mark.parametrize("attention", [fused_attention, explicit_attention])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_inputs_are_kept_and_one_block_at_a_time_is_made_anew(attention, layers):
    config, b, T = replace(SMALL.model, layers=layers, vocabulary=16), 16, 48
    recipe = replace(SMALL, model=config, batch=b, sequence=T)
    data = serial.batch(recipe, TEXT % 16, 0, range(b))

    def measure(how: Callable) -> tuple[int, list[int], Bytes]:
        model = GPT(config, attention=attention)
        recompute_(model.blocks, how)
        arrivals = []  # activations as each block's own backward pass begins

        def note_arrival(module: nn.Module, inputs: tuple, y: Tensor) -> None:
            if y.requires_grad:
                y.register_hook(lambda _: arrivals.append(memory.now.activations))

        for block in model.blocks:
            block.feed_forward.register_forward_hook(note_arrival)
        with watch(model) as memory:
            loss = serial.mean_loss(model, *data)
            forward = memory.now.activations
            loss.backward()
        return forward, arrivals, memory.peak

    def made_by_one_block() -> int:
        block = GPT(config, attention=attention).blocks[0]
        x = torch.ones(b, T, config.width, requires_grad=True)
        turns = torch.ones(2, T, config.head_width)
        with watch(block) as memory:
            y = block(x, *turns)
            kept = memory.now.activations  # without its inputs, which were there
        assert y.requires_grad
        return kept

    item, one = 4, made_by_one_block()
    kept_input, turns = b * T * config.width * item, 2 * T * config.head_width * item
    full, _, full_peak = measure(plainly)
    ours, arrivals, our_peak = measure(recomputed)
    assert ours == full - layers * one
    assert ours == measure(by_torch)[0]
    inputs_left = [turns + count * kept_input for count in range(layers, 0, -1)]
    assert arrivals == [left + one for left in inputs_left]
    assert our_peak.activations <= inputs_left[0] + one
    assert layers == 1 or our_peak.total < full_peak.total


def test_memory_against_time_has_a_row_for_each_setting():
    settings = [
        Setting(),
        Setting(micro_batches=3),
        Setting(recompute=True),
        Setting(micro_batches=3, recompute=True),
    ]
    recipe = replace(SMALL, batch=24, sequence=48)
    rows = memory_against_time(recipe, TEXT, settings, rounds=1)
    assert [row.setting for row in rows] == settings
    assert all(row.seconds > 0 for row in rows)
    whole, parts, again, both = (row.peak for row in rows)
    assert whole.activations > parts.activations > both.activations
    assert whole.activations > again.activations > both.activations
    assert {peak.weights for peak in (whole, parts, again, both)} == {whole.weights}
    counters = 4 * len(list(serial.fresh_model(SMALL).parameters()))
    assert whole.optimizer == 2 * whole.weights + counters


def test_memory_against_time_refuses_what_it_cannot_measure():
    with pytest.raises(ValueError, match="not 0"):
        memory_against_time(SMALL, TEXT, [Setting()], rounds=0)
    with pytest.raises(ValueError, match="3 sequences cannot be cut into 2"):
        memory_against_time(SMALL, TEXT, [Setting(micro_batches=2)])
