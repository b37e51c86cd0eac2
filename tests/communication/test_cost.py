"""Costs worked out by hand, and the price that follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsys_code.communication import cost
from dlsys_code.communication.cost import Cost
from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.communication.plan import in_turn
from dlsys_code.primitive import ring
from dlsys_code.world import Message


def test_ring_all_reduce_of_four_ranks_by_hand():
    # 12 floats in 4 chunks of 3: 12 bytes a message, 3 + 3 rounds, 36 bytes added.
    assert cost.ring_all_reduce(4, 12, 4) == Cost(
        rounds=6, bytes_sent=72, serial_bytes=72, serial_reduced=36
    )


def test_chunks_are_rounded_up():
    assert cost.ring_chunk(4, 12) == 3
    assert cost.ring_chunk(4, 13) == 4
    assert cost.ring_chunk(4, 0) == 0
    assert cost.ring_all_reduce(4, 13, 4).bytes_sent == 6 * 4 * 4


def test_tree_of_five_ranks_by_hand():
    assert cost.tree_broadcast(5, 10, 4) == Cost(
        rounds=3, bytes_sent=120, serial_bytes=120
    )
    assert cost.tree_reduce(5, 10, 4) == Cost(
        rounds=3, bytes_sent=40, serial_bytes=120, serial_reduced=120
    )
    assert cost.tree_all_reduce(5, 10, 4) == Cost(
        rounds=6, bytes_sent=120, serial_bytes=240, serial_reduced=120
    )


def test_rounds_of_a_tree():
    assert [cost.tree_rounds(p) for p in (1, 2, 3, 4, 5, 8, 9)] == [0, 1, 2, 2, 3, 3, 4]


@given(p=st.integers(1, 5000))
def test_a_tree_needs_the_fewest_rounds_that_can_reach_all(p):
    assert 2 ** (cost.tree_rounds(p) - 1) < p <= 2 ** cost.tree_rounds(p)


@given(p=st.integers(1, 4096), k=st.integers(0, 10**6), item=st.sampled_from([1, 2, 8]))
def test_the_ring_sends_two_n_less_a_pth(p, k, item):
    n = p * k * item
    assert cost.ring_all_reduce(p, p * k, item).bytes_sent * p == 2 * (p - 1) * n


def test_one_rank_costs_nothing():
    nothing = Cost(rounds=0, bytes_sent=0, serial_bytes=0)
    for price in (
        cost.ring_all_reduce,
        cost.tree_broadcast,
        cost.tree_reduce,
        cost.tree_all_reduce,
    ):
        assert price(1, 100, 4) == nothing


def test_messages_of_one_round_overlap_and_rounds_add_up():
    plan = [Message(0, 0, 1, 10), Message(0, 2, 3, 30), Message(1, 1, 2, 5)]
    assert cost.of_messages(plan) == Cost(rounds=2, bytes_sent=30, serial_bytes=35)
    assert cost.of_messages([]) == Cost(rounds=0, bytes_sent=0, serial_bytes=0)


def test_the_price_of_a_cost():
    link = Link(latency_s=1e-3, bandwidth=1e6)
    one = Cost(rounds=2, bytes_sent=500, serial_bytes=500, serial_reduced=100)
    assert one.time_s(link) == pytest.approx(2e-3 + 0.5e-3)
    assert one.time_s(link, reduce_s_per_byte=1e-6) == pytest.approx(2.6e-3)


def test_one_message_costs_the_same_as_a_tree_of_two():
    link = Link(latency_s=25e-6, bandwidth=1e9)
    assert cost.tree_broadcast(2, 1000, 4).time_s(link) == transfer_time_s(4000, link)


@pytest.mark.parametrize("p", [0, -1])
def test_a_group_without_ranks_is_refused(p):
    with pytest.raises(ValueError, match="at least 1 rank"):
        cost.tree_rounds(p)
    with pytest.raises(ValueError, match=f"into {p} chunks"):
        cost.ring_chunk(p, 4)


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="-1 elements"):
        cost.ring_chunk(2, -1)


def test_a_plan_that_is_repeated_costs_the_same_every_time():
    once = ring.all_reduce_messages(4, 10, 4)
    thrice = in_turn(once, once, once)
    assert cost.of_messages(thrice, repeats=3) == cost.of_messages(once)
    assert cost.of_messages([], repeats=5) == cost.of_messages([])
    for repeats in (0, 4):
        with pytest.raises(ValueError, match=f"18 rounds.*{repeats} equal parts"):
            cost.of_messages(thrice, repeats=repeats)
