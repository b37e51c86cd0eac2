"""The table and the figure of a cluster's run, live or stored."""

import re
from dataclasses import replace

import pytest

from dlsys_code.book.raced_on_hosts import curves, table
from dlsys_code.introduction.units import KiB, MiB, ms
from dlsys_code.primitive.hosts_run import SIZES, Row, stored
from dlsys_code.primitive.racks import RACERS

ALT = "五条线和它们的点：各种全归约的预测用时与实测用时"
STORED = stored()
LIVE = replace(STORED, source="live")


def test_the_table_by_hand():
    rows = [
        Row(name="ring", size=n, predicted_s=4 * ms, times_s=[9 * ms, 3 * ms, 5 * ms])
        for n in (KiB, MiB)
    ]
    run = replace(LIVE, rows=rows)
    assert list(table(run, [KiB])) == [
        "live; times in ms",
        f"{'':14}    size  predicted  measured   error",
        f"{'ring':14}   1 KiB        4.0       5.0    +25%",
    ]


@pytest.mark.parametrize("sizes", [[], SIZES[:1], SIZES[1::2], SIZES])
def test_the_table_has_every_row_that_is_asked_for_and_no_other(sizes):
    source, _, *lines = table(STORED, sizes)
    assert source == "stored run; times in ms"
    said = [re.match(r"(.*?)  +(\d+ .iB) ", line).groups() for line in lines]
    shown = {16 * KiB: "16 KiB", 64 * KiB: "64 KiB", 256 * KiB: "256 KiB", MiB: "1 MiB"}
    assert said == [(name, shown[n]) for name in RACERS for n in sizes]


def test_a_figure_says_what_is_seen_and_that_a_run_is_stored():
    old, again, new = (curves(run, alt=ALT) for run in (STORED, STORED, LIVE))
    assert old.alt == ALT
    assert old.svg == again.svg
    assert "stored run" in old.svg and "stored run" not in new.svg
    for name in RACERS:
        assert name in old.svg


def test_a_figure_without_a_description_is_refused():
    with pytest.raises(ValueError, match="needs a description"):
        curves(STORED, alt="")


def test_more_algorithms_than_colours_are_refused():
    rows = [replace(STORED.rows[0], name=f"way {i}") for i in range(7)]
    with pytest.raises(ValueError, match="6 algorithms can be told apart, not 7"):
        curves(replace(STORED, rows=rows), alt=ALT)
