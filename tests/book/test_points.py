"""Points bear their names, which cover neither each other nor another point."""

import pytest
from lettering import words
from matplotlib.figure import Figure

from dlsys_code.book.points import Point, name_points, named_points, overlap

LABELS = {"x_label": "year", "y_label": "parameters", "alt": "一个点，旁边写着它的名字"}


def test_named_points_are_named(monkeypatch):
    points = {"models": [Point("BERT", 2018, 3.4e8)]}
    said = words(monkeypatch, lambda: named_points(points, **LABELS))
    assert "BERT" in said and "models" in said


def test_more_series_than_colours_are_refused():
    series = {str(number): [Point("BERT", 2018, 3.4e8)] for number in range(7)}
    with pytest.raises(ValueError, match="6 series can be told apart, not 7"):
        named_points(series, **LABELS)


def test_names_of_close_points_do_not_cover_each_other():
    close = [Point(name, 2020, 1e9) for name in ("BERT", "GPT-2", "T5")]
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([2019, 2021], [1e9, 1e9])
    name_points(axes, close)
    figure.draw_without_rendering()
    first, second, third = (text.get_window_extent() for text in axes.texts)
    assert not first.overlaps(second)
    assert not first.overlaps(third) and not second.overlaps(third)


def test_boxes_share_an_area():
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == 1
    assert overlap((0, 0, 1, 1), (1, 0, 2, 1)) == 0
