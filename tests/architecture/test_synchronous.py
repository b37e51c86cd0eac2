"""Training through a parameter server is the serial run, wherever the servers are."""

import os
import signal
from dataclasses import replace
from functools import cache, partial
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from dlsys_code.architecture import traffic
from dlsys_code.architecture.keys import Values, elements, parameter_keys, range_keys
from dlsys_code.architecture.parameter_server import MakeOptimizer, Shard
from dlsys_code.architecture.placement import (
    Placement,
    apart,
    on_all_ranks,
    on_rank_0,
)
from dlsys_code.architecture.synchronous import Member, peak_bytes, train
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.memory import Bytes
from dlsys_code.introduction.serial import Recipe
from dlsys_code.world import RankError, World

STEPS = 3
MODEL = GPTConfig(
    vocabulary=256, width=24, layers=2, heads=6, key_value_heads=3, hidden=20
)
RECIPE = Recipe(model=MODEL, batch=24, sequence=9, dtype=torch.float64)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


OPTIMIZERS = {"sgd": sgd, "adamw": partial(serial.adamw, recipe=RECIPE)}
KEYS = parameter_keys(serial.fresh_model(RECIPE))


def ranges(pieces: int) -> dict[str, range]:
    return range_keys(elements(KEYS), pieces)


PLACEMENTS = {
    "one server": partial(apart, KEYS, servers=1),
    "three servers": partial(apart, ranges(3), servers=3),
    "rank 0": lambda workers, dtype: on_rank_0(KEYS, workers, dtype=dtype),
    "all ranks": lambda workers, dtype: on_all_ranks(ranges(8), workers, dtype=dtype),
    "all parameters": lambda workers, dtype: on_all_ranks(KEYS, workers, dtype=dtype),
}


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


@cache
def serial_losses(name: str) -> Tensor:
    """The losses of one process with an optimizer."""
    make, text = OPTIMIZERS[name], tokens.documentation()[:20_000]
    with mock.patch.object(serial, "adamw", lambda model, recipe: make(model)):
        losses = list(serial.train(RECIPE, text, steps=STEPS))
    return torch.tensor(losses, dtype=torch.float64)


def run(
    placement: Placement, text: Tensor, make_optimizer: MakeOptimizer, steps: int
) -> list[float]:
    """This rank's losses."""
    options = {"steps": steps, "make_optimizer": make_optimizer}
    group = dist.group.WORLD
    return list(train(RECIPE, text, group, placement=placement, **options))


def states(
    placement: Placement, text: Tensor, make_optimizer: MakeOptimizer
) -> list[int]:
    """The elements of every optimizer state that this rank keeps after a step."""
    group = dist.group.WORLD
    member = Member(RECIPE, placement, group.rank(), make_optimizer)
    member.step(text, 0, group)
    optimizer = member.shard.optimizer
    kept = optimizer.state.values() if optimizer else []
    return [x.numel() for state in kept for x in state.values() if x.dim()]


def peak(
    placement: Placement, text: Tensor, make_optimizer: MakeOptimizer, batch: int
) -> Bytes:
    how, group = replace(RECIPE, batch=batch), dist.group.WORLD
    options = {"placement": placement, "make_optimizer": make_optimizer}
    return peak_bytes(how, text, group, **options)


THREE = ["one server", "rank 0", "all ranks"]
CASES = [
    *((p, where, "adamw") for p in (1, 2, 3, 4) for where in THREE),
    *((3, where, name) for where in PLACEMENTS for name in OPTIMIZERS),
    (8, "all ranks", "adamw"),
]


@pytest.mark.parametrize(("p", "where", "optimizer"), sorted(set(CASES)))
def test_workers_learn_what_one_process_learns(world, text, p, where, optimizer):
    make, expected = OPTIMIZERS[optimizer], serial_losses(optimizer)
    placement = PLACEMENTS[where](workers=p, dtype=torch.float64)
    reports = world(placement.ranks)(run, placement, text, make, STEPS)
    losses = [reports[rank] for rank in placement.workers]
    mean = torch.tensor(losses, dtype=torch.float64).mean(0)
    torch.testing.assert_close(mean, expected, rtol=1e-12, atol=0)
    assert expected.diff().abs().min() > 1e-3
    for rank, own in enumerate(reports):
        assert len(own) == (STEPS if rank in placement.workers else 0)


@pytest.mark.parametrize("where", PLACEMENTS)
def test_the_optimizers_state_is_where_the_weights_are(world, text, where):
    placement = PLACEMENTS[where](workers=2, dtype=torch.float64)
    make = OPTIMIZERS["adamw"]
    for rank, kept in enumerate(world(placement.ranks)(states, placement, text, make)):
        assert sum(kept) == 2 * elements(placement.served_by(rank))


@pytest.mark.parametrize("where", PLACEMENTS)
def test_a_rank_holds_the_weights_that_it_serves_and_those_it_works_with(
    world, text, where
):
    """The state of AdamW is two numbers for each weight, and a step for each key."""
    placement = PLACEMENTS[where](workers=2, dtype=torch.float64)
    arguments = (placement, text, OPTIMIZERS["adamw"])
    few, many = (world(placement.ranks)(peak, *arguments, batch) for batch in (4, 24))
    for rank, (less, more) in enumerate(zip(few, many, strict=True)):
        works, served = rank in placement.workers, placement.served_by(rank)
        held = elements(KEYS) * works + elements(served)
        assert less.weights == more.weights == 8 * held
        assert (
            less.optimizer == more.optimizer == 16 * elements(served) + 4 * len(served)
        )
        assert (less.activations < more.activations) == works


@pytest.mark.parametrize("where", PLACEMENTS)
def test_a_training_step_moves_what_the_formula_says(world, text, where):
    placement = PLACEMENTS[where](workers=3, dtype=torch.float64)
    trace = world(placement.ranks).trace(run, placement, text, sgd, 2)
    assert trace.messages() == traffic.messages(placement, steps=2)
    assert trace.bytes_sent() == [2 * n for n in traffic.bytes_sent(placement)]


def die_as_server(placement: Placement, text: Tensor) -> None:
    """Train, until the server is killed in its second update."""
    update_, updates = Shard.update_, []

    def update_or_die(shard: Shard, gradients: Values) -> None:
        updates.append(update_(shard, gradients))
        if len(updates) == 2 and shard.keys:
            os.kill(os.getpid(), signal.SIGKILL)

    with mock.patch.object(Shard, "update_", update_or_die):
        run(placement, text, sgd, STEPS)


def test_in_a_world_all_ranks_end_with_the_server(text):
    placement = apart(KEYS, servers=1, workers=2, dtype=torch.float64)
    with World(3, device="cpu") as ranks, pytest.raises(RankError) as lost:
        ranks(die_as_server, placement, text)
    assert (lost.value.rank, lost.value.kind) == (0, "died")


def test_workers_that_cannot_share_a_batch_are_refused(world, text):
    placement = apart(KEYS, servers=1, workers=5, dtype=torch.float64)
    with pytest.raises(RankError, match="5 ranks cannot share 24 samples evenly"):
        world(6)(run, placement, text, sgd, 1)


def test_keys_and_a_dtype_of_another_model_are_refused(world, text):
    count = elements(KEYS)
    shorter = apart(range_keys(count - 1, 1), servers=1, workers=1, dtype=torch.float64)
    complaint = f"keys of {count - 1} elements do not fit a model of {count}"
    with pytest.raises(RankError, match=complaint):
        world(2)(run, shorter, text, sgd, 1)
    complaint = r"takes \(\d+,\) of torch.float32, not \(\d+,\) of torch.float64"
    with pytest.raises(RankError, match=complaint):
        world(2)(run, apart(KEYS, servers=1, workers=1), text, sgd, 1)
