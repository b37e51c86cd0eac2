"""Rings and trees on the graph of a machine: in which order data visits the devices.

A ring comes into every device over one cable and leaves it over another, and it runs
both ways round at once.  So a device with L cables has room for floor(L / 2) rings; how
many there are is a matter of the graph.  Rings that share no cable carry a part of the
data each, and their bandwidths add up::

    bandwidth = sum over the rings of 2 x the bandwidth of their slowest cable

`disjoint_rings` tries everything, in an order that meets no ring twice: a ring starts
at device 0, and turned around it is the same ring.  There are (N - 1)! / 2 orders of N
devices: 2,520 of 8, 6.5 x 10^11 of 16.  NCCL searches too, depth first and with the
best neighbour first; it keeps what bandwidth is left on every link, gives up after a
number of steps, and then asks for less bandwidth.

A binomial tree doubles in every round the devices that have the data: ceil(log2 N)
rounds, if each can pass it on to a new neighbour of its own.

Source: NVIDIA, NCCL, src/graph/search.cc.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import networkx as nx

from dlsys_code.architecture.graph import endpoints

Ring = tuple[
    int, ...
]  # devices in the order of a visit; the last one leads to the first
MOST = 9  # devices, of which all orders are tried


def hops(ring: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs of neighbours on a ring, as the data goes round it."""
    return list(pairwise([*ring, ring[0]]))


def direct_links(network: nx.Graph, kind: str = "NVLink") -> nx.Graph:
    """Return only the devices, and the links between two of them of that kind.

    kind: how the name of the kind begins.
    """
    direct = nx.Graph(network.subgraph(endpoints(network)))
    direct.remove_edges_from(
        [
            (a, b)
            for a, b, name in network.edges(data="kind")
            if not name.startswith(kind)
        ]
    )
    return direct


def all_rings(links: nx.Graph) -> list[Ring]:
    """Return every ring over all devices once, from device 0 on.

    Errors: ValueError for too many devices to try.
    """
    if len(links) > MOST:
        raise ValueError(f"all rings are tried up to {MOST} devices, not {len(links)}")

    def visit(path: Ring) -> Iterator[Ring]:
        if len(path) == len(links) and path[0] in links[path[-1]]:
            yield path
        for device in sorted(set(links[path[-1]]) - set(path)):
            yield from visit((*path, device))

    return [ring for ring in visit((0,)) if len(ring) > 2 and ring[1] < ring[-1]]


def disjoint_rings(links: nx.Graph) -> list[Ring]:
    """Return the most rings that fit side by side: no cable belongs to two of them.

    links: direct links between devices; a link of two cables has room for two rings.
    """
    rings = all_rings(links)
    room = min(n for _, n in links.degree(weight="cables")) // 2

    def add(chosen: list[Ring], first: int, left: Counter) -> list[Ring]:
        best = chosen
        for i in range(first, len(rings)):
            edges = Counter(map(frozenset, hops(rings[i])))
            if edges <= left and len(best) < room:
                best = max(best, add([*chosen, rings[i]], i, left - edges), key=len)
        return best

    cables = {frozenset((a, b)): n for a, b, n in links.edges(data="cables")}
    return add([], 0, Counter(cables))


def binomial_tree(links: nx.Graph, root: int) -> list[list[tuple[int, int]]]:
    """Return what is sent in every round of a broadcast over direct links: (from, to).

    Every device that has the data passes it on in every round, while any is without.
    Errors: ValueError when the links have no such tree from this root.
    """

    def rounds(have: tuple[int, ...]) -> list[list[tuple[int, int]]] | None:
        without = set(links) - set(have)
        if not without:
            return []
        for sent in _matchings(links, have, without, min(len(have), len(without))):
            later = rounds((*have, *(target for _, target in sent)))
            if later is not None:
                return [sent, *later]
        return None

    found = rounds((root,))
    if found is None:
        raise ValueError(f"no binomial tree from {root} over {len(links.edges)} links")
    return found


def _matchings(
    links: nx.Graph, have: tuple[int, ...], without: set[int], size: int
) -> Iterator[list[tuple[int, int]]]:
    """Give all ways in which `size` devices that have it reach a new one each."""
    if size == 0:
        yield []
        return
    if len(have) < size:
        return
    first, *rest = have
    for target in sorted(without.intersection(links[first])):
        for others in _matchings(links, tuple(rest), without - {target}, size - 1):
            yield [(first, target), *others]
    yield from _matchings(links, tuple(rest), without, size)
