"""Figures as vectors: the same bytes on every run, readable in light and in dark.

A figure has a light ground of its own, colours that a colour-blind reader can tell
apart, and a sentence that says what is seen; strict nbval compares all of it.

Source of the palette: M. Okabe and K. Ito, "Color universal design", 2008.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from dlsys_code.book.stamps import read_stamps
from dlsys_code.introduction.units import show_bytes
from dlsys_code.world import Trace

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, INK, PAPER = "#CC79A7", "#56B4E9", "#1a1a1a", "#fcfcfa"
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)
MARKERS = "osD^vP"
MOST_TICKS = 8
Line = TypeVar("Line")
LOOK = {
    "svg.hashsalt": "dlsys_code",  # else every run gives other identifiers
    "svg.fonttype": "path",  # a reader's fonts do not matter
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "text.color": INK,
}


@dataclass(frozen=True)
class Drawing:
    """A figure for a cell to display.  alt: what is seen, in Chinese."""

    alt: str
    svg: str = field(repr=False)

    def __repr__(self) -> str:
        return f"图：{self.alt}"

    def _repr_svg_(self) -> str:
        return self.svg


def draw(
    paint: Callable[[Figure], None], *, size: tuple[float, float], alt: str
) -> Drawing:
    """Return what `paint` draws on a new figure.

    size: width and height [inch].  alt: one or two sentences, at least 10 characters.
    Errors: ValueError when the figure is not described.
    """
    if len(alt) < 10:
        raise ValueError(f"a figure needs a description of what is seen, not {alt!r}")
    text = io.StringIO()
    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=size, layout="constrained", facecolor=PAPER)
        paint(figure)
        metadata = {"Date": None, "Creator": None, "Title": alt}
        figure.savefig(text, format="svg", metadata=metadata)
    return Drawing(alt, text.getvalue())


def told_apart(
    what: str, lines: Mapping[str, Line]
) -> list[tuple[str, Line, str, str]]:
    """Return the name, the line, a colour and a marker of each of several lines.

    Errors: ValueError for more lines than there are colours; what: they are called so.
    """
    if len(lines) > len(CYCLE):
        raise ValueError(f"{len(CYCLE)} {what} can be told apart, not {len(lines)}")
    looks = zip(lines.items(), CYCLE, MARKERS, strict=False)
    return [(name, line, colour, marker) for (name, line), colour, marker in looks]


def curves(
    x: Sequence[float],
    lines: dict[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    logarithmic: bool = False,
    show_x: Callable[[float], str] = "{:g}".format,
) -> Drawing:
    """Return a plot of several lines over the same x; units belong in the labels.

    logarithmic: both axes.  show_x: how the numbers under the x axis are written.
    Errors: ValueError for more lines than there are colours to tell them apart.
    """
    drawn = told_apart("lines", lines)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER, xlabel=x_label, ylabel=y_label)
        for name, y, colour, marker in drawn:
            axes.plot(x, y, color=colour, marker=marker, markersize=4, label=name)
        scale(axes, x, logarithmic=logarithmic, show_x=show_x)

    return draw(paint, size=(6.0, 3.4), alt=alt)


def scale(
    axes: Axes,
    x: Sequence[float],
    *,
    logarithmic: bool = True,
    show_x: Callable[[float], str] = show_bytes,
) -> None:
    """Number the axes of a plot over these x, message sizes for one; add the legend.

    logarithmic: both axes.  show_x: how the numbers under the x axis are written.
    """
    if logarithmic:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(x[:: -(-len(x) // MOST_TICKS)])
    axes.xaxis.set_major_formatter(lambda value, _: show_x(value))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)


def stamped_steps(trace: Trace, *, alt: str) -> Drawing:
    """Return a run on stamped chunks: who holds whose shares after every step.

    A cell is what rank (row) holds of a chunk (column); the digits are the ranks whose
    shares it has added up.  A framed cell has just received along its arrow.
    """
    p = len(trace.results)
    held = {(r, c): frozenset({r}) for r in range(p) for c in range(p)}
    panels = [("start", dict(held), [])]
    for step, moves in sorted(stamped_moves(trace, p).items()):
        for _, destination, chunk, shares in moves:
            held[destination, chunk] |= shares
        panels.append((f"step {step}", dict(held), moves))

    rows = 1 if len(panels) <= 4 else 2
    columns = -(-len(panels) // rows)

    def paint(figure: Figure) -> None:
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in grid:
            axes.axis("off")
        for axes, (title, cells, moves) in zip(grid, panels, strict=False):
            _panel(axes, title, cells, moves, p)

    return draw(paint, size=(1.75 * columns, 2.0 * rows), alt=alt)


def stamped_moves(
    trace: Trace, p: int
) -> dict[int, list[tuple[int, int, int, frozenset[int]]]]:
    """Return step -> (source, destination, chunk, shares) of every message of a run.

    Errors: ValueError when a message holds more than one stamped element.
    """
    sends = [e for e in trace.events if e.kind == "send"]
    waiting = {(r, q): [] for r in range(p) for q in range(p)}
    for event in sends:
        if len(event.payload) != 1:
            raise ValueError(
                f"rank {event.rank} sent {event.bytes} bytes, not one stamp"
            )
        waiting[event.rank, event.peer].append(event.payload[0])
    moves: dict[int, list] = {}
    for step, source, destination, _ in trace.messages():
        chunk, shares = read_stamps(waiting[source, destination].pop(0), p)
        moves.setdefault(step, []).append((source, destination, chunk, shares))
    return moves


def _panel(axes: Axes, title: str, cells: dict, moves: list, p: int) -> None:
    axes.set_title(title, fontsize=9)
    axes.set(xlim=(-0.7, p + 0.1), ylim=(p + 0.1, -0.7), aspect="equal")
    fresh = {(destination, chunk) for _, destination, chunk, _ in moves}
    for (rank, chunk), shares in cells.items():
        strength = (len(shares) - 1) / max(1, p - 1)
        axes.add_patch(
            Rectangle(
                (chunk + 0.04, rank + 0.04),
                0.92,
                0.92,
                facecolor=(*matplotlib.colors.to_rgb(BLUE), 0.08 + 0.85 * strength),
                edgecolor=RED if (rank, chunk) in fresh else "#999999",
                linewidth=1.8 if (rank, chunk) in fresh else 0.5,
            )
        )
        axes.text(
            chunk + 0.6,
            rank + 0.5,
            "".join(map(str, sorted(shares))),
            ha="center",
            va="center",
            fontsize=min(7.0, 24 / len(shares)),  # beside the arrow
            color="white" if strength > 0.5 else INK,
        )
    for i in range(p):
        axes.text(-0.15, i + 0.5, f"r{i}", ha="right", va="center", fontsize=7)
        axes.text(i + 0.5, -0.15, f"c{i}", ha="center", va="bottom", fontsize=7)
    for source, destination, chunk, _ in moves:
        lane = chunk + 0.14  # left of the digits
        arrow(axes, (lane, source + 0.5), (lane, destination + 0.5), RED)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    width: float = 1.2,
) -> None:
    """Draw an arrow from `start` to `end`, in the units of the axes; width [point]."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=5 + 2.5 * width,
            color=colour,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
        )
    )
