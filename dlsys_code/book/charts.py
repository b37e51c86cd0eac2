"""Stacked bars: where the bytes are, and 一步账本, the ledger of one step.

Parts differ by colour and by hatching, for print in grey.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import (
    BLUE,
    GREEN,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    Drawing,
    draw,
)
from dlsys_code.communication.exposed import SplitLedger
from dlsys_code.introduction.ledger import Ledger
from dlsys_code.introduction.memory import Bytes
from dlsys_code.introduction.units import MiB, ms

Parts = Mapping[str, float]
COLOURS = (BLUE, ORANGE, SKY, PURPLE, GREEN, RED)
HATCHES = ("", "//", "..", "\\\\", "xx", "--")
GREY = "#c8c8c8"  # of the part named "other", in every chart
# The lines of a ledger look alike in every chapter, whatever stands beside them.
LINES = ("compute", "exposed", "bubble", "latency", "transfer")
ROOM = 1.22  # of an axis, beyond the longest bar, for the number at its end


class Panel(NamedTuple):
    """One set of stacked bars.  bars: the parts of each bar, by its name."""

    label: str
    bars: Mapping[str, Parts]
    number: str = "{:.3g}"  # how a total is written at the end of its bar


def stacked(panels: Sequence[Panel], *, alt: str) -> Drawing:
    """Return horizontal bars made of parts, one panel beside the other.

    The panels share the names and the order of the bars.
    Errors: ValueError for more parts than there are colours to tell them apart.
    """

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            _paint_bars(axes, panel)

    bars = max(len(panel.bars) for panel in panels)
    return draw(paint, size=(max(6.0, 3.6 * len(panels)), 0.42 * bars + 1.5), alt=alt)


def looks(panel: Panel) -> dict[str, tuple[str, str]]:
    """Return part -> (colour, hatching), in the order in which parts come up.

    Errors: ValueError for more parts than there are colours.
    """
    parts = dict.fromkeys(part for bar in panel.bars.values() for part in bar)
    named = [part for part in parts if part != "other"]
    if len(named) > len(COLOURS):
        raise ValueError(f"{len(COLOURS)} parts can be told apart, not {len(named)}")
    order = LINES if set(named) <= set(LINES) else named
    drawn = dict(zip(order, zip(COLOURS, HATCHES, strict=True), strict=False))
    return {part: drawn.get(part, (GREY, "")) for part in parts}


def _paint_bars(axes: Axes, panel: Panel) -> None:
    axes.set_facecolor(PAPER)
    names = list(panel.bars)
    left = [0.0] * len(names)
    for part, (colour, hatch) in looks(panel).items():
        widths = [panel.bars[name].get(part, 0.0) for name in names]
        axes.barh(
            range(len(names)),
            widths,
            left=left,
            height=0.62,
            color=colour,
            hatch=hatch,
            edgecolor=PAPER,
            linewidth=0.6,
            label=part,
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    for row, total in enumerate(left):
        axes.text(total, row, " " + panel.number.format(total), va="center", fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, ROOM * max(left, default=1.0) or 1.0)
    axes.set_xlabel(panel.label)
    axes.legend(
        frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8
    )


def memory_panel(
    label: str, memory: Mapping[str, Bytes], number: str = "{:.3g}"
) -> Panel:
    """Return the bars of live bytes by kind [MiB].  number: as in `Panel`."""
    bars = {
        name: {kind: n / MiB for kind, n in vars(live).items()}
        for name, live in memory.items()
    }
    return Panel(f"{label} [MiB]", bars, number)


def ledger(
    steps: Mapping[str, Ledger | SplitLedger],
    memory: Mapping[str, Bytes],
    *,
    alt: str,
) -> Drawing:
    """Return 一步账本: the time of one step and the memory of one rank, by part.

    steps: the ledger of each layout, its communication in one piece or in two.
    memory: its peak, under the same names.
    Times are measured, so the figure differs from run to run.
    """
    times = {
        name: {line.removesuffix("_s"): t / ms for line, t in vars(step).items()}
        for name, step in steps.items()
    }
    return stacked(
        [
            Panel("time of one step [ms]", times, "{:.0f}"),
            memory_panel("memory of one rank", memory, "{:.1f}"),
        ],
        alt=alt,
    )
