"""An incast over time: the queue before the short port, and how fast hosts send.

A line of the queue shows the longest one of each interval, so that no peak is lost.
"""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import BLUE, INK, PAPER, Drawing, draw, told_apart
from dlsys_code.communication.pfc import Incast, Run
from dlsys_code.introduction.units import KB, Gbit, ms

POINTS = 300  # of a line: more are not seen


def incast(
    runs: Mapping[str, Run], setup: Incast, *, rates_of: str, alt: str
) -> Drawing:
    """Return the queue of every run, and the rate of each host in one of them.

    rates_of: the name of that run.
    Errors: ValueError for more runs than there are colours to tell them apart.
    """
    drawn = told_apart("runs", runs)

    def paint(figure: Figure) -> None:
        queues, rates = figure.subplots(1, 2)
        for name, run, colour, _ in drawn:
            every = -(-len(run.queue) // POINTS)
            values = [most / KB for most in in_each(every, run.queue)]
            queues.plot(
                times_ms(setup, every, values), values, color=colour, label=name
            )
        queues.axhline(setup.pause_above / KB, color=INK, linestyle=":", linewidth=0.8)
        queues.set(ylabel="longest queue at port 0 [KB]", ylim=(0, None))
        _paint_rates(rates, runs[rates_of], setup)
        for axes in (queues, rates):
            axes.set(xlabel="time [ms]", facecolor=PAPER)
            axes.legend(
                frameon=False,
                ncols=3,
                fontsize=8,
                loc="lower center",
                bbox_to_anchor=(0.5, 1),
            )

    return draw(paint, size=(7.6, 3.0), alt=alt)


def _paint_rates(axes: Axes, run: Run, setup: Incast) -> None:
    every = -(-len(run.rates) // POINTS)
    for host in range(setup.senders):
        rate = [at[host] / Gbit for at in run.rates[::every]]
        x = times_ms(setup, every, rate)
        label = "a sender" if host == 0 else None
        axes.plot(x, rate, color=BLUE, linewidth=0.7, alpha=0.7, label=label)
    fair = setup.line / setup.senders / Gbit
    axes.axhline(fair, color=INK, linestyle="--", linewidth=0.8, label="fair share")
    axes.set(ylabel="rate [Gbit/s]", ylim=(0, None))


def in_each(every: int, values: list[float]) -> list[float]:
    """Return the largest of each `every` values."""
    return [max(values[i : i + every]) for i in range(0, len(values), every)]


def times_ms(setup: Incast, every: int, values: list[float]) -> list[float]:
    """Return when each of `values` was seen, one in `every` steps [ms]."""
    return [i * every * setup.step_s / ms for i in range(len(values))]
