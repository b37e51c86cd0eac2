"""Charts of the lessons: stacked bars, the ledger of one step, points with names.

All are `drawing.Drawing`: vectors on a light ground, colours that can be told apart, a
sentence that says what is seen.  Bars also differ by hatching, for print in grey.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import (
    BLUE,
    CYCLE,
    GREEN,
    INK,
    MARKERS,
    ORANGE,
    PAPER,
    PURPLE,
    RED,
    SKY,
    Drawing,
    draw,
)
from dlsys_code.introduction.ledger import Ledger
from dlsys_code.introduction.units import MiB, ms

Parts = Mapping[str, float]
COLOURS = (BLUE, ORANGE, SKY, PURPLE, GREEN, RED)
HATCHES = ("", "//", "..", "\\\\", "xx", "--")
GREY = "#c8c8c8"  # of the part named "other", in every chart
Box = tuple[float, float, float, float]  # left, lower, right, upper
NAME_SIZE = 6.5  # of the letters beside a point [point]
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
    for panel in panels:
        if len(named := looks(panel)) > len(COLOURS) + ("other" in named):
            raise ValueError(
                f"{len(COLOURS)} parts can be told apart, not {len(named)}"
            )

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            _paint_bars(axes, panel)

    bars = max(len(panel.bars) for panel in panels)
    return draw(paint, size=(max(6.0, 3.6 * len(panels)), 0.42 * bars + 1.5), alt=alt)


def looks(panel: Panel) -> dict[str, tuple[str, str]]:
    """Return part -> (colour, hatching), in the order in which parts come up."""
    parts = dict.fromkeys(part for bar in panel.bars.values() for part in bar)
    drawn = zip(COLOURS, HATCHES, strict=True)
    return {
        part: (GREY, "") if part == "other" else next(drawn, (GREY, ""))
        for part in parts
    }


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


def ledger(
    steps: Mapping[str, Ledger],
    memory: Mapping[str, Mapping[str, int]],
    *,
    alt: str,
) -> Drawing:
    """Return 一步账本: the time of one step and the memory of one rank, by part.

    steps: the ledger of each layout.  memory: its bytes by kind, under the same names.
    Times are measured, so the figure differs from run to run.
    """
    times = {
        name: {line.removesuffix("_s"): t / ms for line, t in vars(step).items()}
        for name, step in steps.items()
    }
    sizes = {
        name: {kind: n / MiB for kind, n in kinds.items()}
        for name, kinds in memory.items()
    }
    return stacked(
        [
            Panel("time of one step [ms]", times, "{:.0f}"),
            Panel("memory of one rank [MiB]", sizes, "{:.1f}"),
        ],
        alt=alt,
    )


class Point(NamedTuple):
    """A named point of a chart."""

    name: str
    x: float
    y: float


def named_points(
    series: Mapping[str, Sequence[Point]], *, x_label: str, y_label: str, alt: str
) -> Drawing:
    """Return points with their names beside them, on a logarithmic y axis.

    Errors: ValueError for more series than there are colours to tell them apart.
    """
    if len(series) > len(CYCLE):
        raise ValueError(f"{len(CYCLE)} series can be told apart, not {len(series)}")

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER, xlabel=x_label, ylabel=y_label)
        for (name, points), colour, marker in zip(
            series.items(), CYCLE, MARKERS, strict=False
        ):
            x, y = [p.x for p in points], [p.y for p in points]
            axes.plot(x, y, marker, color=colour, markersize=5, label=name)
        axes.set_yscale("log")
        axes.margins(x=0.12)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.legend(frameon=False)
        figure.draw_without_rendering()  # places are known only now
        name_points(axes, [point for points in series.values() for point in points])

    return draw(paint, size=(6.5, 4.4), alt=alt)


def name_points(axes: Axes, points: Sequence[Point]) -> None:
    """Write each name where it covers no point and no other name, if there is room."""
    letter, line = 0.6 * NAME_SIZE, 1.15 * NAME_SIZE  # width and height [point]
    scale = 72 / axes.figure.dpi
    at = [axes.transData.transform((p.x, p.y)) * scale for p in points]
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in at]
    for point, (x, y) in sorted(zip(points, at, strict=True), key=lambda it: -it[1][1]):
        width = letter * len(point.name)
        places = [  # of the lower left corner, the best first
            (dx, dy)
            for dy in (0, line, -line, 2 * line, -2 * line)
            for dx in (5, -5 - width)
        ]
        boxes = [
            (x + dx, y + dy - line / 2, x + dx + width, y + dy + line / 2)
            for dx, dy in places
        ]
        covered = [sum(overlap(box, other) for other in taken) for box in boxes]
        best = covered.index(min(covered))
        taken.append(boxes[best])
        axes.annotate(
            point.name,
            (point.x, point.y),
            xytext=places[best],
            textcoords="offset points",
            va="center",
            fontsize=NAME_SIZE,
            color=INK,
        )


def overlap(a: Box, b: Box) -> float:
    """Return the area that two boxes share."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    return max(wide, 0.0) * max(high, 0.0)
