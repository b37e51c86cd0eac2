"""Pictures of networks: what is joined to what, by how many cables, and how busy.

Devices are circles with their rank, all that forwards is a square.  A line is as wide
as its cables are many, and has the colour of its kind, of the ring that runs over it,
or of its load.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log2

import networkx as nx
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dlsys_code.book.drawing import (
    BLUE,
    CYCLE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    PURPLE,
    Drawing,
    draw,
    told_apart,
)
from dlsys_code.book.layouts import Layout, layout

Edge = tuple[int | str, int | str]
Loads = Mapping[Edge, float]
GREY, DASHES = "#c4c4c0", ("-", (0, (4, 1.2)), (0, (1.2, 1)), "-.", "-", "--")
LOOKS = {  # kind of node -> marker, fill, name in the legend
    "device": ("o", PAPER, "device"),
    "nic": ("D", PURPLE, "NIC"),
    "pcie": ("s", ORANGE, "PCIe switch"),
    "cpu": ("s", INK, "CPU"),
    "nvswitch": ("s", GREEN, "NVSwitch"),
    "switch": ("s", BLUE, "switch"),
}
MOST_NUMBERED = 100  # nodes, of which each shows its number


def draw_network(
    graph: nx.Graph,
    *,
    alt: str,
    marked: Mapping[str, Sequence[Edge]] | None = None,
    loads: Loads | None = None,
    load_label: str = "load",
    circle: Sequence[int] | None = None,
    size: tuple[float, float] = (5.0, 3.8),
) -> Drawing:
    """Return a picture of a network.

    marked: edges to show in a colour of their own, by the name in the legend, such as
    the hops of a ring; what is marked twice runs side by side.  loads: a number for
    edges; the larger of both directions counts.  load_label: what it is.  circle: the
    order of devices that stand on a circle.  size: width and height [inch].
    Errors: ValueError for more marks than can be told apart, and for marks or loads on
    edges that the network does not have.
    """
    marks = told_apart("marks", marked or {})
    given = [edge for _, edges, _, _ in marks for edge in edges] + list(loads or {})
    missing = [edge for edge in given if not graph.has_edge(*edge)]
    if missing:
        raise ValueError(f"the network has no link {missing[0][0]} - {missing[0][1]}")
    placed = layout(graph, circle)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER)
        axes.axis("off")
        axes.set_aspect("equal" if placed.round else "auto")
        if loads:
            _paint_loads(axes, graph, placed, loads, load_label)
        else:
            paint_links(axes, graph, placed, muted=bool(marks))
        _paint_marks(axes, placed, marks)
        paint_nodes(axes, graph, placed)
        _name_rows(axes, graph, placed)
        axes.legend(
            frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0.0)
        )

    return draw(paint, size=size, alt=alt)


def _width(cables: int) -> float:
    """Return the width of a line [point]; from two cables on it grows slowly."""
    return 1.0 if cables < 2 else 2.0 + 0.5 * log2(cables / 2)


def colours_of_kinds(*graphs: nx.Graph) -> dict[str, str]:
    """Return a colour for every kind of link, alike in several networks."""
    kinds = dict.fromkeys(
        kind for graph in graphs for _, _, kind in graph.edges(data="kind")
    )
    return dict(zip(kinds, CYCLE, strict=False))


def paint_links(
    axes: Axes,
    graph: nx.Graph,
    placed: Layout,
    *,
    muted: bool = False,
    colours: Mapping[str, str] | None = None,
    thin: float = 1.0,
) -> None:
    """Draw every link in the colour of its kind; muted: all in grey.

    colours: of the kinds, else as they come.  thin: a factor of the width of a line.
    """
    colours = colours_of_kinds(graph) if colours is None else colours
    said = set()
    for a, b, link in graph.edges(data=True):
        kind, cables = link["kind"], link["cables"]
        label = kind if cables == 1 else f"{cables} x {kind}"
        colour = GREY if muted else colours.get(kind, INK)
        x, y = placed.line(a, b).T
        axes.plot(
            x,
            y,
            color=colour,
            linewidth=thin * _width(cables),
            zorder=1,
            label=None if muted or label in said else label,
        )
        said.add(label)


def _paint_loads(
    axes: Axes, graph: nx.Graph, placed: Layout, loads: Loads, load_label: str
) -> None:
    """Draw every link in the colour of its load, with a scale at the side."""
    busy: dict[frozenset, float] = {}
    for edge, load in loads.items():
        key = frozenset(edge)
        busy[key] = max(load, busy.get(key, 0.0))
    scale = ScalarMappable(Normalize(0, max(busy.values()) or 1), colormaps["plasma_r"])
    for a, b in sorted(graph.edges, key=lambda edge: busy.get(frozenset(edge), 0.0)):
        load = busy.get(frozenset((a, b)), 0.0)
        x, y = placed.line(a, b).T
        width = 0.8 + 2.7 * float(scale.norm(load))
        colour = scale.to_rgba(load) if load else GREY
        axes.plot(x, y, color=colour, linewidth=width, zorder=1)
    bar = axes.figure.colorbar(scale, ax=axes, label=load_label, shrink=0.7)
    bar.locator = MaxNLocator(4)


def _paint_marks(axes: Axes, placed: Layout, marks: Sequence[tuple]) -> None:
    """Draw marked links, side by side where several marks share one."""
    together = Counter(frozenset(edge) for _, edges, _, _ in marks for edge in edges)
    drawn: Counter[frozenset] = Counter()
    for (name, edges, colour, _), dashes in zip(marks, DASHES, strict=False):
        for i, (a, b) in enumerate(edges):
            key = frozenset((a, b))
            aside = drawn[key] - (together[key] - 1) / 2
            drawn[key] += 1
            x, y = placed.line(*sorted((a, b), key=str), aside=aside).T
            axes.plot(
                x,
                y,
                color=colour,
                linestyle=dashes,
                linewidth=2.0,
                zorder=2,
                label=None if i else name,
            )


def paint_nodes(
    axes: Axes, graph: nx.Graph, placed: Layout, *, small: bool = False
) -> None:
    """Draw the nodes with their numbers, if these can be read; small: without."""
    numbered = len(graph) <= MOST_NUMBERED and not small
    area = 26 if small else 130 if len(graph) <= 40 else 70 if numbered else 10
    for kind, (marker, fill, name) in LOOKS.items():
        nodes = [node for node, data in graph.nodes(data=True) if data["kind"] == kind]
        if not nodes:
            continue
        x, y = zip(*(placed.places[node] for node in nodes), strict=True)
        axes.scatter(
            x,
            y,
            s=area,
            marker=marker,
            color=fill,
            edgecolor=INK,
            linewidth=0.8,
            zorder=3,
        )
        axes.add_line(
            Line2D([], [], ls="", marker=marker, color=fill, mec=INK, label=name)
        )
        for node in nodes if numbered else ():
            axes.text(
                *placed.places[node],
                str(node).split()[-1],
                ha="center",
                va="center_baseline",
                fontsize=7 if area > 100 else 5,
                color=INK if kind in ("device", "pcie", "nic") else "white",
                zorder=4,
            )


def _name_rows(axes: Axes, graph: nx.Graph, placed: Layout) -> None:
    """Write beside the rows of switches of a tree what they are called."""
    rows = {
        placed.places[node][1]: node.split()[0]
        for node, kind in graph.nodes(data="kind")
        if kind == "switch" and not placed.round
    }
    left = min(x for x, _ in placed.places.values())
    for y, name in rows.items():
        axes.annotate(
            name,
            (left, y),
            xytext=(-9, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8,
        )
