"""What processes write down is what they did, in the order that messages force."""

from functools import partial

import pytest
import torch

from dlsys_code.architecture import diary, survivors
from dlsys_code.architecture.diary import Diary, Entry
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe

STEPS, WORKERS = 3, 2
MODEL = GPTConfig(
    vocabulary=256, width=12, layers=1, heads=2, key_value_heads=1, hidden=10
)
RECIPE = Recipe(model=MODEL, batch=4, sequence=5, dtype=torch.float64)
TRAIN = partial(
    survivors.train,
    RECIPE,
    tokens.documentation()[:20_000],
    workers=WORKERS,
    steps=STEPS,
    make_optimizer=partial(serial.adamw, recipe=RECIPE),
)


@pytest.fixture(scope="module")
def whole() -> Diary:
    return diary.record(TRAIN)


def test_writing_changes_nothing(whole):
    assert whole.losses == TRAIN()
    assert (whole.error, whole.killed) == ("", None)


@pytest.mark.parametrize("step", range(STEPS))
def test_no_worker_is_told_before_both_servers_have_the_update(whole, step):
    found = [entry for entry in whole.entries if entry.step == step]
    chain = [
        Entry("server 0", "pushed", step),
        Entry("server 0", "updated", step),
        Entry("server 1", "updated", step),
        Entry("server 0", "copied", step),
        Entry("server 0", "acknowledged", step),
    ]
    places = [found.index(entry) for entry in chain]
    assert places == sorted(places)
    computed = [Entry(f"worker {n}", "computed", step) for n in range(WORKERS)]
    assert max(map(found.index, computed)) < places[0]


@pytest.mark.parametrize(
    "kill", [Entry("server 0", "copied", 1), Entry("worker 1", "computed", 1)]
)
def test_the_last_line_of_the_dead_is_what_they_died_of(kill):
    run = diary.record(TRAIN, kill)
    assert [entry for entry in run.entries if entry.who == kill.who][-1] == kill
    assert run.killed == kill
    assert run.events("worker 0", STEPS - 1) == {"computed"}
    assert run.events(kill.who, STEPS - 1) == set()


def test_a_lost_run_leaves_its_error_and_its_lines(whole):
    kill = Entry("server 0", "updated", 1)
    run = diary.record(partial(TRAIN, replicas=1), kill)
    assert run.losses == run.steps() == []
    assert run.steps_like(whole) == 0
    assert run.error == "all servers are lost, 1 of 1"
    assert run.events("worker 1", 1) == {"computed"}
    assert run.events("server 0", 1) == {"pushed", "updated"}


def test_a_lost_worker_shows_one_step_after_its_death(whole):
    """Its gradient is missing in the update of step 1, so in the weights of step 2."""
    run = diary.record(TRAIN, Entry("worker 1", "computed", 1))
    assert run.steps() == [STEPS, 1]
    assert run.steps_like(whole) == 2
    assert whole.steps_like(whole) == STEPS


def test_other_errors_pass():
    with pytest.raises(ValueError, match="3 ranks cannot share 4 samples evenly"):
        diary.record(partial(TRAIN, workers=3))
