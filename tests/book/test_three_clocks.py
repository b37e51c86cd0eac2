"""Runs with a server are drawn as they were recorded."""

from functools import partial
from math import inf

from lettering import words

from dlsys_code.architecture.stragglers import Fixed, simulate
from dlsys_code.architecture.updates import Run, Update
from dlsys_code.book.three_clocks import at_work

ALT = "每个工人的时间线，一块是一次更新"
PAPER = {
    name: simulate(3, bound=bound, updates=30, times=Fixed(0, 4))
    for name, bound in {"BSP": 0, "ASP": inf}.items()
}


def test_a_block_bears_its_clock_and_a_row_its_worker(monkeypatch):
    """In step, worker 0 is four times as slow: three rounds begin before time 9."""
    paint = partial(at_work, {"BSP": PAPER["BSP"]}, until=9, alt=ALT)
    said = words(monkeypatch, paint).split()
    assert {"w0", "w1", "w2", "BSP"} <= set(said)
    assert said.count("2") == 4  # two workers in time, the scale and the axis


def test_a_run_of_another_order_is_another_picture():
    both, one = at_work(PAPER, until=9, alt=ALT), at_work(PAPER, until=9, alt=ALT)
    assert both.svg == one.svg and both.alt == ALT
    free = at_work({"BSP": PAPER["ASP"]}, until=9, alt=ALT)
    assert free.svg != at_work({"BSP": PAPER["BSP"]}, until=9, alt=ALT).svg


def test_stale_updates_have_another_colour():
    fresh = Run(1, [Update(0, 0, 0, 0.0, 1.0)])
    others = [Update(1, i, i, i, i + 1.0) for i in range(6)]
    old = Run(2, [*others, Update(0, 0, 0, 0.0, 7.0)])
    dark = "#662506"  # the last of the shades
    drawn = [at_work({"a": run}, until=7, alt=ALT).svg for run in (old, fresh)]
    assert drawn[0].count(dark) == 1 + drawn[1].count(dark)  # the scale has it too
