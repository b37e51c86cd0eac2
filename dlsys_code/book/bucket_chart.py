"""Figures of data parallelism: buckets behind backward, gradients there and sent.

`lines` draws a step of the model of `bucket_overlap`, or of a record; `ready_and_sent`
the order of a recorded step, which does not depend on a clock.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from dlsys_code.book.drawing import BLUE, ORANGE, PAPER, Drawing, draw
from dlsys_code.introduction.units import KiB, ms
from dlsys_code.system.bucket_overlap import Travel
from dlsys_code.world.journal import Event

EDGE = {"edgecolor": PAPER, "linewidth": 0.8}
LOOKS = {  # kind of a span -> where in its row, and how it looks
    "backward": (-0.17, {"color": BLUE} | EDGE),
    "hidden": (0.17, {"color": ORANGE} | EDGE),
    "exposed": (0.17, {"color": ORANGE, "hatch": "///"} | EDGE),
}
Stairs = tuple[list[int], list[int]]  # bytes there and bytes sent, after every gradient


class Span(NamedTuple):
    """A stretch of time of one kind, as in `LOOKS` [s]."""

    kind: str
    start_s: float
    end_s: float


def spans(travels: Sequence[Travel]) -> Iterator[Span]:
    """Yield the stretches of a plan: backward up to each bucket, then its way.

    travels: in the order in which they leave; backward begins at 0.
    """
    over_s = travels[-1].ready_s  # backward is, with the last gradient
    before_s = 0.0
    for travel in travels:
        yield Span("backward", before_s, travel.ready_s)
        before_s = travel.ready_s
        shows_s = min(max(over_s, travel.start_s), travel.end_s)
        yield Span("hidden", travel.start_s, shows_s)
        yield Span("exposed", shows_s, travel.end_s)


def spans_of(events: Sequence[Event]) -> Iterator[Span]:
    """Yield the stretches of a recorded step of one rank, from its last backward on.

    events: of the rank, with a span "backward".
    """
    (*_, backward) = [event for event in events if event.op == "backward"]
    zero_s, over_s = backward.start_s, backward.end_s
    yield Span("backward", 0.0, over_s - zero_s)
    for event in events:
        if event.op == "all_reduce" and event.start_s >= zero_s:
            shows_s = min(max(over_s, event.start_s), event.end_s)
            yield Span("hidden", event.start_s - zero_s, shows_s - zero_s)
            yield Span("exposed", shows_s - zero_s, event.end_s - zero_s)


def lines(panels: Mapping[str, Iterable[Span]], *, alt: str) -> Drawing:
    """Return when backward computes and when buckets travel, one step below the other.

    panels: the stretches of each step.  What travels after backward is hatched.
    """
    drawn = {name: list(stretches) for name, stretches in panels.items()}

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER, xlabel="time [ms]")
        for row, stretches in enumerate(drawn.values()):
            for kind, start_s, end_s in stretches:
                offset, look = LOOKS[kind]
                width = (end_s - start_s) / ms
                axes.barh(row + offset, width, left=start_s / ms, height=0.3, **look)
        for name, (_, look) in LOOKS.items():
            axes.barh(0, 0, label=name, **look)
        axes.set_yticks(range(len(drawn)), drawn)
        axes.set_ylim(len(drawn) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))

    return draw(paint, size=(6.5, 0.85 * len(drawn) + 0.9), alt=alt)


def stairs_of(events: Sequence[Event], sizes: Mapping[str, int]) -> Stairs:
    """Return the bytes of gradients there and sent, in the order of one rank's events.

    events: of one step of one rank; a gradient that is there is a span with the name of
    its parameter.  sizes: bytes by that name.
    """
    there, sent = [0], [0]
    for event in events:
        if event.kind == "compute" and event.op in sizes:
            there.append(there[-1] + sizes[event.op])
            sent.append(sent[-1])
        elif event.op == "all_reduce":
            there.append(there[-1])
            sent.append(sent[-1] + event.bytes)
    return there, sent


def ready_and_sent(runs: Mapping[str, Stairs], *, alt: str) -> Drawing:
    """Return, event by event, how many bytes of gradients are there and are sent.

    runs: the stairs of each.  What lies between the two waits, though it could go.
    """

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
        for axes, (name, (there, sent)) in zip(grid, runs.items(), strict=True):
            axes.set(facecolor=PAPER, xlabel="event of rank 0")
            axes.set_title(name, fontsize=9)
            x = range(len(there))
            for y, colour, label in ((there, BLUE, "there"), (sent, ORANGE, "sent")):
                amounts = [n / KiB for n in y]
                axes.step(x, amounts, where="post", color=colour, label=label)
            waiting = [[n / KiB for n in y] for y in (sent, there)]
            axes.fill_between(x, *waiting, step="post", color=BLUE, alpha=0.12)
            axes.grid(color="#dddddd", linewidth=0.6)
        grid[0].set_ylabel("gradients [KiB]")
        grid[0].legend(frameon=False, loc="upper left")

    return draw(paint, size=(3.1 * len(runs) + 0.4, 3.0), alt=alt)
