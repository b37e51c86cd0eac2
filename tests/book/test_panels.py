"""Panels show the same lines over the same x, those that coincide too."""

import xml.etree.ElementTree as ElementTree

import pytest
from lettering import words

from dlsys_code.book import panels

ALT = "三个小图，横轴都是 rank 数，线是四种布局"
SVG = "{http://www.w3.org/2000/svg}"
X = [2, 4, 8]
LINES = {"server": [2, 4, 8], "ring": [2, 4, 8], "none": [0, 0, 1]}


def test_lines_that_coincide_share_their_way_in_dashes():
    solid, *_ = panels.dashes([[1, 2], [3, 4]])
    assert solid[1] is None
    one, alone, two = panels.dashes([[1, 2], [3, 4], [1, 2]])
    assert alone[1] is None
    assert (one[1], two[1]) == (None, (panels.DASH, panels.DASH))
    *_, second, last = panels.dashes([[1, 2]] * 3)  # what the last leaves, less a dash
    assert second[1] == (2 * panels.DASH, panels.DASH)
    assert last[1] == (panels.DASH, 2 * panels.DASH)


def test_a_figure_is_the_same_from_run_to_run():
    first, second = (
        panels.logarithmic(X, {"bytes": LINES, "chain": LINES}, x_label="p", alt=ALT)
        for _ in range(2)
    )
    assert first.svg == second.svg
    root = ElementTree.fromstring(first.svg)
    assert root.find(f"{SVG}title").text == ALT
    dashed = [x for x in root.iter(f"{SVG}path") if "dasharray" in x.get("style", "")]
    assert len(dashed) == 2  # one of the three lines, in both panels


def test_panels_are_titled_and_lines_are_named_once(monkeypatch):
    two = {"bytes": LINES, "chain": LINES}
    written = words(
        monkeypatch,
        lambda: panels.logarithmic(
            X, two, x_label="ranks p", alt=ALT, show_x="{:,g} ranks".format
        ),
    ).splitlines()
    assert [written.count(word) for word in ("bytes", "chain", "ranks p")] == [1, 1, 2]
    assert [written.count(name) for name in LINES] == [1, 1, 1]
    assert written.count("8 ranks") == 2


def test_more_lines_than_colours_are_refused():
    lines = {str(number): [1.0, 2.0, 3.0] for number in range(7)}
    with pytest.raises(ValueError, match="6 lines can be told apart, not 7"):
        panels.logarithmic(X, {"bytes": lines}, x_label="p", alt=ALT)
