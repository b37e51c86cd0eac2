"""The alpha-beta model of one link."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.introduction.units import Gbit, us


def test_a_message_by_hand():
    # 100 Gbit/s carry 12.5 GB/s: 1 MB takes 80 us, and 5 us to start.
    link = Link(latency_s=5 * us, bandwidth=100 * Gbit)
    assert transfer_time_s(1_000_000, link) == pytest.approx(85e-6)
    assert transfer_time_s(0, link) == 5 * us


@given(st.floats(1e-7, 1e-2), st.floats(1e6, 1e12))
def test_half_the_bandwidth_at_n_half(latency_s, bandwidth):
    link = Link(latency_s=latency_s, bandwidth=bandwidth)
    n = link.half_bandwidth_bytes
    assert n / transfer_time_s(n, link) == pytest.approx(bandwidth / 2)


@pytest.mark.parametrize(("latency_s", "bandwidth"), [(-1, 1), (0, 0), (0, -5)])
def test_an_impossible_link_is_refused(latency_s, bandwidth):
    with pytest.raises(ValueError, match=f"not {latency_s} s and {bandwidth} B/s"):
        Link(latency_s=latency_s, bandwidth=bandwidth)
