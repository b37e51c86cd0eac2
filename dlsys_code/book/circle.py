"""Ranks on a circle: who sends what to whom in every round of a recorded run.

Every rank brings chunks with its stamp (see `stamps`), so the messages tell whose
shares they carry; nothing about the algorithm is assumed.
"""

from collections.abc import Iterator, Mapping
from math import cos, hypot, pi, sin

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Wedge

from dlsys_code.book.drawing import (
    CYCLE,
    INK,
    PAPER,
    Drawing,
    arrow,
    draw,
    stamped_moves,
)
from dlsys_code.world import Trace

PIE = 0.29  # radius of a rank, where that of the circle is 1
MOST_IN_A_ROW = 4
Point = tuple[float, float]


def stamped_circle(trace: Trace, *, alt: str) -> Drawing:
    """Return a run on stamped chunks: the messages of every round on a circle of ranks.

    A rank is a pie with a slice for each chunk, the darker the more shares it has added
    up by the end of the round.  "c2: 34" on an arrow is chunk 2 with the shares of
    ranks 3 and 4.
    Errors: ValueError for more ranks than there are colours to tell chunks apart.
    """
    p = len(trace.results)
    if p > len(CYCLE):
        raise ValueError(f"{len(CYCLE)} chunks can be told apart, not {p}")
    panels = list(after_rounds(stamped_moves(trace, p), p))
    across = max(1, min(MOST_IN_A_ROW, len(panels)))
    down = max(1, -(-len(panels) // across))

    def paint(figure: Figure) -> None:
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes in grid:
            axes.axis("off")
        for axes, (number, moves, held) in zip(grid, panels, strict=False):
            _paint_circle(axes, f"round {number}")
            for source, to, chunk, shares in moves:
                ends, colour = (source, to), CYCLE[chunk]
                middle = _message(axes, ends, p, colour)
                who = "".join(map(str, sorted(shares)))
                _label(axes, middle, f"c{chunk}: {who}", colour)
            for rank in range(p):
                _rank(axes, rank, p, {c: len(held[rank, c]) for c in range(p)})

    return draw(paint, size=(2.3 * across, 1.95 * down), alt=alt)


def after_rounds(
    moves: Mapping[int, list], p: int
) -> Iterator[tuple[int, list, dict[tuple[int, int], frozenset[int]]]]:
    """Yield each round: its number, its moves, and whose shares are held after it."""
    held = {(r, c): frozenset({r}) for r in range(p) for c in range(p)}
    for number in sorted(moves):
        for _, to, chunk, shares in moves[number]:
            held[to, chunk] |= shares
        yield number, moves[number], dict(held)


def place(rank: int, p: int) -> Point:
    """Return where a rank is: clockwise from the top, on a circle of radius 1."""
    angle = pi / 2 - 2 * pi * rank / p
    return cos(angle), sin(angle)


def _paint_circle(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=8, pad=1)
    axes.set(xlim=(-1.85, 1.85), ylim=(-1.4, 1.4), aspect="equal")


def _message(
    axes: Axes,
    ends: tuple[int, int],
    p: int,
    colour: str,
) -> Point:
    """Draw an arrow from rank to rank and return its middle."""
    (ax, ay), (bx, by) = (place(rank, p) for rank in ends)
    length = hypot(bx - ax, by - ay)
    ux, uy = (bx - ax) / length, (by - ay) / length
    room = PIE + 0.03
    start, end = (ax + room * ux, ay + room * uy), (bx - room * ux, by - room * uy)
    arrow(axes, start, end, colour, 1.4)
    return (ax + bx) / 2, (ay + by) / 2


def _label(axes: Axes, at: Point, text: str, colour: str) -> None:
    """Write beside a message, on the outer side of the circle."""
    x, y = at
    away = 1 + 0.1 / max(hypot(x, y), 0.1)
    side = "center" if abs(x) < 0.2 else "left" if x > 0 else "right"
    ground = {"facecolor": (*matplotlib.colors.to_rgb(colour), 0.25), "linewidth": 0}
    axes.text(
        x * away,
        y * away - (0.3 if side == "center" else 0),
        text,
        ha=side,
        va="center",
        fontsize=6.5,
        bbox=ground | {"boxstyle": "round,pad=0.15"},
    )


def _rank(axes: Axes, rank: int, p: int, slices: Mapping[int, int]) -> None:
    """Draw a rank.  slices: how many shares each of its p chunks holds."""
    at = place(rank, p)
    for chunk, shares in slices.items():
        strength = 0.12 + 0.88 * (shares - 1) / max(1, p - 1)
        face = (*matplotlib.colors.to_rgb(CYCLE[chunk]), strength)
        first = 90 - 360 * (chunk + 1) / p
        edges = (first, first + 360 / p)
        axes.add_patch(Wedge(at, PIE, *edges, facecolor=face, edgecolor=INK, lw=0.4))
    axes.add_patch(Wedge(at, PIE / 2, 0, 360, facecolor=PAPER, edgecolor=INK, lw=0.5))
    axes.text(*at, str(rank), ha="center", va="center", fontsize=7)
