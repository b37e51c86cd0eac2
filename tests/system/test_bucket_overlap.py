"""Buckets in line: what is exposed, by hand and between its bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.system.bucket_overlap import Travel, exposed_s, travels


def price(n: int) -> float:
    return 1.0 + 0.5 * n


def test_three_buckets_by_hand():
    assert travels([2, 4, 4], backward_s=10.0, price=price) == [
        Travel(2, 2.0, 2.0, 4.0),
        Travel(4, 6.0, 6.0, 9.0),
        Travel(4, 10.0, 10.0, 13.0),
    ]
    assert exposed_s([2, 4, 4], backward_s=10.0, price=price) == 3.0
    assert exposed_s([10], backward_s=10.0, price=price) == 6.0
    line = travels([2, 4, 4], backward_s=5.0, price=price)  # the last one has to wait
    assert [travel.start_s for travel in line] == [1.0, 3.0, 6.0]


@settings(derandomize=True, deadline=None)
@given(
    buckets=st.lists(st.integers(1, 99), min_size=1, max_size=12),
    backward=st.floats(0, 1e3),
)
def test_exposed_is_between_the_last_bucket_and_all_of_them(buckets, backward):
    found = exposed_s(buckets, backward_s=backward, price=price)
    prices = [price(n) for n in buckets]
    close = 1e-9 * (1 + backward)
    assert prices[-1] - close <= found <= sum(prices) + close
    assert found >= sum(prices) - backward - close
    assert exposed_s(buckets, backward_s=0.0, price=price) == pytest.approx(sum(prices))


def test_nothing_to_send_is_not_exposed():
    assert exposed_s([], backward_s=1.0, price=price) == 0.0


@pytest.mark.parametrize(("buckets", "backward_s"), [([3, 0], 1.0), ([3], -1.0)])
def test_impossible_lines_are_refused(buckets, backward_s):
    with pytest.raises(ValueError, match=f"during {backward_s} s"):
        travels(buckets, backward_s=backward_s, price=price)
