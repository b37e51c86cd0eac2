"""A run outlives its servers and workers, and says what it lost in numbers."""

from functools import partial

import pytest
import torch
from torch import Tensor

from dlsys_code.architecture.server_processes import kill_at
from dlsys_code.architecture.survivors import train
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe

STEPS, WORKERS, BATCH = 4, 3, 6
MODEL = GPTConfig(
    vocabulary=256, width=24, layers=1, heads=6, key_value_heads=3, hidden=20
)
RECIPE = Recipe(model=MODEL, batch=BATCH, sequence=9, dtype=torch.float64)
TEXT = tokens.documentation()[:20_000]
run = partial(
    train,
    RECIPE,
    TEXT,
    steps=STEPS,
    make_optimizer=partial(serial.adamw, recipe=RECIPE),
)


@pytest.fixture(scope="module")
def undisturbed() -> list[list[float]]:
    return run(workers=WORKERS)


def numbers(losses: list) -> Tensor:
    return torch.tensor(losses, dtype=torch.float64)


def mean(losses: list[list[float]]) -> Tensor:
    return numbers(losses).mean(0)


def test_a_run_without_deaths_is_the_serial_run(undisturbed):
    expected = numbers(list(serial.train(RECIPE, TEXT, steps=STEPS)))
    torch.testing.assert_close(mean(undisturbed), expected, rtol=1e-12, atol=0)
    assert expected.diff().abs().min() > 1e-3


@pytest.mark.parametrize("event", ["updated", "acknowledged"])
def test_a_killed_server_changes_no_bit_of_the_run(undisturbed, event):
    assert run(workers=WORKERS, watch=kill_at("server 0", event, 1)) == undisturbed


def without(lost: range, step_of_death: int) -> list[float]:
    """The serial losses of samples that stay, some being left out from a step on."""
    model = serial.fresh_model(RECIPE)
    optimizer = serial.adamw(model, RECIPE)
    losses = []
    for step in range(STEPS):
        gone = lost if step >= step_of_death else ()
        samples = [n for n in range(BATCH) if n not in gone]
        loss = serial.mean_loss(model, *serial.batch(RECIPE, TEXT, step, samples))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_of_a_killed_worker_only_its_samples_are_missing(undisturbed):
    each = BATCH // WORKERS
    losses = run(workers=WORKERS, watch=kill_at("worker 1", "computed", 2))
    assert losses[1] == undisturbed[1][:2]
    expected = without(range(each, 2 * each), step_of_death=2)
    found = [*mean([own[:2] for own in losses]), *mean([losses[0][2:], losses[2][2:]])]
    torch.testing.assert_close(numbers(found), numbers(expected), rtol=1e-12, atol=0)


def test_with_its_only_server_the_run_is_lost():
    with pytest.raises(ConnectionError, match="all servers are lost, 1 of 1"):
        run(workers=2, replicas=1, watch=kill_at("server 0", "updated", 1))


def test_workers_that_cannot_share_a_batch_are_refused():
    with pytest.raises(ValueError, match="4 ranks cannot share 6 samples evenly"):
        run(workers=4)


def test_a_run_without_a_worker_is_refused():
    with pytest.raises(ValueError, match="a server needs at least 1 worker, not 0"):
        run(workers=0)
