"""Layouts as pictures: who holds what, what a change costs, what a search found.

All three are drawn from what the code uses: the parts that `cut` gives each rank, the
costs of ways, the choices of a search.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import torch
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
    SKY,
    Drawing,
    draw,
)
from dlsys_code.system.layouts import Layout, P, cut, layout, names

GREY = "#d8d8d8"
COLOURS = {"S0": BLUE, "S1": GREEN, "S2": ORANGE, "P": RED, "R": GREY}


def held(
    of: Sequence[str], *, shape: tuple[int, int], mesh: tuple[int, int], alt: str
) -> Drawing:
    """Return a panel for each layout: what every rank of a mesh holds of a matrix.

    of: names of layouts.  Hatched is a term of a sum.
    """

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(of), squeeze=False)[0]
        for axes, name in zip(grid, of, strict=True):
            _paint_ranks(axes, layout(name), shape, mesh)
            axes.set_title(name, fontsize=10, family="monospace")

    return draw(paint, size=(1.75 * len(of), 2.1), alt=alt)


def _paint_ranks(
    axes: Axes, of: Layout, shape: tuple[int, int], mesh: tuple[int, int]
) -> None:
    index = torch.arange(shape[0] * shape[1]).view(shape)
    whole = tuple(place for place in of if place != P)  # a term is as large as the sum
    sizes = tuple(p for place, p in zip(of, mesh, strict=True) if place != P)
    high, wide = shape[0] + 1.5, shape[1] + 1.0
    for rank in range(mesh[0] * mesh[1]):
        at = divmod(rank, mesh[1])
        inner = tuple(i for i, place in zip(at, of, strict=True) if place != P)
        mine = set(cut(index, whole, sizes)[_number(inner, sizes)].flatten().tolist())
        axes.text(
            at[1] * wide + shape[1] / 2,
            at[0] * high - 0.25,
            f"rank {rank}",
            ha="center",
            va="bottom",
            fontsize=7,
        )
        for cell in range(shape[0] * shape[1]):
            row, column = divmod(cell, shape[1])
            axes.add_patch(
                Rectangle(
                    (at[1] * wide + column, at[0] * high + row),
                    1,
                    1,
                    facecolor=SKY if cell in mine else "none",
                    edgecolor="#999999",
                    linewidth=0.5,
                    hatch="////" if cell in mine and P in of else "",
                )
            )
    axes.set(xlim=(-0.3, 2 * wide), ylim=(2 * high, -1.2), aspect="equal")
    axes.axis("off")


def _number(at: Sequence[int], sizes: Sequence[int]) -> int:
    """The rank at these coordinates of a mesh."""
    number = 0
    for i, p in zip(at, sizes, strict=True):
        number = number * p + i
    return number


def ways(
    costs: Mapping[tuple[Layout, Layout], float],
    marked: Sequence[tuple[Layout, Layout]],
    *,
    alt: str,
) -> Drawing:
    """Return a table of what it costs to come from one layout (row) to another.

    costs: in units of the tensor's bytes.  marked: pairs to mark with a dot.
    """
    every = list(dict.fromkeys(source for source, _ in costs))
    rows = [[costs[source, target] for target in every] for source in every]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER)
        shades = matplotlib.colors.LinearSegmentedColormap.from_list("", ["w", BLUE])
        shown = axes.pcolormesh(rows, cmap=shades, edgecolors=GREY, linewidth=0.4)
        figure.colorbar(shown, label="sent by a rank [tensors]")
        dots = [(every.index(b) + 0.5, every.index(a) + 0.5) for a, b in marked]
        if dots:
            axes.plot(*zip(*dots, strict=True), "o", color=RED, markersize=4)
        labels, middle = (
            [names(of) for of in every],
            [i + 0.5 for i in range(len(every))],
        )
        axes.set_xticks(middle, labels, rotation=90, fontsize=7, family="monospace")
        axes.set_yticks(middle, labels, fontsize=7, family="monospace")
        axes.set(xlabel="to", ylabel="from", aspect="equal")
        axes.invert_yaxis()

    return draw(paint, size=(5.6, 4.8), alt=alt)


def choices(
    columns: Mapping[str, Mapping[str, str]], rows: Mapping[str, str], *, alt: str
) -> Drawing:
    """Return a table of strategies found: operators (rows) in several cases (columns).

    columns: case -> operator -> its rule on one axis, such as "R, S0 -> S2".  rows:
    operator -> what it is called.  The colour is that of the output.
    """

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER)
        for i, found in enumerate(columns.values()):
            for j, operator in enumerate(rows):
                rule = found[operator]
                colour = COLOURS[rule.rpartition(" ")[2]]
                box = Rectangle((i, j), 0.96, 0.92, facecolor=(colour, 0.55))
                axes.add_patch(box)
                middle = {"ha": "center", "va": "center", "fontsize": 7, "color": INK}
                axes.text(i + 0.48, j + 0.46, rule, family="monospace", **middle)
        axes.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
        axes.set_xticks(
            [i + 0.48 for i in range(len(columns))], list(columns), fontsize=8
        )
        axes.set_yticks([j + 0.46 for j in range(len(rows))], list(rows.values()))
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    size = (1.4 + 1.25 * len(columns), 0.6 + 0.27 * len(rows))
    return draw(paint, size=size, alt=alt)
