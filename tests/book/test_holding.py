"""The table of bars: as long as the share, with the fraction beside it."""

import xml.etree.ElementTree as ElementTree

import pytest

from dlsys_code.book.drawing import CYCLE
from dlsys_code.book.holding import fraction, holding

ALT = "两行两列的条形表，第二行的权重只有四分之一"


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1, "1"),
        (1.005, "1"),
        (0.25, "1/4"),
        (0.2511, "1/4"),
        (1.5, "3/2"),
        (0.2711, "0.27"),
        (0.0625, "0.06"),
        (0, "0"),
    ],
)
def test_a_share_is_said_as_a_simple_fraction_where_it_is_one(share, said):
    assert fraction(share) == said


def lengths(svg: str, colour: str) -> list[float]:
    """The widths of the bars of a colour, from above."""
    found = []
    for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"):
        if f"fill: {colour.lower()}" in path.get("style", ""):
            xs = [
                float(x)
                for x in path.get("d").replace("L", "M").split("M")[1:]
                for x in x.split()[:1]
            ]
            found.append(max(xs) - min(xs))
    return found


def test_a_bar_is_as_long_as_the_share():
    rows = {"alone": {"weights": 1, "sent": 0}, "split": {"weights": 0.25, "sent": 1.5}}
    svg = holding(rows, alt=ALT).svg
    assert svg == holding(rows, alt=ALT).svg
    (whole, quarter), (none, most) = (lengths(svg, colour) for colour in CYCLE[:2])
    assert quarter / whole == pytest.approx(0.25, abs=1e-3)
    assert (none, most) == (0, pytest.approx(whole))


def test_rows_of_other_kinds_are_refused():
    with pytest.raises(ValueError, match="every row has the same kinds"):
        holding({"a": {"x": 1}, "b": {"y": 1}}, alt=ALT)
    with pytest.raises(ValueError, match="6 kinds can be told apart, not 7"):
        holding({"a": dict.fromkeys("abcdefg", 1)}, alt=ALT)
