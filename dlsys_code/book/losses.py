"""Losses of several runs, each against what it has spent: steps, bytes, anything.

Runs that take different steps, or pay differently for one, have numbers of their own on
the x axis, so a line here is a list of points.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import PAPER, Drawing, draw, told_apart

Points = Sequence[tuple[float, float]]


class Against(NamedTuple):
    """One panel.  runs: (spent, loss) of each run, by its name."""

    label: str  # of the x axis, with its unit
    runs: Mapping[str, Points]
    logarithmic: bool = False


def losses(panels: Sequence[Against], *, alt: str) -> Drawing:
    """Return the panels side by side; they share the losses and the runs' colours.

    Errors: ValueError for more runs than there are colours to tell them apart.
    """
    told_apart("runs", panels[0].runs)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            _paint_runs(axes, panel)
        grid[0].set_ylabel("loss [nat/token]")
        grid[0].legend(frameon=False)

    return draw(paint, size=(3.6 * len(panels), 3.0), alt=alt)


def _paint_runs(axes: Axes, panel: Against) -> None:
    axes.set_facecolor(PAPER)
    for name, points, colour, marker in told_apart("runs", panel.runs):
        spent, loss = zip(*points, strict=True)
        axes.plot(spent, loss, color=colour, marker=marker, markersize=3, label=name)
    if panel.logarithmic:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(panel.label)
    axes.grid(color="#dddddd", linewidth=0.6)
