"""What follows from the record of a run, found by hand and by brute force."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.stragglers import Exponential, simulate
from dlsys_code.architecture.updates import Run, Update

# Worker 0 makes four updates while worker 1 makes its first.
FAST = [
    Update(0, 0, seen=0, start_s=10, end_s=11, loss=8),
    Update(0, 1, seen=1, start_s=11, end_s=12, loss=6),
    Update(0, 2, seen=2, start_s=12, end_s=13, loss=5),
    Update(1, 0, seen=0, start_s=10, end_s=14, loss=9),
    Update(0, 3, seen=3, start_s=13, end_s=14, loss=4),
    Update(1, 1, seen=4, start_s=14, end_s=20, loss=3),
]
RUN = Run(2, FAST)


def test_leads_by_hand():
    assert RUN.leads() == [0, 1, 2, 0, 3, 0]


def test_staleness_by_hand():
    # Weights of 0, 1, 2, 3 and 4 updates were given out.  Worker 1's first had those of
    # 0 when 1, 2 and 3 were out; worker 0's last had those of 3 when 4 were out.
    assert RUN.staleness() == [0, 0, 0, 3, 1, 0]
    assert RUN.staleness_histogram() == {0: 4, 1: 1, 3: 1}
    assert RUN.mean_staleness() == pytest.approx(4 / 6)


def test_times_and_losses_by_hand():
    assert RUN.updates_each() == [4, 2]
    assert RUN.duration_s() == 10
    assert RUN.time_per_update_s() == pytest.approx(10 / 6)
    assert RUN.losses() == [(2, 2, 7), (4, 4, 7), (6, 10, 3.5)]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.sampled_from([0, 1, 3, 99]), st.integers(0, 99))
def test_counts_are_those_of_looking_at_every_pair(workers, bound, seed):
    run = simulate(workers, bound=bound, updates=30, times=Exponential(seed))
    for n, (update, lead, stale) in enumerate(
        zip(run.updates, run.leads(), run.staleness(), strict=True)
    ):
        before = [u.worker for u in run.updates[: update.seen]]
        slowest = min(before.count(worker) for worker in range(workers))
        assert lead == before.count(update.worker) - slowest
        assert stale == len({u.seen for u in run.updates if update.seen < u.seen <= n})
