"""What a sharded step does with each unit of the model, in the order of a recorded run.

A column is one event of one rank, in the order in which they began; a row is a unit::

    forward, backward    the unit computes
    gather               its weights begin to come
    reduce               its gradients are added up
    update               the optimizer works on the shards

Nothing in the figure depends on a clock.  Where weights are freed, the ground is grey
while those of a unit are there or coming.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlsys_code.book.drawing import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    RED,
    Drawing,
    draw,
)
from dlsys_code.world import Trace

PASSES = {"forward": BLUE, "backward": GREEN}
MARKS = {"gather": (">", ORANGE), "reduce": ("o", RED)}
COLLECTIVES = {"all_gather": "gather", "reduce_scatter": "reduce"}
THERE = "#d9d9d9"


class Moment(NamedTuple):
    """One event.  unit: None for the update, which is of all of them."""

    kind: str
    unit: int | None = None


def moments(trace: Trace, *, rank: int = 0) -> list[Moment]:
    """Return what a rank did with which unit, in the order in which it began.

    Passes are those that `system.unit_spans` marks.
    """
    mine = sorted((e for e in trace.events if e.rank == rank), key=lambda e: e.start_s)
    found = []
    for event in mine:
        if event.kind == "compute" and event.op == "optimizer":
            found.append(Moment("update"))
        elif event.kind == "compute" and (pass_ := re.findall(r"\w+", event.op))[1:]:
            found.append(Moment(pass_[0], int(pass_[1])))
        elif event.kind == "collective" and event.label:
            kind = next(k for op, k in COLLECTIVES.items() if event.op.startswith(op))
            found.append(Moment(kind, int(event.label.split()[-1])))
    return found


def lives(step: Sequence[Moment], unit: int) -> Iterator[tuple[int, int]]:
    """Yield from which column on, and before which, the weights of a unit are there.

    They come with a gather, and go after the unit's forward pass or its reduction; at
    the latest when they are gathered again.
    """
    own = [(i, m.kind) for i, m in enumerate(step) if m.unit == unit]
    ends = [(i, kind) for i, kind in own if kind != "backward"]
    for (begin, kind), (end, last) in pairwise(ends):
        if kind == "gather":
            yield begin, end + (last != "gather")


def units_in_order(
    panels: Mapping[str, Sequence[Moment]], *, freed: Sequence[str] = (), alt: str
) -> Drawing:
    """Return a panel for each recorded step; freed: those that free weights.

    Errors: ValueError when a panel is freed that is not there.
    """
    if strangers := sorted(set(freed) - set(panels)):
        raise ValueError(f"no panels {strangers} among {list(panels)}")
    units = 1 + max(m.unit or 0 for step in panels.values() for m in step)
    columns = max(map(len, panels.values()))

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, step) in zip(grid, panels.items(), strict=True):
            _paint(axes, step, name in freed, units)
            axes.set(title=name, xlim=(-0.7, columns - 0.3))
        grid[-1].set_xlabel("events of rank 0, in the order in which they began")
        handles, names = grid[0].get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside upper center", ncols=len(names), frameon=False
        )

    height = 0.3 * units * len(panels) + 0.4 * len(panels) + 0.9
    return draw(paint, size=(7.0, height), alt=alt)


def _paint(axes: Axes, step: Sequence[Moment], freed: bool, units: int) -> None:
    axes.set_facecolor(PAPER)
    for unit in range(units if freed else 0):
        for begin, end in lives(step, unit):
            _box(axes, begin - 0.5, unit - 0.46, end - begin, 0.92, THERE)
    for kind, colour in PASSES.items():
        for i, moment in enumerate(step):
            if moment.kind == kind:
                _box(axes, i - 0.4, moment.unit - 0.32, 0.8, 0.64, colour)
        axes.bar(0, 0, color=colour, label=kind)
    for kind, (marker, colour) in MARKS.items():
        at = [(i, m.unit) for i, m in enumerate(step) if m.kind == kind]
        x, y = zip(*at, strict=True) if at else ((), ())
        axes.plot(x, y, marker, color=colour, ms=6, label=kind, markeredgecolor=INK)
    for i, moment in enumerate(step):
        if moment.kind == "update":
            axes.axvline(i, color=INK, linestyle=":", linewidth=1.5)
    axes.plot([], [], ":", color=INK, label="update")
    axes.set_yticks(range(units), [f"unit {unit}" for unit in range(units)])
    axes.set(ylim=(units - 0.4, -0.6))
    axes.set_xticks([])


def _box(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str
) -> None:
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor="none"))
