"""Who holds what before and after a collective, read from a recorded run.

Every rank brings chunks with its stamp (see `stamps`), so a result tells which ranks'
shares of which chunk it holds, and nothing is drawn from the definition.
"""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlsys_code.book.drawing import CYCLE, INK, Drawing, draw
from dlsys_code.book.stamps import read_stamps

LETTERS = "ABCDEFG"
Cells = Sequence[Sequence[float]]  # what each rank holds, one stamp each; 0: nothing


def before_and_after(
    panels: dict[str, tuple[Cells, Cells]], p: int, *, alt: str
) -> Drawing:
    """Return for each collective two tables: a row for each rank, a cell per chunk.

    panels: a title, what the ranks hold before, and after.  "B2" is chunk 2 of rank 1;
    "Σ2" is the sum of all ranks' chunks 2.  The colour is the rank from which it comes.
    """
    across = min(len(panels), 4)
    down = -(-len(panels) // across)

    def paint(figure: Figure) -> None:
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes in grid:
            axes.axis("off")
        for axes, (title, tables) in zip(grid, panels.items(), strict=False):
            _paint(axes, title, *tables, p)

    return draw(paint, size=(2.05 * across, 1.35 * down), alt=alt)


def name_of(value: float, p: int) -> tuple[str, str]:
    """Return what a stamped value is called, and its colour.

    Errors: ValueError for a sum of some ranks' shares only.
    """
    chunk, shares = read_stamps(value, p)
    if len(shares) == 1:
        (rank,) = shares
        return f"{LETTERS[rank]}{chunk}", CYCLE[rank % len(CYCLE)]
    if len(shares) < p:
        raise ValueError(f"a sum of the shares of {sorted(shares)} has no name")
    return f"Σ{chunk}", "#555555"


def _paint(axes: Axes, title: str, before: Cells, after: Cells, p: int) -> None:
    axes.set_title(title, fontsize=8, pad=2)
    axes.set(xlim=(-0.9, 2 * p + 1.6), ylim=(p + 0.1, -0.1), aspect="equal")
    for left, table in ((0.0, before), (p + 1.5, after)):
        for rank, row in enumerate(table):
            axes.text(-0.15, rank + 0.5, f"r{rank}", ha="right", va="center", size=6)
            for column, value in enumerate(row):
                _cell(axes, left + column, rank, value, p)
    axes.annotate(
        "",
        (p + 1.35, p / 2),
        (p + 0.15, p / 2),
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 0.9},
    )


def _cell(axes: Axes, x: float, y: float, value: float, p: int) -> None:
    name, colour = name_of(value, p) if value else ("", "#ffffff")
    axes.add_patch(
        Rectangle(
            (x + 0.04, y + 0.04),
            0.92,
            0.92,
            facecolor=(*matplotlib.colors.to_rgb(colour), 0.3),
            edgecolor="#999999",
            linewidth=0.5,
        )
    )
    axes.text(x + 0.5, y + 0.52, name, ha="center", va="center", size=6, color=INK)
