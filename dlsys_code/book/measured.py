"""What was measured of links and backends, as a figure and as a table."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlsys_code.book.drawing import PAPER, Drawing, draw, scale, told_apart
from dlsys_code.communication.fit import Fit
from dlsys_code.communication.link import transfer_time_s
from dlsys_code.communication.probe import Cell
from dlsys_code.introduction.units import GB, show_bytes, show_time, us

SIGNS = {"yes": "✓", "no": "✘", "?": "?", "not here": "·"}
TABLE_HEAD = 16  # letters


class Measured(NamedTuple):
    """A link: its times by size [s], and the fit to them."""

    times_s: Mapping[int, Sequence[float]]
    fit: Fit


def links(measured: Mapping[str, Measured], *, alt: str) -> Drawing:
    """Return the samples and the fitted curve of each link, on logarithmic axes.

    A curve bends where its two dashed parts cross, alpha and beta n: at n_1/2.
    Errors: ValueError for more links than there are colours to tell them apart.
    """
    drawn = told_apart("links", measured)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(
            facecolor=PAPER, xlabel="message size n", ylabel="one-way time [us]"
        )
        for name, link, colour, marker in drawn:
            _paint_link(axes, name, link, colour, marker)
        sizes = sorted({n for link in measured.values() for n in link.times_s})
        scale(axes, sizes)

    return draw(paint, size=(6.0, 3.8), alt=alt)


def describe(name: str, fit: Fit) -> str:
    """Return alpha, the bandwidth and n_1/2 of a link in one line."""
    link = fit.link
    return (
        f"{name}: alpha {show_time(link.latency_s)}, "
        f"{link.bandwidth / GB:.3g} GB/s, n_1/2 {show_bytes(link.half_bandwidth_bytes)}"
    )


def _paint_link(
    axes: Axes, name: str, measured: Measured, colour: str, marker: str
) -> None:
    times_s, fit = measured
    for n, samples in times_s.items():
        y = [t / us for t in samples]
        axes.plot([n] * len(y), y, marker, color=colour, markersize=2.5, alpha=0.3)
    n = np.geomspace(min(times_s), max(times_s), 200)
    curve = transfer_time_s(n, fit.link) / us
    axes.plot(n, curve, color=colour, label=describe(name, fit))
    for part in (np.full_like(n, fit.link.latency_s), n * fit.link.seconds_per_byte):
        shown = part / us > 0.3 * curve.min()
        axes.plot(n[shown], part[shown] / us, "--", color=colour, linewidth=0.8)
    axes.axvline(fit.link.half_bandwidth_bytes, color=colour, linewidth=0.8, ls=":")


def support(cells: Sequence[Cell]) -> str:
    """Return the table of a probe: in each cell what is documented, then what is found.

    An exclamation mark stands where the two contradict each other.
    """
    places = list(dict.fromkeys(f"{c.backend} {c.device}" for c in cells))
    rows: dict[str, list[str]] = {}
    for c in cells:
        signs = f"{SIGNS[c.documented]} {SIGNS[c.found]}{'!' if c.differs else ' '}"
        rows.setdefault(c.primitive, []).append(signs)
    head = " " * TABLE_HEAD + "".join(f"{place:>10}" for place in places)
    lines = [
        f"{primitive:{TABLE_HEAD}}" + "".join(f"{signs:>10}" for signs in row)
        for primitive, row in rows.items()
    ]
    return "\n".join([head, *(line.rstrip() for line in lines)])
