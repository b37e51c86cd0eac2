"""Hosts and their network planes, as a wiring diagram.

A plane is a bar and a host a box; every port of a host is a line that ends in a dot on
the bar of its plane.  A line that passes a bar without a dot is not joined to it.
"""

from collections.abc import Mapping

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlsys_code.architecture.graph import endpoints
from dlsys_code.architecture.planes import ports
from dlsys_code.book.drawing import INK, PAPER, Drawing, draw, told_apart

BAR, APART = 0.3, 0.7  # height of a bar, and from bar to bar
TOP = 0.9  # height of a host
MARGIN = 0.9  # left of the first line and right of the last, from line to line 1


def draw_planes(
    networks: Mapping[str, nx.Graph], *, alt: str, shown: int = 3
) -> Drawing:
    """Return the first hosts and the planes on which they hang.

    networks: from `planes`, the uppermost first.  shown: how many hosts are drawn.
    Errors: ValueError for more planes than there are colours, and when there are not as
    many hosts in every plane.
    """
    looks = told_apart("planes", networks)
    fewest = min(len(endpoints(network)) for network in networks.values())
    if not 1 <= shown <= fewest:
        raise ValueError(f"{shown} hosts cannot be drawn where a plane has {fewest}")
    wide = max(
        sum(ports(network, host) for network in networks.values())
        for host in range(shown)
    )

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER)
        axes.axis("off")
        step = wide + 2 * MARGIN
        for row, (name, network, colour, _) in enumerate(reversed(looks)):
            _bar(axes, name, network, colour, TOP + APART * (row + 0.7), step * shown)
        for host in range(shown):
            axes.add_patch(
                Rectangle(
                    (host * step + 0.4, 0),
                    step - 0.8,
                    TOP,
                    facecolor="#e6e4dc",
                    edgecolor=INK,
                    linewidth=0.8,
                )
            )
            middle = (host + 0.5) * step
            axes.text(middle, 0.42, f"host {host}", ha="center", va="center")
            _lines(axes, looks, host, host * step + MARGIN + 0.5)
        axes.set(
            xlim=(-0.35 * step, step * shown + 0.5),
            ylim=(-0.1, TOP + APART * (len(looks) + 0.3)),
        )

    return draw(paint, size=(7.2, 0.55 * len(looks) + 1.0), alt=alt)


def _bar(
    axes: Axes, name: str, network: nx.Graph, colour: str, y: float, width: float
) -> None:
    """Draw a plane; left of it its name, the ports of a host, and its switches."""
    switches = [kind for _, kind in network.nodes(data="kind")].count("switch")
    noun = "switch" if switches == 1 else "switches"
    kind = next(kind for _, _, kind in network.edges(data="kind"))
    axes.add_patch(
        Rectangle(
            (0, y - BAR / 2), width, BAR, facecolor=colour, alpha=0.25, edgecolor="none"
        )
    )
    axes.text(
        -0.4,
        y,
        f"{name}\n{ports(network, 0)} x {kind}\n{switches} {noun}",
        ha="right",
        va="center",
        fontsize=7.5,
        linespacing=1.1,
    )


def _lines(axes: Axes, looks: list[tuple], host: int, x: float) -> None:
    """Draw the ports of one host, those of the uppermost plane first."""
    for row, (_, network, colour, _) in enumerate(looks):
        y = TOP + APART * (len(looks) - row - 1 + 0.7)
        for _ in range(ports(network, host)):
            axes.plot([x, x], [TOP, y], color=PAPER, linewidth=2.6, zorder=2)
            axes.plot([x, x], [TOP - 0.12, y], color=colour, linewidth=1.2, zorder=3)
            axes.plot(
                [x], [TOP - 0.06], marker="s", ms=4, color=colour, mec=INK, mew=0.5
            )
            axes.plot([x], [y], marker="o", ms=4.5, color=colour, zorder=4)
            x += 1
