"""Points with names: what was built when, and how large."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import INK, PAPER, Drawing, draw, told_apart

Box = tuple[float, float, float, float]  # left, lower, right, upper
NAME_SIZE = 6.5  # of the letters beside a point [point]


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
    drawn = told_apart("series", series)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER, xlabel=x_label, ylabel=y_label)
        for name, points, colour, marker in drawn:
            x, y = [p.x for p in points], [p.y for p in points]
            axes.plot(x, y, marker, color=colour, markersize=5, label=name)
        axes.set_yscale("log")
        axes.margins(x=0.12)
        axes.xaxis.get_major_locator().set_params(integer=True)  # no half years
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
