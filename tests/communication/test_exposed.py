"""The exposed time is divided, never changed, and in the proportion of the model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.cost import Cost, ring_all_reduce
from dlsys_code.communication.exposed import explained, split
from dlsys_code.communication.link import Link
from dlsys_code.introduction.ledger import Ledger

LINK = Link(latency_s=1e-5, bandwidth=1e9)
STEP = Ledger(compute_s=0.1, exposed_s=0.02, bubble_s=0.005, other_s=0.01)


@given(
    st.integers(2, 64),
    st.integers(0, 10**6),
    st.floats(1e-7, 1e-3),
    st.floats(1e6, 1e12),
)
@settings(derandomize=True, max_examples=50, deadline=None)
def test_the_parts_add_up_and_stand_as_the_model_says(p, count, latency_s, bandwidth):
    link = Link(latency_s=latency_s, bandwidth=bandwidth)
    cost = ring_all_reduce(p, count, 4)
    parts = split(STEP, cost, link)
    assert parts.latency_s + parts.transfer_s == pytest.approx(STEP.exposed_s)
    assert parts.step_s == pytest.approx(STEP.step_s)
    starts, in_half = cost.rounds * link.half_bandwidth_bytes, cost.serial_bytes
    assert parts.latency_s * (starts + in_half) == pytest.approx(
        STEP.exposed_s * starts
    )


def test_a_hand_made_step():
    # 30 rounds of 10 us and 100 kB at 1 GB/s: 300 us against 100 us, three to one.
    cost = Cost(rounds=30, bytes_sent=100_000, serial_bytes=100_000)
    parts = split(STEP, cost, LINK)
    assert parts.latency_s == pytest.approx(0.015)
    assert parts.transfer_s == pytest.approx(0.005)
    assert explained(STEP, cost, LINK) == pytest.approx(400e-6 / 0.02)


def test_a_step_without_communication_stays_as_it_is():
    alone = Ledger(compute_s=0.1, exposed_s=0, bubble_s=0, other_s=0.01)
    nothing = Cost(rounds=0, bytes_sent=0, serial_bytes=0)
    parts = split(alone, nothing, LINK)
    assert (parts.latency_s, parts.transfer_s) == (0, 0)
    assert parts.step_s == alone.step_s
    with pytest.raises(ValueError, match="nothing to explain"):
        explained(alone, nothing, LINK)


def test_time_that_no_message_explains_is_refused():
    with pytest.raises(ValueError, match="0 rounds and 0 bytes"):
        split(STEP, Cost(rounds=0, bytes_sent=0, serial_bytes=0), LINK)
