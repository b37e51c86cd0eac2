"""What a rank sends when the switch adds, and what busbw makes of it."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsys_code.communication.nccl import bus_factor
from dlsys_code.communication.nvls import (
    bus_speed_in_switch,
    peaks,
    sent_share,
)
from dlsys_code.communication.tuning import constant
from dlsys_code.world import Message

WIRE = 18 * constant("NVLink", "hopper")


def plan(p: int, chunk: int) -> list[Message]:
    """All messages of an all-reduce in the switch, which is number p."""
    up = [Message(0, r, p, chunk) for _owner in range(p) for r in range(p)]
    sums = [Message(1, p, owner, chunk) for owner in range(p)]
    back = [Message(2, owner, p, chunk) for owner in range(p)]
    copies = [Message(3, p, r, chunk) for _owner in range(p) for r in range(p)]
    return up + sums + back + copies


@given(p=st.integers(1, 40), chunk=st.integers(1, 1000))
def test_a_rank_sends_and_receives_n_and_a_pth(p, chunk):
    sent, received = Counter(), Counter()
    for _, source, destination, n in plan(p, chunk):
        sent[source] += n
        received[destination] += n
    for rank in range(p):
        assert sent[rank] == received[rank] == pytest.approx(sent_share(p) * p * chunk)


def test_the_ring_sends_less_only_between_two():
    assert bus_factor(2) < sent_share(2)
    assert bus_factor(3) == pytest.approx(sent_share(3))
    assert all(bus_factor(p) > sent_share(p) for p in range(4, 100))
    assert bus_factor(10**6) / sent_share(10**6) == pytest.approx(2, rel=1e-5)


def test_published_peaks_are_within_three_percent_of_the_count():
    for peak in peaks():
        assert peak.busbw == pytest.approx(bus_speed_in_switch(peak.ranks), rel=0.03)


def test_a_peak_above_the_wire_has_less_than_the_wire_on_it():
    best = peaks()[-1]
    assert best.ranks == 8
    assert best.busbw > 1.06 * 450e9  # what the links are sold as
    assert best.busbw / bus_factor(8) * sent_share(8) < 0.85 * WIRE


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 1 rank, not 0"):
        sent_share(0)
    with pytest.raises(ValueError, match="'ampere', but hopper, blackwell"):
        bus_speed_in_switch(8, architecture="ampere")
