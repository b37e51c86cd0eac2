"""Runs on paper meet the closed forms, and keep the bound."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.stragglers import (
    Exponential,
    Fixed,
    Random,
    fixed_rate,
    nobody,
    pair_rate,
    random_rate,
    simulate,
)
from dlsys_code.architecture.updates import Run


def rate(run: Run) -> float:
    return 1 / run.time_per_update_s()


TIMES = st.one_of(
    st.builds(Fixed, st.integers(0, 3), st.integers(1, 9)),
    st.builds(Random, st.floats(0, 1), st.integers(1, 9), st.integers(0, 99)),
    st.builds(Exponential, st.integers(0, 99)),
)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.sampled_from([0, 1, 2, 7, inf]), TIMES)
def test_nobody_is_ever_more_than_the_bound_ahead(workers, bound, times):
    run = simulate(workers, bound=bound, updates=60, times=times)
    assert max(run.leads()) <= bound
    made = sorted((u.worker, u.clock) for u in run.updates)
    each = run.updates_each()
    assert made == [(w, c) for w in range(workers) for c in range(each[w])]
    assert len(made) == 60
    for update in run.updates:
        took_s = times(update.worker, update.clock)
        assert update.end_s == pytest.approx(update.start_s + took_s)


@pytest.mark.parametrize("bound", [0, 1, 5])
def test_a_slow_machine_sets_the_pace_under_any_finite_bound(bound):
    run = simulate(4, bound=bound, updates=8_000, times=Fixed(2, 5))
    assert fixed_rate([1, 1, 5, 1], bound) == 4 / 5
    assert rate(run) == pytest.approx(4 / 5, rel=0.01)
    assert max(run.leads()) == bound


def test_where_nobody_waits_rates_add_up():
    run = simulate(4, bound=inf, updates=8_000, times=Fixed(2, 5))
    assert fixed_rate([1, 1, 5, 1], inf) == pytest.approx(3.2)
    assert rate(run) == pytest.approx(3.2, rel=0.01)


@pytest.mark.parametrize("updates", [100, 1_000, 10_000])
def test_without_a_bound_the_lead_grows_with_the_run(updates):
    """Worker 0 makes 5 of 6 updates, worker 1 the sixth."""
    run = simulate(2, bound=inf, updates=updates, times=Fixed(1, 5))
    assert max(run.leads()) == pytest.approx(updates * 4 / 6, abs=6)


@pytest.mark.parametrize("times", [nobody, Fixed(0, 7), Random(0.2, 4), Exponential(1)])
@pytest.mark.parametrize("p", [1, 2, 8, 32])
def test_mean_staleness_without_a_bound_is_all_the_others(p, times):
    run = simulate(p, bound=inf, updates=400 * p, times=times)
    assert run.mean_staleness() == pytest.approx(p - 1, rel=0.02)
    run = simulate(p, bound=0, updates=20 * p, times=times)
    assert run.mean_staleness() == 0


@pytest.mark.parametrize("bound", [0, inf])
@pytest.mark.parametrize("p", [1, 4, 64])
def test_bad_luck_by_the_formula(p, bound):
    straggler = Random(0.1, 4, seed=3)
    run = simulate(p, bound=bound, updates=20_000, times=straggler)
    assert rate(run) == pytest.approx(random_rate(p, straggler, bound), rel=0.03)


def test_a_round_of_exponential_times_is_harmonic():
    p = 16
    run = simulate(p, bound=0, updates=2_000 * p, times=Exponential())
    harmonic = sum(1 / n for n in range(1, p + 1))
    assert rate(run) == pytest.approx(p / harmonic, rel=0.03)


@pytest.mark.parametrize("bound", [0, 1, 2, 4, 9, inf])
def test_two_exponential_workers_walk_at_random(bound):
    run = simulate(2, bound=bound, updates=20_000, times=Exponential(5))
    assert rate(run) == pytest.approx(pair_rate(bound), rel=0.02)


def test_the_pair_is_the_harmonic_round_in_step_and_the_sum_without_a_bound():
    assert pair_rate(0) == pytest.approx(2 / (1 + 1 / 2))
    assert pair_rate(1_000_000) == pytest.approx(pair_rate(inf)) == 2


def test_a_bound_helps_against_bad_luck():
    straggler, p = Random(0.1, 4), 32
    rates = [
        rate(simulate(p, bound=bound, updates=100 * p, times=straggler))
        for bound in (0, 1, 2, 4, 8, inf)
    ]
    assert rates == sorted(rates)
    assert rates[3] > 1.8 * rates[0]


def test_luck_is_the_same_on_every_run_and_as_often_as_asked():
    straggler = Random(0.25, 3, seed=1)
    drawn = [straggler(w, c) for w in range(50) for c in range(50)]
    assert drawn == [
        Random(0.25, 3, seed=1)(w, c) for w in range(50) for c in range(50)
    ]
    assert set(drawn) == {1, 3}
    assert drawn.count(3) == pytest.approx(625, rel=0.1)
    assert drawn != [
        Random(0.25, 3, seed=2)(w, c) for w in range(50) for c in range(50)
    ]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: Fixed(0, 0), "1, 2, ... times as long, not 0"),
        (lambda: Random(0.5, 1.5), "1, 2, ... times as long, not 1.5"),
        (lambda: Random(1.5, 2), "a probability is 0 to 1, not 1.5"),
        (lambda: Random(-0.1, 2), "a probability is 0 to 1, not -0.1"),
        (lambda: simulate(0, bound=0, updates=1, times=nobody), "not 0 and 1"),
        (lambda: simulate(2, bound=-1, updates=1, times=nobody), "infinity, not -1"),
        (lambda: fixed_rate([], 0), r"times above 0, not \[\]"),
        (lambda: fixed_rate([1, 0], 0), r"times above 0, not \[1, 0\]"),
        (lambda: fixed_rate([1], -3), "infinity, not -3"),
        (lambda: random_rate(0, Random(0.1, 2), 0), "0 or inf, not 0, 0"),
        (lambda: random_rate(4, Random(0.1, 2), 3), "0 or inf, not 4, 3"),
        (lambda: pair_rate(-1), "infinity, not -1"),
    ],
)
def test_bad_numbers_are_refused(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
