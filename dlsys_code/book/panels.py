"""Several quantities over the same x, one panel each: what grows, and what does not."""

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import MOST_TICKS, PAPER, Drawing, draw, told_apart

Lines = Mapping[str, Sequence[float]]
WIDTH = 2.2  # of a line [point]; one for all, or dashes would not fit together
DASH = 3.0  # times the width


def logarithmic(
    x: Sequence[float],
    panels: Mapping[str, Lines],
    *,
    x_label: str,
    alt: str,
    show_x: Callable[[float], str] = "{:g}".format,
) -> Drawing:
    """Return panels with the same lines, both axes logarithmic and alike in all.

    panels: what a panel shows, and its lines.  Lines that coincide share their way in
    dashes of each, so that all are seen; zeros are left out.
    Errors: ValueError for more lines than there are colours to tell them apart.
    """
    drawn = {title: told_apart("lines", lines) for title, lines in panels.items()}

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, lines) in zip(grid, drawn.items(), strict=True):
            axes.set_facecolor(PAPER)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel(x_label)
            styles = dashes([y for _, y, _, _ in lines])
            for (name, y, colour, _), style in zip(lines, styles, strict=True):
                look = {"color": colour, "linewidth": WIDTH}
                axes.plot(x, [value or None for value in y], ls=style, **look)
                axes.plot([], [], label=name, **look)
            _number(axes, x, show_x)
        names = grid[0].get_legend_handles_labels()
        figure.legend(*names, loc="outside lower center", ncols=4, frameon=False)

    return draw(paint, size=(2.9 * len(panels), 3.3), alt=alt)


def dashes(lines: Sequence[Sequence[float]]) -> list[tuple]:
    """Return the line style of each line: with k that coincide, one dash in k.

    The first is solid; each later one lies on those before and covers less of them, so
    that no dash needs an offset, which not every viewer draws.
    """
    every = [tuple(line) for line in lines]
    styles = []
    for number, line in enumerate(every):
        alike, before = every.count(line), every[:number].count(line)
        dash = (DASH * (alike - before), DASH * before)
        styles.append((0.0, dash if before else None))
    return styles


def _number(axes: Axes, x: Sequence[float], show_x: Callable[[float], str]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(x[:: -(-len(x) // MOST_TICKS)])
    axes.xaxis.set_major_formatter(lambda value, _: show_x(value))
    axes.grid(color="#dddddd", linewidth=0.6)
