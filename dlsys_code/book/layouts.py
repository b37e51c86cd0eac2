"""Where the nodes of a network stand in its picture.

Trees stand in rows, one above the other; groups of a dragonfly on a circle; a torus on
a grid, of which the third dimension goes into depth; all else on a circle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, inf, pi, sin

import networkx as nx
import numpy as np

from dlsys_code.architecture.graph import endpoints

Place = tuple[float, float]
DEPTH = (0.38, 0.24)  # by which a plane of a torus stands behind the one before it
STUB = 0.22  # length of an open end; two nodes of a row are 1 apart
BESIDE = 0.02  # from line to line side by side, of the width of the picture


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Places of the nodes.

    round: x and y have the same scale.  open_ends: of a line that would run through a
    node only both ends are drawn, as is usual for a torus of three dimensions.
    """

    places: Mapping[int | str, Place]
    round: bool
    open_ends: bool = False

    def line(self, a: int | str, b: int | str, aside: float = 0.0) -> np.ndarray:
        """Return points (n, 2) on the way from a to b, past the nodes between them.

        aside: how many lines beside the middle, for those that run side by side.
        """
        start, end = np.array(self.places[a]), np.array(self.places[b])
        along = end - start
        across = np.array([along[1], -along[0]]) / np.hypot(*along)  # to the right
        everywhere = np.array(list(self.places.values()))
        shift = aside * BESIDE * np.ptp(everywhere, axis=0).max() * across
        bow = np.zeros(2)
        if not self.round and along[1] == 0 and isinstance(a, int):
            bow = np.array([0, -0.2 - 0.11 * abs(along[0])])  # below the devices
        elif self._blocked(everywhere, start, along, across):
            if self.open_ends:
                end = STUB * along / np.hypot(*along)
                gap = [np.nan, np.nan]
                return shift + [
                    start,
                    start - end,
                    gap,
                    start + along + end,
                    start + along,
                ]
            bow = across * (0.13 * np.hypot(*along) if self.round else 0.2)
        t = np.linspace(0, 1, 17 if bow.any() else 2)[:, None]
        return start + shift + t * along + 4 * t * (1 - t) * bow

    @staticmethod
    def _blocked(
        everywhere: np.ndarray, start: np.ndarray, along: np.ndarray, across: np.ndarray
    ) -> bool:
        """Return whether a straight line would run through a third node."""
        way = everywhere - start
        passed = way @ along / (along @ along)
        return bool(
            ((np.abs(way @ across) < 0.02) & (passed > 0.01) & (passed < 0.99)).any()
        )


def layout(network: nx.Graph, circle: Sequence[int] | None = None) -> Layout:
    """Return where every node stands, the same in every run.

    circle: the order of the devices of a direct network on a circle.
    """
    place = nx.get_node_attributes(network, "place")
    direct = len(network) == len(place)
    if any(str(node).startswith("router") for node in network):
        return Layout(places=_groups(network), round=True)
    if not direct:
        return Layout(places=_rows(network), round=False)
    if circle is None and len(place[0]) > 1:
        grid = {rank: _on_grid(at) for rank, at in place.items()}
        return Layout(places=grid, round=True, open_ends=len(place[0]) > 2)
    order = endpoints(network) if circle is None else circle
    around = _circle(len(order), 1.0)
    return Layout(places=dict(zip(order, around, strict=True)), round=True)


def _circle(count: int, radius: float, turned: float = 0.0) -> list[Place]:
    """Places on a circle about the origin, clockwise, half a step off the top."""
    angles = [turned + pi / 2 - 2 * pi * (i + 0.5) / count for i in range(count)]
    return [(radius * cos(angle), radius * sin(angle)) for angle in angles]


def _on_grid(place: Sequence[int]) -> Place:
    deep, down, across = (*[0] * (3 - len(place)), *place)[-3:]
    return across + DEPTH[0] * deep, -down + DEPTH[1] * deep


def _groups(network: nx.Graph) -> dict[int | str, Place]:
    """Groups on a large circle, their routers on small ones, devices behind them."""
    place = nx.get_node_attributes(network, "place")
    groups, routers = (1 + max(at[axis] for at in place.values()) for axis in (0, 1))
    slots = 1 + max(at[2] for at in place.values())
    found: dict[int | str, Place] = {}
    far = max(1.0, groups * 0.42)
    for group, (x, y) in enumerate(_circle(groups, far)):
        for router, (dx, dy) in enumerate(_circle(routers, 0.55)):
            found[f"router {group * routers + router}"] = (x + dx, y + dy)
            for slot in range(slots):
                aside = 0.22 * (slot - (slots - 1) / 2)
                rank = (group * routers + router) * slots + slot
                found[rank] = (
                    x + 1.62 * dx - aside * dy / 0.55,
                    y + 1.62 * dy + aside * dx / 0.55,
                )
    return found


def _rows(network: nx.Graph) -> dict[int | str, Place]:
    """Tiers above each other; a row is in the order of what stands below it."""
    tiers: dict[int, list[int | str]] = {}
    for node, tier in network.nodes(data="tier"):
        tiers.setdefault(tier, []).append(node)
    width = max(len(tiers[0]), 1.5 * max(map(len, tiers.values())))
    found: dict[int | str, Place] = {}
    for tier in sorted(tiers, key=abs):
        row = sorted(tiers[tier], key=lambda node: _order(network, node, found))
        step = width / len(row)
        found |= {node: ((i + 0.5) * step, tier) for i, node in enumerate(row)}
    return found


def _order(
    network: nx.Graph, node: int | str, below: Mapping[int | str, Place]
) -> tuple[float, int]:
    """Return where in its row a node stands: a NIC follows the devices near it."""
    if isinstance(node, int):
        return node, 0
    number = int(node.split()[1])
    if network.nodes[node]["kind"] == "nic":
        away = nx.single_source_shortest_path_length(network, node)
        near = min(away[device] for device in endpoints(network))
        return max(d for d in endpoints(network) if away[d] == near), 1 + number
    children = [below[other][0] for other in network[node] if other in below]
    return (sum(children) / len(children) if children else inf), number
