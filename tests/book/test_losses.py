"""Losses against what was spent: every run has an x axis of its own."""

import pytest
from lettering import words

from dlsys_code.book.losses import Against, losses

ALT = "两次运行的损失，左边按步，右边按字节"
STEPS = Against("steps", {"often": [(1, 4.0), (2, 3.0)], "seldom": [(1, 4.0)]})
BYTES = Against(
    "MiB sent", {"often": [(8, 4.0), (16, 3.0)], "seldom": [(1, 4.0)]}, True
)


def test_panels_and_runs_are_named(monkeypatch):
    written = words(monkeypatch, lambda: losses([STEPS, BYTES], alt=ALT))
    for name in ("steps", "MiB sent", "often", "seldom", "loss [nat/token]"):
        assert name in written


def test_a_drawing_is_the_same_each_time_and_depends_on_what_was_spent():
    one, again = (losses([STEPS, BYTES], alt=ALT) for _ in range(2))
    assert one.svg == again.svg
    assert losses([STEPS, STEPS], alt=ALT).svg != one.svg


def test_more_runs_than_colours_are_refused():
    many = Against("steps", {str(i): [(0, 1.0)] for i in range(7)})
    with pytest.raises(ValueError, match="6 runs can be told apart, not 7"):
        losses([many], alt=ALT)
