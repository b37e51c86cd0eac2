"""Who talks to whom: the messages of a plan between ranks on a circle.

A line joins two ranks that exchange messages and is as wide as their bytes are many; a
rank is as red as it sends much.  So a hub, a full mesh and a ring are told at a glance.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import cos, pi, sin

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from dlsys_code.book.drawing import INK, PAPER, Drawing, draw
from dlsys_code.world import Message

WIDEST = 7.0  # line [point]
HEAT = colormaps["Oranges"]


def talk(
    plans: Mapping[str, Sequence[Message]],
    *,
    unit: int,
    servers: Mapping[str, Sequence[int]] | None = None,
    alt: str,
) -> Drawing:
    """Return a picture for each plan, all to the same scale.

    unit: the bytes that count as n.  servers: ranks to draw as squares, by plan.
    Below a picture stands what its busiest rank sends, in units of n.
    Errors: ValueError for a plan without messages or a unit below 1 byte.
    """
    if unit < 1 or not all(plans.values()):
        raise ValueError(f"a unit of {unit} bytes, or a plan without messages")
    pairs = {name: pair_bytes(plan) for name, plan in plans.items()}
    sent = {name: sent_bytes(plan) for name, plan in plans.items()}
    widest = max(max(each.values()) for each in pairs.values())
    warmest = max(max(each.values()) for each in sent.values())

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(plans), squeeze=False)[0]
        for axes, name in zip(grid, plans, strict=True):
            squares = (servers or {}).get(name, ())
            _paint_lines(axes, pairs[name], sent[name], widest)
            _paint_ranks(axes, sent[name], squares, warmest)
            busiest = max(sent[name].values()) / unit
            axes.set_title(f"{name}\nbusiest sends {busiest:.3g} n", fontsize=9)

    return draw(paint, size=(2.1 * len(plans), 2.5), alt=alt)


def pair_bytes(plan: Sequence[Message]) -> dict[tuple[int, int], int]:
    """Return the bytes between two ranks, both ways together, by (lower, higher)."""
    moved: Counter[tuple[int, int]] = Counter()
    for _, source, destination, n in plan:
        moved[min(source, destination), max(source, destination)] += n
    return dict(sorted(moved.items()))


def sent_bytes(plan: Sequence[Message]) -> dict[int, int]:
    """Return the bytes that each rank sends, of all ranks that send or receive."""
    ranks = sorted({rank for _, *pair, _ in plan for rank in pair})
    sent = dict.fromkeys(ranks, 0)
    for _, source, _, n in plan:
        sent[source] += n
    return sent


def _place(rank: int, among: int) -> tuple[float, float]:
    """Return where a rank stands: rank 0 on top, the others clockwise."""
    angle = pi / 2 - 2 * pi * rank / among
    return cos(angle), sin(angle)


def _paint_lines(
    axes: Axes, pairs: dict[tuple[int, int], int], sent: dict[int, int], widest: int
) -> None:
    axes.axis("off")
    axes.set(aspect="equal", xlim=(-1.35, 1.35), ylim=(-1.35, 1.35))
    for (a, b), n in pairs.items():
        x, y = zip(_place(a, len(sent)), _place(b, len(sent)), strict=True)
        width = max(0.6, WIDEST * n / widest)
        axes.plot(x, y, color="#8aa4b8", linewidth=width, solid_capstyle="butt")


def _paint_ranks(
    axes: Axes, sent: dict[int, int], squares: Sequence[int], warmest: int
) -> None:
    warmth = Normalize(0, 1.4 * warmest)  # dark ink stays readable on the warmest
    for rank, n in sent.items():
        x, y = _place(rank, len(sent))
        axes.scatter(
            x,
            y,
            s=230,
            marker="s" if rank in squares else "o",
            color=HEAT(float(warmth(n))) if n else PAPER,
            edgecolor=INK,
            linewidth=0.8,
            zorder=3,
        )
        axes.text(
            x, y, str(rank), ha="center", va="center_baseline", fontsize=8, zorder=4
        )
