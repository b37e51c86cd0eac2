"""One rule decides who may go on; no interleaving takes a worker past the bound."""

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.staleness import ASP, BSP, Board, may_begin
from dlsys_code.architecture.updates import Run

BOUNDS = st.sampled_from([0, 1, 2, 5, inf])


@pytest.mark.parametrize(
    ("clocks", "bound", "expected"),
    [
        ([0, 0, 0], BSP, [0, 1, 2]),
        ([1, 0, 1], BSP, [1]),
        ([4, 2, 3], 0, [1]),
        ([4, 2, 3], 1, [1, 2]),
        ([4, 2, 3], 2, [0, 1, 2]),
        ([900, 2, 3], ASP, [0, 1, 2]),
        ([7], BSP, [0]),
    ],
)
def test_the_rule_by_hand(clocks, bound, expected):
    assert may_begin(clocks, bound) == expected


def assert_each_once(run: Run) -> None:
    """Every worker's updates are there, in its own order, and none twice."""
    for worker in range(run.workers):
        clocks = [u.clock for u in run.updates if u.worker == worker]
        assert clocks == list(range(len(clocks)))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 6), BOUNDS, st.integers(1, 40), st.data())
def test_no_interleaving_breaks_the_bound(workers, bound, updates, data):
    """Workers finish in any order that hypothesis thinks of."""
    board, begun = Board(workers, bound=bound, updates=updates), 0
    for now in range(updates + 1):
        before = [*board.clocks]
        going = board.begin(now)
        begun += len(going)
        assert all(before[w] - min(before) <= bound for w in going)
        kept = [w for w in range(workers) if w not in board.busy]
        assert begun == updates or all(before[w] - min(before) > bound for w in kept)
        if now < updates:
            assert board.busy, "nobody works and updates are left"
            board.finish(data.draw(st.sampled_from(sorted(board.busy))), now + 1)
    assert not board.busy
    run = board.run()
    assert len(run.updates) == begun == updates == sum(run.updates_each())
    assert max(run.leads()) <= bound
    assert_each_once(run)


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_the_bound_is_reached(bound):
    """Worker 1 never finishes: worker 0 makes σ + 1 updates and then waits."""
    board = Board(2, bound=bound, updates=100)
    board.begin(0)
    for now in range(bound):
        board.finish(0, now)
        assert board.begin(now) == [0]
    board.finish(0, bound)
    assert board.begin(bound) == []
    board.finish(1, bound)
    assert board.begin(bound) == [0, 1]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.data())
def test_in_step_all_of_a_round_get_the_same_weights(workers, rounds, data):
    board = Board(workers, bound=BSP, updates=workers * rounds)
    while board.begin(0) or board.busy:
        board.finish(data.draw(st.sampled_from(sorted(board.busy))), 0)
    run = board.run()
    assert [u.seen for u in run.updates] == [u.clock * workers for u in run.updates]
    assert run.staleness_histogram() == {0: workers * rounds}


@pytest.mark.parametrize("bound", [-1, -0.5, 0.5, nan, -inf])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(ValueError) as caught:
        Board(3, bound=bound, updates=1)
    expected = f"a bound on staleness is 0, 1, 2, ... or infinity, not {bound}"
    assert str(caught.value) == expected


@pytest.mark.parametrize(("workers", "updates"), [(0, 5), (-2, 5), (3, 0), (3, -1)])
def test_no_worker_and_no_update_are_refused(workers, updates):
    with pytest.raises(ValueError, match=f"not {workers} and {updates}"):
        Board(workers, bound=0, updates=updates)
