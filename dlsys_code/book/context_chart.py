"""One sequence on several ranks: who holds what, who computes what, in which order.

Tables are drawn from the layouts and runs that the code uses: `holders` colours a cell
by the rank or the step it belongs to, `amounts` by how much is in it.  `in_order` shows
what one rank began and ended in which order; nothing in them depends on a clock, so
they are the same on every run.
"""

from collections.abc import Mapping

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from dlsys_code.book.drawing import (
    BLUE,
    CYCLE,
    INK,
    ORANGE,
    PAPER,
    SKY,
    Drawing,
    draw,
    told_apart,
)
from dlsys_code.world import Trace

NOBODY = -1  # an empty cell
ROWS = {"send": ("send", ORANGE), "recv": ("receive", SKY), "compute": ("work", BLUE)}
LEGEND = 0.55  # inch below the panels


def holders(
    panels: Mapping[str, Tensor], *, what: str, x_label: str, y_label: str, alt: str
) -> Drawing:
    """Return tables whose cells have the colour of the rank, or step, in them.

    panels: a title and a table (rows, columns) of int; `NOBODY` leaves a cell empty.
    what: the numbers are, for the legend.
    Errors: ValueError for more numbers than there are colours to tell them apart.
    """
    numbers = sorted({int(n) for table in panels.values() for n in table.unique()})
    found = {f"{what} {n}": n for n in numbers if n != NOBODY}
    colours = {n: colour for _, n, colour, _ in told_apart("numbers", found)}
    handles = [Rectangle((0, 0), 1, 1, fc=light(c), ec="#999999") for c in CYCLE]

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, table) in zip(grid, panels.items(), strict=True):
            _frame(axes, title, table, x_label, y_label)
            for (row, column), n in _cells(table):
                if n != NOBODY:
                    _cell(axes, row, column, light(colours[n]), str(n))
        figure.legend(
            handles[: len(found)],
            list(found),
            loc="outside lower center",
            ncols=len(found),
            frameon=False,
        )

    return draw(paint, size=_size(panels, LEGEND), alt=alt)


def amounts(
    panels: Mapping[str, Tensor], *, x_label: str, y_label: str, alt: str
) -> Drawing:
    """Return tables of numbers, each cell the darker the more is in it.

    One scale for all panels; the sum of a row stands at its right.
    """
    most = max(int(table.max()) for table in panels.values())

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, table) in zip(grid, panels.items(), strict=True):
            _frame(axes, title, table, x_label, y_label)
            for (row, column), n in _cells(table):
                shade = (*matplotlib.colors.to_rgb(BLUE), 0.05 + 0.75 * n / most)
                dark = n > 0.7 * most
                _cell(axes, row, column, shade, str(n), PAPER if dark else INK)
            for row, total in enumerate(table.sum(1).tolist()):
                _write(axes, table.size(1) + 0.6, row + 0.5, f"Σ {total}", INK)
            axes.set_xlim(0, table.size(1) + 1.2)

    return draw(paint, size=_size(panels, 0.2, cell=0.52), alt=alt)


def in_order(trace: Trace, rank: int, *, alt: str) -> Drawing:
    """Return what a rank sent, received and marked as work, from first to last.

    A bar begins where the call was made, and ends where the program had waited for it;
    the x axis counts these moments.
    """
    events = [e for e in trace.events if e.rank == rank and e.kind in ROWS]
    moments = sorted(
        [(e.start_s, 2 * n) for n, e in enumerate(events)]
        + [(e.end_s, 2 * n + 1) for n, e in enumerate(events)]
    )
    at = {number: place for place, (_, number) in enumerate(moments)}

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER, xlabel="begin or end, in order")
        for n, event in enumerate(events):
            row, colour = list(ROWS).index(event.kind), ROWS[event.kind][1]
            begin, end = at[2 * n], at[2 * n + 1]
            shape = {"height": 0.6, "color": light(colour), "edgecolor": INK}
            axes.barh(row, end - begin, left=begin, linewidth=0.6, **shape)
            nth = sum(e.kind == event.kind for e in events[:n])
            _write(axes, (begin + end) / 2, row, str(nth), INK)
        axes.set_yticks(range(len(ROWS)), [name for name, _ in ROWS.values()])
        axes.set_xticks(range(0, len(moments), 2))
        axes.invert_yaxis()

    return draw(paint, size=(6.5, 2.0), alt=alt)


def light(colour: str) -> tuple[float, float, float]:
    """Return a colour mixed with white, so that dark numbers are read on it."""
    return tuple(1 - 0.55 * (1 - part) for part in matplotlib.colors.to_rgb(colour))


def _cells(table: Tensor) -> list[tuple[tuple[int, int], int]]:
    return [
        ((row, column), n)
        for row, numbers in enumerate(table.tolist())
        for column, n in enumerate(numbers)
    ]


def _frame(axes: Axes, title: str, table: Tensor, x_label: str, y_label: str) -> None:
    rows, columns = table.shape
    axes.set_title(title, fontsize=9)
    axes.set_facecolor(PAPER)
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    axes.set_xlabel(x_label, fontsize=8)
    axes.set_ylabel(y_label, fontsize=8)
    for axis, count in ((axes.xaxis, columns), (axes.yaxis, rows)):
        axis.set_ticks([i + 0.5 for i in range(count)], [str(i) for i in range(count)])
    axes.tick_params(length=0, labelsize=6)
    axes.spines[:].set_visible(False)


def _cell(
    axes: Axes,
    row: int,
    column: int,
    colour: tuple[float, ...],
    text: str,
    ink: str = INK,
) -> None:
    box = {"facecolor": colour, "edgecolor": "#999999", "linewidth": 0.4}
    axes.add_patch(Rectangle((column, row), 1, 1, **box))
    _write(axes, column + 0.5, row + 0.5, text, ink)


def _write(axes: Axes, x: float, y: float, text: str, ink: str) -> None:
    axes.text(x, y, text, ha="center", va="center", fontsize=6.5, color=ink)


def _size(
    panels: Mapping[str, Tensor], below: float, cell: float = 0.24
) -> tuple[float, float]:
    width = sum(cell * table.size(1) + 0.9 for table in panels.values())
    height = max(cell * table.size(0) for table in panels.values()) + 0.75
    return max(width, 4.0), height + below
