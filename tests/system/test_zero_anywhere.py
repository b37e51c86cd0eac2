"""Whatever ranks, sizes and norm: all stages learn what one process learns."""

from functools import partial
from math import inf

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.average_gradients import share
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system.zero import OptimizerShards
from dlsys_code.system.zero_clipping import clip_
from dlsys_code.system.zero_gradients import GradientShards
from dlsys_code.system.zero_weights import WeightShards

STEPS = 2
STAGES = [OptimizerShards, GradientShards, WeightShards]
# AdamW divides by at least 1e-8: see `test_zero`.
CLOSE = {"rtol": 1e-11, "atol": 1e-10}


@st.composite
def recipes(draw: st.DrawFn, p: int) -> Recipe:
    """Models with units of any size, also smaller than the number of ranks."""
    model = GPTConfig(
        vocabulary=256 + draw(st.integers(0, 3)),
        width=2 * draw(st.integers(1, 5)),
        layers=draw(st.integers(1, 3)),
        heads=1,
        key_value_heads=1,
        hidden=draw(st.integers(1, 7)),
        tied=draw(st.booleans()),
    )
    batch, sequence = p * draw(st.integers(1, 2)), draw(st.integers(1, 6))
    return Recipe(model=model, batch=batch, sequence=sequence, dtype=torch.float64)


def text() -> Tensor:
    return tokens.documentation()[:5_000]


def alone(how: Recipe, max_norm: float, parts: int) -> list[Tensor]:
    """Weights of one process after some steps of some micro-batches each."""
    model = serial.fresh_model(how)
    optimizer = serial.adamw(model, how)
    for step in range(0, STEPS * parts, parts):
        for part in range(parts):
            data = serial.batch(how, text(), step + part, range(how.batch))
            (serial.mean_loss(model, *data) / parts).backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        optimizer.zero_grad()
    return [weight.detach() for weight in model.parameters()]


def on_ranks(how: Recipe, max_norm: float, parts: int, stage: type) -> list[Tensor]:
    """The same by shards; this rank's weights, gathered if need be."""
    model, group = serial.fresh_model(how), dist.group.WORLD
    make = partial(serial.adamw, recipe=how)
    blocks, mine = list(model.blocks), share(how, group)
    shards = stage(model, blocks, group, make_optimizer=make, max_norm=max_norm)
    for step in range(0, STEPS * parts, parts):
        for part in range(parts):
            data = serial.batch(how, text(), step + part, mine)
            shards.backward(serial.mean_loss(model, *data) / parts)
        shards.step()
    if stage is WeightShards:
        for flat in shards.flats:
            shards.use(flat, None)
    return [weight.detach().clone() for weight in model.parameters()]


def every_stage(how: Recipe, max_norm: float, parts: int) -> list[list[Tensor]]:
    return [on_ranks(how, max_norm, parts, stage) for stage in STAGES]


@settings(derandomize=True, deadline=None, max_examples=20)
@given(data=st.data(), p=st.integers(1, 8))
def test_all_stages_learn_what_one_process_learns(world, data, p):
    how = data.draw(recipes(p))
    norm = data.draw(st.sampled_from([inf, 1e-3, 0.1, 0.5, 2.0]))
    parts = data.draw(st.integers(1, 2))
    (expected,) = world(1)(alone, how, norm, parts)
    for stages in world(p)(every_stage, how, norm, parts):
        for weights in stages:
            torch.testing.assert_close(weights, expected, **CLOSE)


# ------------------------------------------------------------ clipping alone


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    p=st.integers(1, 8),
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    size=st.sampled_from([0.0, 1e-6, 1.0, 1e3]),
    max_norm=st.sampled_from([1e-3, 0.5, 1.0, 20.0]),
)
def test_shards_are_clipped_as_torch_clips_the_whole(world, p, sizes, size, max_norm):
    drawn = torch.Generator().manual_seed(sum(sizes))
    whole = [
        size * torch.randn(p, k, generator=drawn, dtype=torch.float64) for k in sizes
    ]
    together = nn.Parameter(torch.zeros(p * sum(sizes), dtype=torch.float64))
    together.grad = torch.cat([rows.flatten() for rows in whole])
    nn.utils.clip_grad_norm_([together], max_norm)

    def clipped() -> list[Tensor]:
        own = [rows[dist.get_rank()].clone() for rows in whole]
        clip_(own, dist.group.WORLD, max_norm)
        return own

    found = [torch.stack(rows) for rows in zip(*world(p)(clipped), strict=True)]
    flat = torch.cat([rows.flatten() for rows in found])
    torch.testing.assert_close(flat, together.grad, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_norm_of_gradients_in_16_bits_is_taken_in_32(world, dtype):
    """Its square is above 65504, the largest number of float16."""

    def clipped() -> Tensor:
        own = torch.full((5000,), 100.0 * (1 + dist.get_rank()), dtype=dtype)
        clip_([own], dist.group.WORLD, 5.0)
        return own

    for r, found in enumerate(world(2)(clipped)):
        share = 5 * (1 + r) / (5000 * (1 + 4)) ** 0.5
        expected = torch.full((5000,), share, dtype=torch.float64)
        torch.testing.assert_close(found.double(), expected, rtol=2.0**-7, atol=0)


def by_fully_shard(how: Recipe, max_norm: float) -> tuple[list[Tensor], list[float]]:
    """Weights by torch's own stage 3, clipped by torch; the norms that it found."""
    model, mine = serial.fresh_model(how), share(how, dist.group.WORLD)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for part in [*model.blocks, model]:
        fully_shard(part, mesh=mesh)
    optimizer, norms = serial.adamw(model, how), []
    for step in range(STEPS):
        serial.mean_loss(model, *serial.batch(how, text(), step, mine)).backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        norms.append(norm.full_tensor().item() if isinstance(norm, DTensor) else norm)
        optimizer.step()
        optimizer.zero_grad()
    return [weight.full_tensor().detach() for weight in model.parameters()], norms


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("p", [2, 3])
def test_fully_shard_clips_to_the_same_weights(world, p, stage):
    model = GPTConfig(width=6, layers=2, heads=1, key_value_heads=1, hidden=5)
    how = Recipe(model=model, batch=6, sequence=5, dtype=torch.float64)
    ours = world(p)(on_ranks, how, 0.3, 1, stage)
    for weights, (expected, norms) in zip(
        ours, world(p)(by_fully_shard, how, 0.3), strict=True
    ):
        assert min(norms) > 0.3
        torch.testing.assert_close(weights, expected, **CLOSE)
