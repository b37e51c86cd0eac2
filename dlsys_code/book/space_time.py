"""Space-time diagrams: the ranks side by side, the steps or the seconds downwards.

`rounds` draws lists of messages, planned or recorded, in steps; nothing in it depends
on a clock, so it is the same on every run.  `timeline` draws what the clocks of a
recorded run say, to see what waits and what overlaps.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import (
    BLUE,
    CYCLE,
    INK,
    ORANGE,
    PAPER,
    Drawing,
    arrow,
    draw,
)
from dlsys_code.communication import cost
from dlsys_code.world import Message, Trace

THIN, THICK = 0.8, 3.2  # points, for the smallest and the largest message
MOST_IN_A_ROW = 3


def rounds(panels: dict[str, Sequence[Message]], p: int, *, alt: str) -> Drawing:
    """Return the messages of several algorithms as arrows from rank to rank.

    panels: a name and the messages of each.  A column is a rank, a row a step; an arrow
    is the thicker the more bytes it carries, on one scale for all panels, and a dot
    marks its arrival.  The number below a rank's line is what it sends in all [bytes].
    """
    most = max((m.bytes for messages in panels.values() for m in messages), default=0)
    across = min(len(panels), MOST_IN_A_ROW)
    down = -(-len(panels) // across)
    steps = max(steps_of(messages) for messages in panels.values())

    def paint(figure: Figure) -> None:
        grid = figure.subplots(down, across, squeeze=False)
        for axes in grid.flat:
            axes.set_visible(False)
        for axes, (title, messages) in zip(grid.flat, panels.items(), strict=False):
            axes.set_visible(True)
            _paint_rounds(axes, rounds_and_bytes(title, messages), messages, p, most)
            axes.set_ylim(steps + 0.1, -0.7)

    width = 0.28 * p + 0.6 if across > 1 else 0.6 * p + 1.2
    height = (0.8 if steps <= 4 and across == 1 else 0.45) * steps + 1.0
    return draw(paint, size=(width * across, height * down), alt=alt)


def steps_of(messages: Sequence[Message]) -> int:
    """Return how many steps the messages take."""
    return 1 + max((message.step for message in messages), default=-1)


def rounds_and_bytes(title: str, messages: Sequence[Message]) -> str:
    """Return a panel's title that says how many rounds and bytes it takes."""
    total = cost.of_messages(messages)
    return f"{title}\n{total.rounds} rounds, a rank sends up to {total.bytes_sent:,} B"


def _paint_rounds(
    axes: Axes, title: str, messages: Sequence[Message], p: int, most: int
) -> None:
    steps = steps_of(messages)
    axes.set_facecolor(PAPER)
    axes.set_title(title, fontsize=8)
    for rank in range(p):
        axes.plot([rank, rank], [-0.5, steps - 0.4], color="#cccccc", linewidth=0.8)
    for message in messages:
        share = message.bytes / most if most else 0
        colour = CYCLE[message.step % len(CYCLE)]
        arrow(
            axes,
            (message.source, message.step - 0.35),
            (message.destination, message.step + 0.3),
            colour,
            THIN + (THICK - THIN) * share,
        )
        axes.plot(message.destination, message.step + 0.3, "o", color=INK, ms=2.2)
    for rank in range(p):
        sent = sum(m.bytes for m in messages if m.source == rank)
        axes.text(rank, steps - 0.3, f"{sent:,}", ha="center", va="top", fontsize=6)
    axes.text(-0.7, steps - 0.3, "B sent", ha="right", va="top", fontsize=6)
    axes.set_xlim(-0.6, p - 0.4)
    axes.set_xticks(range(p))
    axes.set_yticks(range(steps))
    axes.set_xlabel("rank", fontsize=7)
    axes.set_ylabel("step", fontsize=7)
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labelsize=7, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def timeline(trace: Trace, *, alt: str) -> Drawing:
    """Return what every rank did when: computing in one row, communicating below it.

    Times are measured, so the figure differs from run to run.
    """
    zero_s = min((event.start_s for event in trace.events), default=0.0)
    rows = {"compute": (BLUE, -0.2), "collective": (ORANGE, 0.2)}

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER, xlabel="time [ms]", ylabel="rank")
        for event in trace.events:
            if event.kind in rows and event.end_s is not None:
                colour, offset = rows[event.kind]
                axes.barh(
                    event.rank + offset,
                    (event.end_s - event.start_s) * 1e3,
                    left=(event.start_s - zero_s) * 1e3,
                    height=0.34,
                    color=colour,
                    edgecolor=PAPER,
                    linewidth=0.5,
                )
        for name, (colour, _) in rows.items():
            axes.barh(0, 0, color=colour, label=name)
        ranks = sorted({event.rank for event in trace.events})
        axes.set_yticks(ranks)
        axes.invert_yaxis()
        axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))

    height = 0.6 * len(trace.results) + 1.2
    return draw(paint, size=(6.5, height), alt=alt)
