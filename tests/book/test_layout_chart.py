"""Pictures of layouts show what `cut` gives, and the same on every run."""

import re

from dlsys_code.book import layout_chart
from dlsys_code.system.layouts import layout

ALT = "四个 rank 各有矩阵的一部分"


def test_a_cell_is_filled_for_every_element_that_a_rank_holds():
    for name, filled in {
        "R R": 64,
        "S0 R": 32,
        "S0 S1": 16,
        "S0 S0": 16,
        "P S1": 32,
    }.items():
        drawn = layout_chart.held([name], shape=(4, 4), mesh=(2, 2), alt=ALT)
        assert len(re.findall(r"fill: (?:#56b4e9|url)", drawn.svg)) == filled
        assert (
            drawn.svg
            == layout_chart.held([name], shape=(4, 4), mesh=(2, 2), alt=ALT).svg
        )


def test_a_term_of_a_sum_is_hatched():
    plain, hatched = (
        layout_chart.held([name], shape=(4, 4), mesh=(2, 2), alt=ALT).svg.count(
            "<pattern"
        )
        for name in ("R S1", "P S1")
    )
    assert (plain, hatched) == (0, 1)


def test_the_table_of_ways_marks_what_it_is_told_to():
    a, b = layout("R"), layout("S0")
    costs = {(a, a): 0.0, (a, b): 0.0, (b, a): 0.5, (b, b): 0.0}
    bare, marked = (
        layout_chart.ways(costs, pairs, alt=ALT).svg.count("#d55e00")
        for pairs in ([], [(b, a)])
    )
    assert marked > bare == 0


def test_strategies_are_coloured_by_their_output():
    columns = {"few": {"x": "R, S0 -> S2"}, "many": {"x": "S0, R -> S0"}}
    svg = layout_chart.choices(columns, {"x": "product"}, alt=ALT).svg
    assert layout_chart.COLOURS["S2"].lower() in svg
    assert layout_chart.COLOURS["S0"].lower() in svg
    assert layout_chart.COLOURS["S1"].lower() not in svg
