"""What an order of the devices costs: a ring is as fast as its most crowded cable.

Two neighbours on a ring need not share a cable.  Their messages then go through
switches and CPUs, and where several hops of the ring meet on one link they share it::

    rate      = min over the links of bandwidth / hops of all rings on this link
    bandwidth = rings x 2 directions x rate

so a ring that goes through one socket first and then through the other crosses between
them twice, and one that jumps to and fro N times.  Other devices do not forward.
Between two devices the bytes are spread over all shortest ways, in proportion to what
each can carry; NVSwitches do that.

Bandwidth is the bytes that all rings together carry into a device every second, as in
the bus bandwidth of nccl-tests: n bytes are reduced in 2 (N - 1) / N n / bandwidth.

Source: NVIDIA, NCCL, src/graph/search.cc and src/graph/topo.h.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations

import networkx as nx

from dlsys_code.architecture.graph import endpoints
from dlsys_code.architecture.search import MOST, Ring, hops

Link = tuple[int | str, int | str]  # one direction of it


def shares(network: nx.Graph, a: int, b: int) -> Mapping[Link, float]:
    """Return the part of a message from a to b that crosses each link.

    Errors: ValueError when no way leads from a to b but through other devices.
    """
    others = set(endpoints(network)) - {a, b}
    between = network.subgraph(set(network) - others)
    if not nx.has_path(between, a, b):
        raise ValueError(f"no way from {a} to {b} that passes no other device")
    ways = [list(pairwise(way)) for way in nx.all_shortest_paths(between, a, b)]
    widths = [min(network.edges[link]["bandwidth"] for link in way) for way in ways]
    part: Counter[Link] = Counter()
    for way, width in zip(ways, widths, strict=True):
        part.update(dict.fromkeys(way, width / sum(widths)))
    return part


def loads(network: nx.Graph, rings: Sequence[Ring]) -> dict[Link, float]:
    """Return how many hops cross each direction of a link, all rings run both ways.

    Links that no ring crosses are left out.
    """
    load: Counter[Link] = Counter()
    for ring in rings:
        for a, b in hops(ring):
            load.update(shares(network, a, b))
            load.update(shares(network, b, a))
    return dict(load)


def ring_bandwidth(network: nx.Graph, rings: Sequence[Ring]) -> float:
    """Return what rings carry that run both ways at once and share alike [bytes/s]."""
    rate = min(
        network.edges[link]["bandwidth"] / load
        for link, load in loads(network, rings).items()
    )
    return 2 * len(rings) * rate


def best_ring(network: nx.Graph) -> Ring:
    """Return the order of all devices with the largest bandwidth, the first of equals.

    Errors: ValueError for too many devices to try.
    """
    first, *others = endpoints(network)
    if len(others) >= MOST:
        raise ValueError(
            f"all orders are tried up to {MOST} devices, not {len(others) + 1}"
        )
    there = {
        (a, b): {
            link: part / network.edges[link]["bandwidth"]
            for link, part in shares(network, a, b).items()
        }
        for a, b in permutations([first, *others], 2)
    }

    def busiest(ring: Ring) -> float:
        time: Counter[Link] = Counter()
        for a, b in hops(ring):
            time.update(there[a, b])
        return max(time[a, b] + time[b, a] for a, b in time)  # it runs both ways

    orders = ((first, *rest) for rest in permutations(others) if rest[0] <= rest[-1])
    return min(orders, key=busiest)


def through_hosts(ring: Ring, hosts: int) -> Ring:
    """Return one ring over hosts that have the same devices, wired alike.

    Every second host is passed the other way round, so that the data enters a host at
    the device with the same number as the one it left: over the same rail.
    Errors: ValueError for an odd number of hosts.
    """
    if hosts < 2 or hosts % 2:
        raise ValueError(f"passed to and fro, hosts are even in number, not {hosts}")
    g = len(ring)
    way = (ring, ring[::-1])
    return tuple(host * g + device for host in range(hosts) for device in way[host % 2])
