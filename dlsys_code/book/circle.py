"""Ranks on a circle: who sends what to whom in every round, and who talks to whom.

`stamped_circle` draws a recorded run on stamped chunks (see `stamps`) round by round;
`partners` draws only which ranks exchange messages.  Both read the messages of the run
and assume nothing about its algorithm.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import cos, hypot, pi, sin

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Wedge

from dlsys_code.book.drawing import (
    BLUE,
    CYCLE,
    INK,
    PAPER,
    Drawing,
    arrow,
    draw,
    stamped_moves,
)
from dlsys_code.world import Trace

PIE, DISC = 0.29, 0.17  # radius of a rank, where that of the circle is 1
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
                middle = _message(axes, ends, p, colour, radius=PIE, width=1.4)
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


def partners(traces: Mapping[str, Trace], *, alt: str) -> Drawing:
    """Return for each run which rank sends to which, an arrow for every direction.

    An arrow is the thicker the more bytes it stands for, on one scale for all panels.
    """
    pairs = {name: bytes_by_pair(trace) for name, trace in traces.items()}
    most = max((n for each in pairs.values() for n in each.values()), default=1)

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(traces), squeeze=False)[0]
        for axes, (name, trace) in zip(grid, traces.items(), strict=True):
            p, each = len(trace.results), pairs[name]
            axes.axis("off")
            most_sent = f"a rank sends up to {max(trace.bytes_sent()):,} B"
            _paint_circle(axes, f"{name}: {len(each)} arrows\n{most_sent}")
            for ends, n in sorted(each.items()):
                width = 0.7 + 2.3 * n / most  # the two directions lie side by side
                _message(axes, ends, p, BLUE, radius=DISC, width=width, aside=0.035)
            for rank in range(p):
                _rank(axes, rank, p, {})

    return draw(paint, size=(2.6 * len(traces), 2.2), alt=alt)


def bytes_by_pair(trace: Trace) -> dict[tuple[int, int], int]:
    """Return (source, destination) -> the bytes of all its messages."""
    total: Counter[tuple[int, int]] = Counter()
    for message in trace.messages():
        total[message.source, message.destination] += message.bytes
    return dict(total)


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
    *,
    radius: float,
    width: float,
    aside: float = 0.0,
) -> Point:
    """Draw an arrow from rank to rank and return its middle."""
    (ax, ay), (bx, by) = (place(rank, p) for rank in ends)
    length = hypot(bx - ax, by - ay)
    ux, uy = (bx - ax) / length, (by - ay) / length
    x, y, room = -aside * uy, aside * ux, radius + 0.03
    start = ax + room * ux + x, ay + room * uy + y
    end = bx - room * ux + x, by - room * uy + y
    arrow(axes, start, end, colour, width)
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
    """Draw a rank.  slices: how many shares each of its p chunks holds, if any."""
    at = place(rank, p)
    for chunk, shares in slices.items():
        strength = 0.12 + 0.88 * (shares - 1) / max(1, p - 1)
        face = (*matplotlib.colors.to_rgb(CYCLE[chunk]), strength)
        first = 90 - 360 * (chunk + 1) / p
        edges = (first, first + 360 / p)
        axes.add_patch(Wedge(at, PIE, *edges, facecolor=face, edgecolor=INK, lw=0.4))
    inner = PIE / 2 if slices else DISC
    axes.add_patch(Wedge(at, inner, 0, 360, facecolor=PAPER, edgecolor=INK, lw=0.5))
    axes.text(*at, str(rank), ha="center", va="center", fontsize=7)
