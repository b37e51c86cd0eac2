"""Who lived how long: the processes of a run downwards, the steps of training across.

Drawn from what the processes wrote down themselves, so a blank is a process that did
nothing in that step, because it was gone or because all its servers were.
"""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dlsys_code.architecture.diary import Diary
from dlsys_code.book.drawing import (
    BLUE,
    INK,
    ORANGE,
    PAPER,
    RED,
    SKY,
    Drawing,
    draw,
)

COMPUTED, TOLD, KEPT = "computed a gradient", "updated, told workers", "updated only"
LOOK = {COMPUTED: (BLUE, ""), TOLD: (ORANGE, "//"), KEPT: (SKY, "..")}


def lives(runs: Mapping[str, Diary], *, steps: int, alt: str) -> Drawing:
    """Return a panel for each run: what each process did in every step.

    A cross stands where a process was killed.
    """

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(runs), squeeze=False)[0]
        for axes, (name, run) in zip(grid, runs.items(), strict=True):
            axes.set_title(name, fontsize=9)
            _paint_run(axes, run, steps)
        figure.legend(
            handles=[
                Patch(facecolor=colour, hatch=hatch, edgecolor=PAPER, label=what)
                for what, (colour, hatch) in LOOK.items()
            ],
            loc="outside lower center",
            ncols=len(LOOK),
            frameon=False,
        )

    return draw(paint, size=(2.7 * len(runs), 2.5), alt=alt)


def did(run: Diary, who: str, step: int) -> str:
    """Return what a process did in a step, in the words of the legend, or nothing."""
    events = run.events(who, step)
    if "computed" in events:
        return COMPUTED
    if "acknowledged" in events:
        return TOLD
    return KEPT if "updated" in events else ""


def _paint_run(axes: Axes, run: Diary, steps: int) -> None:
    names = sorted({entry.who for entry in run.entries})
    for row, who in enumerate(names):
        for step in range(steps):
            if what := did(run, who, step):
                colour, hatch = LOOK[what]
                axes.barh(
                    row,
                    0.9,
                    left=step - 0.45,
                    height=0.8,
                    color=colour,
                    hatch=hatch,
                    edgecolor=PAPER,
                    linewidth=0.5,
                )
    if run.killed:
        place = run.killed.step, names.index(run.killed.who)
        axes.plot(*place, "o", color=PAPER, markersize=9)
        axes.plot(*place, "x", color=RED, markersize=7, markeredgewidth=2)
    axes.set_facecolor(PAPER)
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(steps))
    axes.set(xlim=(-0.6, steps - 0.4), ylim=(len(names) - 0.4, -0.6), xlabel="step")
    axes.tick_params(length=0, labelsize=8, colors=INK)
    axes.spines[:].set_visible(False)
