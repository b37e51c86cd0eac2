"""Real workers keep the bound, lose no update, and in step learn as one process."""

from math import inf

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.architecture import asynchronous, plain_sgd
from dlsys_code.architecture.asynchronous import Job
from dlsys_code.architecture.stragglers import Exponential, Fixed, Random, simulate
from dlsys_code.architecture.updates import Run
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.world import RankError

RECIPE = Recipe(
    model=GPTConfig(
        vocabulary=256, width=24, layers=2, heads=6, key_value_heads=3, hidden=20
    ),
    batch=6,
    sequence=9,
    learning_rate=0.3,
    dtype=torch.float64,
)
ROUNDS = 5
SLOW = Fixed(0, 4)


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


@pytest.fixture(scope="module")
def expected(text) -> list[float]:
    """The losses of one process."""
    return list(plain_sgd.train(RECIPE, text, steps=ROUNDS))


def run(job: Job, text: Tensor) -> Run | None:
    return asynchronous.train(job, text, dist.group.WORLD)


def job(bound: float, updates: int, **options: object) -> Job:
    return Job(recipe=RECIPE, bound=bound, updates=updates, **options)


def replayed(run: Run, text: Tensor) -> list[float]:
    """The losses that one process finds by adding the recorded updates one by one."""
    model, p = serial.fresh_model(RECIPE), run.workers
    weights = [plain_sgd.weights_of(model)]  # after 0, 1, 2, ... updates
    losses = []
    for update in run.updates:
        plain_sgd.write_(model, weights[update.seen])
        each = RECIPE.batch // p
        mine = range(update.worker * each, (update.worker + 1) * each)
        loss, g = plain_sgd.gradient(model, RECIPE, text, update.clock, mine)
        weights.append(weights[-1] - RECIPE.learning_rate / p * g)
        losses.append(loss)
    return losses


def run_and_replay(job: Job, text: Tensor) -> tuple[Run, list[float]] | None:
    """The record and its replay; made where the server is, which has one thread."""
    found = run(job, text)
    return None if found is None else (found, replayed(found, text))


def sound(world, ranks: int, job: Job, text: Tensor) -> Run:
    """Run a job; return the record, for which the theorems of every run hold."""
    (found, replay), *others = world(ranks)(run_and_replay, job, text)
    assert others == [None] * (ranks - 1)
    assert_sound(found, replay, job)
    return found


def assert_sound(run: Run, replay: list[float], job: Job) -> None:
    assert max(run.leads()) <= job.bound
    assert len(run.updates) == job.updates
    made = {(u.worker, u.clock) for u in run.updates}
    assert made == {(w, c) for w, n in enumerate(run.updates_each()) for c in range(n)}
    ends = [u.end_s for u in run.updates]
    assert ends == sorted(ends)
    for u in run.updates:  # the weights held exactly what had ended before it began
        assert u.start_s < u.end_s
        assert all(end_s <= u.start_s for end_s in ends[: u.seen])
        assert all(end_s >= u.start_s for end_s in ends[u.seen :])
    losses = [u.loss for u in run.updates]
    assert losses == pytest.approx(replay, rel=0, abs=1e-12)


@pytest.mark.parametrize("slowness", [Fixed(0, 1), SLOW, Random(0.3, 3)])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_in_step_workers_learn_what_one_process_learns(
    world, text, expected, workers, slowness
):
    this = job(0, workers * ROUNDS, slowness=slowness)
    found = sound(world, workers + 1, this, text)
    losses = [loss for _, _, loss in found.losses()]
    assert losses == pytest.approx(expected, rel=0, abs=1e-12)
    assert found.staleness_histogram() == {0: workers * ROUNDS}
    assert expected[-1] < expected[0] - 0.1


@pytest.mark.parametrize("slowness", [SLOW, Random(0.3, 4)])
@pytest.mark.parametrize("bound", [0, 1, 2, inf])
@pytest.mark.parametrize("workers", [2, 3])
def test_no_real_worker_is_more_than_the_bound_ahead(
    world, text, workers, bound, slowness
):
    this = job(bound, 24, slowness=slowness)
    assert len(sound(world, workers + 1, this, text).updates) == 24


def test_without_a_bound_a_fast_worker_runs_away_from_a_straggler(world, text):
    """The straggler does 20 times the work; a lead of 12 needs a factor of 2."""
    free = job(inf, 40, slowness=Fixed(1, 20))
    found = sound(world, 3, free, text)
    assert max(found.leads()) > 12


def test_a_bound_makes_the_fast_one_wait_for_the_straggler(world, text):
    bound = job(2, 40, slowness=Fixed(1, 20))
    found = sound(world, 3, bound, text)
    assert max(found.leads()) == 2
    fast, slow = found.updates_each()
    assert 0 <= fast - slow <= 3


@pytest.mark.parametrize("times", [SLOW, Random(0.3, 4), Exponential(2)])
@pytest.mark.parametrize("bound", [0, 2, inf])
def test_a_timetable_makes_a_real_run_that_of_the_paper(world, text, bound, times):
    this = job(bound, 20, timetable=times)
    first = sound(world, 4, this, text)
    assert first == world(4)(run, this, text)[0]  # losses too, bit for bit
    paper = simulate(3, bound=bound, updates=20, times=times)
    assert [u[:5] for u in first.updates] == [u[:5] for u in paper.updates]


@pytest.mark.parametrize("bound", [0, 1, inf])
def test_each_update_carries_the_weights_out_and_the_gradient_back(world, text, bound):
    trace = world(4).trace(run, job(bound, 12), text)
    made = trace.results[0].updates_each()
    n, word = plain_sgd.weights_of(serial.fresh_model(RECIPE)).numel(), 8
    down = 12 * (n + 1) * word + 3 * word  # with every weight a clock; the last is stop
    up = [count * (n + 1) * word for count in made]  # with every gradient a loss
    assert trace.bytes_sent() == [down, *up]
    spans = [e for e in trace.events if e.kind == "compute" and e.op == "backward"]
    each = [sum(e.rank == rank for e in spans) for rank in range(4)]
    assert each == [0, *made]


def test_a_straggler_does_the_work_as_many_times(world, text):
    trace = world(3).trace(run, job(0, 8, slowness=SLOW), text)
    spans = [e for e in trace.events if e.kind == "compute" and e.op == "backward"]
    assert [sum(e.rank == rank for e in spans) for rank in range(3)] == [0, 16, 4]


def test_ballast_takes_time_and_changes_no_loss(world, text, expected):
    this = job(0, 2 * ROUNDS, ballast=100, slowness=SLOW)
    trace = world(3).trace(run, this, text)
    losses = [loss for _, _, loss in trace.results[0].losses()]
    assert losses == pytest.approx(expected, rel=0, abs=1e-12)
    spent_s = [0.0, 0.0, 0.0]
    for event in trace.events:
        if event.op == "ballast":
            spent_s[event.rank] += event.end_s - event.start_s
    assert spent_s[0] == 0 < 2 * spent_s[2] < spent_s[1]


def among_some(job: Job, text: Tensor) -> tuple[Run, list[float]] | None:
    """Ranks 1 to 3 of the world are a server and two workers."""
    group = dist.new_group([1, 2, 3])
    found = asynchronous.train(job, text, group) if dist.get_rank() else None
    return None if found is None else (found, replayed(found, text))


def test_ranks_are_those_of_the_group(world, text):
    this = job(inf, 9, slowness=SLOW)
    found = world(4)(among_some, this, text)
    assert [x is not None for x in found] == [False, True, False, False]
    assert_sound(*found[1], this)


def broken(worker: int, clock: int) -> int:
    if (worker, clock) == (1, 2):
        raise RuntimeError("worker 1 fell over")
    return 1


@pytest.mark.parametrize("bound", [0, inf])
def test_a_worker_that_raises_ends_the_run(world, text, bound):
    with pytest.raises(RankError) as failed:
        world(3)(run, job(bound, 5_000, slowness=broken), text)
    assert failed.value.cause == "RuntimeError: worker 1 fell over"
    assert world(3)(run, job(bound, 4), text)[0].updates


@pytest.mark.parametrize("bound", [-1, 0.5])
def test_a_bound_below_0_is_refused_before_there_are_ranks(bound):
    with pytest.raises(ValueError, match=f"or infinity, not {bound}"):
        job(bound, 4)


def test_no_update_and_negative_ballast_are_refused():
    with pytest.raises(ValueError, match="not 0 and 0"):
        job(0, 0)
    with pytest.raises(ValueError, match="not 4 and -2"):
        job(0, 4, ballast=-2)


@pytest.mark.parametrize(
    ("ranks", "complaint"),
    [
        (1, "a server and a worker need 2 ranks, not 1"),
        (5, "4 ranks cannot share 6 samples evenly"),
    ],
)
def test_ranks_that_do_not_fit_are_refused(world, text, ranks, complaint):
    with pytest.raises(RankError) as failed:
        world(ranks)(run, job(0, 4), text)
    assert failed.value.cause == f"ValueError: {complaint}"
