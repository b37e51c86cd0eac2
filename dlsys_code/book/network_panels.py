"""Several small networks side by side, each with what it costs and what it offers.

The same looks as in `networks`: circles are devices, squares are switches.  Devices of
one rack, host or pod stand on a common ground.  The numbers under a name are counted on
the graph that is drawn, so a picture cannot disagree with its caption.
"""

from collections.abc import Mapping

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch

from dlsys_code.architecture.counts import count
from dlsys_code.book.drawing import BLUE, GREEN, INK, PAPER, Drawing, draw
from dlsys_code.book.layouts import Layout, layout
from dlsys_code.book.networks import colours_of_kinds, paint_links, paint_nodes

GROUND = "#e6e4dc"
SIDE = 2.35  # of a panel [inch]


def draw_networks(
    graphs: Mapping[str, nx.Graph], *, alt: str, columns: int = 3
) -> Drawing:
    """Return one panel for each network, by its name, with its counts.

    Errors: ValueError for no network at all, and as `count`.
    """
    if not graphs:
        raise ValueError("there is no network to draw")
    rows = -(-len(graphs) // columns)
    told = {name: said(graph) for name, graph in graphs.items()}
    colours = colours_of_kinds(*graphs.values())

    def paint(figure: Figure) -> None:
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in grid:
            axes.axis("off")
        for axes, (name, graph) in zip(grid, graphs.items(), strict=False):
            placed = layout(graph)
            axes.set_aspect("equal" if placed.round else "auto")
            axes.margins(0.06)
            _ground(axes, graph, placed)
            paint_links(axes, graph, placed, colours=colours, thin=0.8)
            paint_nodes(axes, graph, placed, small=True)
            axes.set_title(name, fontsize=10, fontweight="bold", pad=23)
            axes.text(
                *(0.5, 1.02),
                told[name],
                transform=axes.transAxes,
                ha="center",
                va="bottom",
                fontsize=7,
                linespacing=1.15,
            )
        marks = _marks(colours)
        figure.legend(handles=marks, frameon=False, ncols=5, loc="outside lower center")

    return draw(paint, size=(SIDE * columns, (SIDE + 0.1) * rows + 0.3), alt=alt)


def said(graph: nx.Graph) -> str:
    """Return the counts of a network in two lines, for the reader of its picture."""
    c = count(graph)
    return (
        f"{c.devices} devices, {c.switches} switches, {c.cables} cables\n"
        f"diameter {c.diameter}, bisection {c.bisection_cables} cables"
    )


def _ground(axes: Axes, graph: nx.Graph, placed: Layout) -> None:
    """Draw the ground on which the devices of a rack stand, in rows of devices."""
    if placed.round:
        return
    groups: dict[tuple, list[float]] = {}
    for rank, place in graph.nodes(data="place"):
        if place and len(place) > 1:
            groups.setdefault(place[:-1], []).append(placed.places[rank][0])
    for xs in groups.values():
        left, width = min(xs) - 0.32, max(xs) - min(xs) + 0.64
        axes.add_patch(
            FancyBboxPatch(
                (left, -0.16),
                width,
                0.32,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=GROUND,
                edgecolor="none",
                zorder=0,
            )
        )


def _marks(colours: Mapping[str, str]) -> list[Line2D]:
    looks = {"device": ("o", PAPER), "switch": ("s", BLUE), "NVSwitch": ("s", GREEN)}
    nodes = [
        Line2D([], [], ls="", marker=marker, color=fill, mec=INK, label=name)
        for name, (marker, fill) in looks.items()
    ]
    links = [Line2D([], [], color=hue, label=kind) for kind, hue in colours.items()]
    return nodes + links
