"""A table of bars: what a rank holds under each scheme, as a share of one process's.

A row is a scheme, a column a kind of bytes.  A full bar is what one process holds, or
the most of its column where some hold more; so what a scheme shares out is told by a
short bar, and the fraction is written beside it.
"""

from collections.abc import Mapping
from fractions import Fraction

from matplotlib.figure import Figure

from dlsys_code.book.drawing import PAPER, Drawing, draw, told_apart

Shares = Mapping[str, float]  # kind -> share
FULL, GAP = 1.0, 0.55  # widths of a full bar, and of the room for its fraction
BAR, RIM = {"height": 0.6, "linewidth": 0.6}, "#9a9a9a"
SAID = {"va": "center", "fontsize": 8}
NEAR = 0.02  # of a simple fraction, relative


def holding(rows: Mapping[str, Shares], *, alt: str) -> Drawing:
    """Return the table; every row has the same kinds, in the same order.

    Errors: ValueError where rows have other kinds, or more than can be told apart.
    """
    kinds = [list(row) for row in rows.values()]
    if not kinds or any(row != kinds[0] for row in kinds):
        raise ValueError(f"every row has the same kinds, not {kinds}")
    columns = told_apart("kinds", dict.fromkeys(kinds[0]))

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER)
        for at, (kind, _, colour, _) in enumerate(columns):
            left = at * (FULL + GAP)
            axes.text(left, -0.75, kind, fontsize=9)
            most = max(1.0, *(row[kind] for row in rows.values()))
            for y, row in enumerate(rows.values()):
                axes.barh(y, FULL, left=left, color="none", edgecolor=RIM, **BAR)
                axes.barh(y, row[kind] / most, left=left, color=colour, **BAR)
                axes.text(left + FULL + 0.04, y, fraction(row[kind]), **SAID)
        axes.set_yticks(range(len(rows)), rows)
        axes.set(xlim=(-0.1, len(columns) * (FULL + GAP)), ylim=(len(rows) - 0.4, -1.1))
        axes.set_xticks([])
        axes.tick_params(axis="y", length=0)
        axes.spines[:].set_visible(False)

    size = (1.2 + 1.15 * len(columns), 0.36 * len(rows) + 0.5)
    return draw(paint, size=size, alt=alt)


def fraction(share: float) -> str:
    """Return a share as it is said: "1", "1/4", or two digits where it is no such."""
    near = Fraction(share).limit_denominator(8)
    if near and abs(share / near - 1) <= NEAR:
        return str(near)
    return f"{share:.2f}" if share else "0"
