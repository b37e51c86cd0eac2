"""What a network offers and what it costs, counted on its graph.

The devices, the switches and the cables are counted, and three more numbers::

    diameter          cables on the way between the two devices farthest apart
    bisection         the least that must be cut to part the devices into two equal
                      halves, in cables, and in bytes/s of one direction
    oversubscription  bandwidth of a leaf down to its devices, over that up

The links from devices to their switches count as cables, and as hops; books on
routers often leave both out.  Bytes/s are of one direction, where books often add up
both.  In closed form, for N devices and k ports on a switch::

                          cables          diameter        bisection [cables]
    ring                  N               floor(N / 2)    2
    torus, D times k      D N             D floor(k / 2)  2 N / k         k even
    k-ary fat-tree        3 k^3 / 4       6               N / 2
    spine-leaf, r to 1    N (1 + 1 / r)   4               N / (2 r)

To find the best cut takes time exponential in N.  So for more than 8 devices only the
halves along the coordinates of their places are tried: an upper bound in general, and
exact for the networks of this package, but for rails with an odd number of hosts, or of
devices on a host.

Sources: W. J. Dally and B. Towles, "Principles and practices of interconnection
networks", Morgan Kaufmann 2004, chapters 3 and 5; Al-Fares et al., "A scalable,
commodity data center network architecture", SIGCOMM 2008.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import gcd

import networkx as nx
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow, shortest_path

from dlsys_code.architecture.graph import check, endpoints

FEW = 8  # devices, of which all halves are tried
MOST = 2**30  # of a flow, which is counted in whole numbers of 32 bits


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A network in numbers."""

    devices: int
    switches: int  # all that only forwards: NVSwitches, PCIe switches and CPUs too
    cables: int
    diameter: int  # cables on the way between the devices farthest apart
    bisection_cables: int
    bisection_bandwidth: float  # bytes/s, in one direction

    @property
    def bandwidth_per_device(self) -> float:
        """The bisection shared by the devices of one half [bytes/s]."""
        return self.bisection_bandwidth / (self.devices // 2)


def count(network: nx.Graph) -> Counts:
    """Return the numbers of a network.

    Errors: ValueError when it is not connected, or has fewer than 2 devices.
    """
    check(network)
    devices = endpoints(network)
    if len(devices) < 2:
        raise ValueError(f"{len(devices)} device has no halves")
    forwarding = [kind for _, kind in network.nodes(data="kind")].count
    return Counts(
        devices=len(devices),
        switches=sum(map(forwarding, ("switch", "nvswitch", "pcie", "cpu"))),
        cables=sum(cables for _, _, cables in network.edges(data="cables")),
        diameter=diameter(network),
        bisection_cables=round(bisection(network, "cables")),
        bisection_bandwidth=bisection(network, "bandwidth"),
    )


def cables_by_kind(network: nx.Graph) -> dict[str, int]:
    """Return how many cables of each kind there are, {"NVLink 2": 24} for one."""
    counter: Counter[str] = Counter()
    for _, _, link in network.edges(data=True):
        counter[link["kind"]] += link["cables"]
    return dict(counter)


def oversubscription(network: nx.Graph) -> float:
    """Return bandwidth down over bandwidth up of the worst leaf, the switch of tier 1.

    Links to switches of the same tier count neither way.
    Errors: ValueError when there is no leaf, or nothing above one.
    """
    ratios = []
    for leaf in (node for node, tier in network.nodes(data="tier") if tier == 1):
        down = up = 0.0
        for other, link in network[leaf].items():
            above = network.nodes[other]["tier"] - 1
            down += link["bandwidth"] * (above < 0)
            up += link["bandwidth"] * (above > 0)
        if not up:
            raise ValueError(f"{leaf} has no switch above it")
        ratios.append(down / up)
    if not ratios:
        raise ValueError("a network without leaves has no oversubscription")
    return max(ratios)


def diameter(network: nx.Graph) -> int:
    """Return the cables on the way between the two devices farthest apart."""
    devices = endpoints(network)
    order = devices + [node for node in network if isinstance(node, str)]
    hops = nx.to_scipy_sparse_array(network, nodelist=order, weight=None)
    return int(shortest_path(hops, unweighted=True, indices=devices)[:, devices].max())


def bisection(network: nx.Graph, weight: str) -> float:
    """Return the least weight, "cables" or "bandwidth", between two equal halves."""
    nodes = {node: i for i, node in enumerate(network)}
    a, b, weights = zip(*network.edges(data=weight), strict=True)
    ends = np.array([[nodes[node] for node in a], [nodes[node] for node in b]])
    exact = [round(w) for w in weights]
    unit = max(gcd(*exact), sum(exact) / MOST)
    capacity = np.rint(np.array(exact) / unit).astype(np.int32)
    devices = [nodes[device] for device in endpoints(network)]
    halved = [[nodes[device] for device in half] for half in halves(network)]
    return float(unit * min(cut(ends, capacity, half, devices) for half in halved))


def cut(
    ends: np.ndarray, capacity: np.ndarray, half: list[int], devices: list[int]
) -> int:
    """Return the least capacity that parts the devices of `half` from the others.

    ends: (2, links), the nodes that each link joins.  The least cut is the largest flow
    between two more nodes, on which the halves hang by links that are never cut.
    """
    source = int(ends.max()) + 1
    rest = sorted(set(devices) - set(half))
    out = np.array([[source] * len(half), half])
    back = np.array([rest, [source + 1] * len(rest)])
    rows, columns = np.hstack([ends, ends[::-1], out, back])
    endless = np.full(len(devices), MOST)
    values = np.hstack([capacity, capacity, endless]).astype(np.int32)
    graph = csr_array((values, (rows, columns)), shape=(source + 2, source + 2))
    return maximum_flow(graph, source, source + 1).flow_value


def halves(network: nx.Graph) -> Iterator[list[int]]:
    """Give halves of the devices: all of them for few, else along every coordinate."""
    devices = endpoints(network)
    if len(devices) <= FEW:
        yield from map(list, combinations(devices, len(devices) // 2))
        return
    place = nx.get_node_attributes(network, "place")
    for axis in range(len(place[0])):
        along = sorted(devices, key=lambda d: place[d][axis:] + place[d][:axis])
        yield along[: len(devices) // 2]
