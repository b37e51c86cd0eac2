"""No formula is below a bound, and some reach it."""

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsys_code.communication import bounds, cost, formulas
from dlsys_code.communication.cost import Cost

PAIRS = [
    (bounds.broadcast, cost.tree_broadcast),
    (bounds.broadcast, formulas.scatter_allgather_broadcast),
    (bounds.reduce, cost.tree_reduce),
    (bounds.scatter, formulas.tree_scatter),
    (bounds.gather, formulas.tree_gather),
    (bounds.all_gather, cost.ring_all_gather),
    (bounds.all_gather, formulas.doubling_all_gather),
    (bounds.reduce_scatter, cost.ring_reduce_scatter),
    (bounds.all_reduce, cost.ring_all_reduce),
    (bounds.all_reduce, cost.tree_all_reduce),
    (bounds.all_reduce, formulas.doubling_all_reduce),
    (bounds.all_reduce, formulas.halving_all_reduce),
    (bounds.all_to_all, formulas.pairwise_all_to_all),
    (bounds.all_to_all, formulas.bruck_all_to_all),
]


@pytest.mark.parametrize("bound, formula", PAIRS)
@given(p=st.integers(1, 300), count=st.integers(0, 5000))
def test_no_algorithm_is_below_its_bound(bound, formula, p, count):
    least, ours = astuple(bound(p, count, 4)), astuple(formula(p, count, 4))
    assert all(low <= high for low, high in zip(least, ours, strict=True))


@given(log_p=st.integers(0, 10), k=st.integers(0, 1000))
def test_what_reaches_the_bounds(log_p, k):
    p = 2**log_p
    n = p * k
    assert formulas.tree_scatter(p, n, 4) == bounds.scatter(p, n, 4)
    assert formulas.doubling_all_gather(p, n, 4) == bounds.all_gather(p, n, 4)
    least, ring = bounds.all_reduce(p, n, 4), cost.ring_all_reduce(p, n, 4)
    halving = formulas.halving_all_reduce(p, n, 4)
    assert ring.bytes_sent == halving.bytes_sent == least.bytes_sent
    assert ring.serial_reduced == halving.serial_reduced == least.serial_reduced
    assert formulas.doubling_all_reduce(p, n, 4).rounds == least.rounds
    assert halving.rounds == 2 * least.rounds
    assert (
        formulas.bruck_all_to_all(p, n, 4).rounds == bounds.all_to_all(p, n, 4).rounds
    )
    assert formulas.dissemination_barrier(p).rounds == bounds.barrier(p).rounds


def test_bounds_of_four_ranks_by_hand():
    # 12 floats: n = 48 bytes, chunks of 12.
    assert bounds.broadcast(4, 12, 4) == Cost(rounds=2, bytes_sent=48, serial_bytes=48)
    assert bounds.reduce(4, 12, 4) == Cost(
        rounds=2, bytes_sent=48, serial_bytes=48, serial_reduced=36
    )
    assert bounds.scatter(4, 12, 4) == Cost(rounds=2, bytes_sent=36, serial_bytes=36)
    assert bounds.gather(4, 12, 4) == Cost(rounds=2, bytes_sent=12, serial_bytes=36)
    assert bounds.all_gather(4, 12, 4) == bounds.all_to_all(4, 12, 4)
    assert bounds.reduce_scatter(4, 12, 4) == Cost(
        rounds=2, bytes_sent=36, serial_bytes=36, serial_reduced=36
    )
    assert bounds.all_reduce(4, 12, 4) == Cost(
        rounds=2, bytes_sent=72, serial_bytes=72, serial_reduced=36
    )
    assert bounds.barrier(5) == Cost(rounds=3, bytes_sent=0, serial_bytes=0)
