"""Cells are named by what they hold, not by what they should hold."""

import pytest

from dlsys_code.book import patterns
from dlsys_code.book.stamps import stamped

ALT = "四个 rank 在广播前后各有什么"


def test_a_cell_is_named_by_its_stamps():
    rows = [stamped(rank, 4).tolist() for rank in range(4)]
    assert patterns.name_of(rows[0][3], 4)[0] == "A3"
    assert patterns.name_of(rows[2][1], 4)[0] == "C1"
    assert patterns.name_of(sum(row[1] for row in rows), 4)[0] == "Σ1"
    with pytest.raises(ValueError, match=r"shares of \[0, 2\] has no name"):
        patterns.name_of(rows[0][1] + rows[2][1], 4)


def test_a_drawing_repeats_and_is_described():
    before = [stamped(0, 2).tolist(), [0, 0]]
    after = [stamped(0, 2).tolist()] * 2
    panels = {"broadcast": (before, after)}
    first, second = (patterns.before_and_after(panels, 2, alt=ALT) for _ in range(2))
    assert first.svg == second.svg
    assert ALT in first.svg
