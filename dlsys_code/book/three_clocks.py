"""Runs with a server, drawn: who works when, and who waits.

A block is one update of one worker, from the weights it got to the weights it changed.
Its colour tells its staleness; a gap is a worker that must wait.
"""

from collections.abc import Mapping

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from dlsys_code.architecture.updates import Run
from dlsys_code.book.drawing import INK, PAPER, Drawing, draw

MOST = 4  # staleness from which on all blocks look alike
NARROWEST = 0.8  # block with a number, in units of time
SHADES = colormaps["YlOrBr"]


def at_work(runs: Mapping[str, Run], *, until: float, alt: str) -> Drawing:
    """Return what every worker does from the start to a moment, a panel for each run.

    until: in the unit of the runs' times, that of a timetable as a rule.
    The number in a block is the clock of its update.
    """
    shade = BoundaryNorm([i - 0.5 for i in range(MOST + 2)], SHADES.N)
    rows = sum(run.workers for run in runs.values())

    def paint(figure: Figure) -> None:
        heights = [run.workers for run in runs.values()]
        grid = figure.subplots(
            len(runs), 1, sharex=True, squeeze=False, height_ratios=heights
        )
        for axes, (name, run) in zip(grid[:, 0], runs.items(), strict=True):
            _paint_blocks(axes, run, until, shade)
            axes.set_ylabel(name)
        grid[-1, 0].set_xlabel("time [updates at full speed]")
        scale = ScalarMappable(shade, SHADES)
        bar = figure.colorbar(scale, ax=grid[:, 0], label="staleness", aspect=30)
        ticks = range(MOST + 1)
        bar.set_ticks(ticks, labels=[*map(str, ticks[:-1]), f"{MOST} or more"])

    return draw(paint, size=(7.0, 0.9 + 0.27 * rows), alt=alt)


def _paint_blocks(axes: Axes, run: Run, until: float, shade: BoundaryNorm) -> None:
    axes.set_facecolor(PAPER)
    axes.set(xlim=(0, until), ylim=(run.workers - 0.4, -0.6))
    axes.set_yticks(range(run.workers), [f"w{w}" for w in range(run.workers)])
    for update, staleness in zip(run.updates, run.staleness(), strict=True):
        if update.start_s >= until:
            continue
        wide = update.end_s - update.start_s
        colour = SHADES(shade(min(staleness, MOST)))
        axes.barh(
            update.worker,
            wide,
            left=update.start_s,
            height=0.78,
            color=colour,
            edgecolor=INK,
            linewidth=0.5,
        )
        if wide >= NARROWEST and update.start_s + wide / 2 < until:
            axes.text(
                update.start_s + wide / 2,
                update.worker,
                str(update.clock),
                ha="center",
                va="center_baseline",
                fontsize=6,
                color=PAPER if min(staleness, MOST) >= MOST - 1 else INK,
            )
