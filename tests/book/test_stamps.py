"""Stamps survive addition, and say what they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlsys_code.book.stamps import read_stamps, stamped


@given(p=st.integers(1, 7), data=st.data())
def test_a_sum_of_stamps_names_its_chunk_and_its_shares(p, data):
    chunk = data.draw(st.integers(0, p - 1))
    ranks = data.draw(st.sets(st.integers(0, p - 1), min_size=1))
    total = sum(stamped(rank, p)[chunk].item() for rank in ranks)
    assert read_stamps(total, p) == (chunk, frozenset(ranks))


def test_the_example_of_the_docstring():
    assert stamped(0, 4)[1] + stamped(2, 4)[1] == 80
    assert read_stamps(80, 4) == (1, frozenset({0, 2}))


@pytest.mark.parametrize(("rank", "p"), [(0, 8), (4, 4), (-1, 2)])
def test_a_stamp_that_cannot_be_is_refused(rank, p):
    with pytest.raises(ValueError, match=f"rank {rank} of {p}"):
        stamped(rank, p)


@pytest.mark.parametrize("value", [0, -1, 0.5, 2**0 + 2**4])
def test_a_value_without_one_chunk_is_refused(value):
    with pytest.raises(ValueError):
        read_stamps(value, 4)
