"""A network as arrays: each direction of a cable is a link of its own.

Arrays of links make it possible to route and to share for thousands of flows at once.
The links that leave a node stand side by side, so they are a range of numbers.
"""

from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy import ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Links:
    """The links of a network, each direction for itself, in the order of their tails.

    Link i leads from nodes[tail[i]] to nodes[head[i]]; those from node a begin at
    first[a] and end before first[a + 1].
    """

    nodes: list[int | str]
    tail: ndarray
    head: ndarray
    first: ndarray
    bandwidth: ndarray  # bytes/s
    latency_s: ndarray

    @classmethod
    def of(cls, network: nx.Graph) -> "Links":
        """Return the links of a network, in which an edge is two of them."""
        nodes = list(network)
        number = {node: i for i, node in enumerate(nodes)}
        edges = [
            (number[a], number[b], edge["bandwidth"], edge["latency_s"])
            for a in nodes
            for b, edge in network.adj[a].items()
        ]
        tail, head, bandwidth, latency_s = np.array(edges, dtype=float).reshape(-1, 4).T
        return cls(
            nodes=nodes,
            tail=tail.astype(int),
            head=head.astype(int),
            first=np.searchsorted(tail, np.arange(len(nodes) + 1)),
            bandwidth=bandwidth,
            latency_s=latency_s,
        )

    def names(self) -> list[tuple[int | str, int | str]]:
        """Return the nodes that every link joins: from where, to where."""
        ends = zip(self.tail.tolist(), self.head.tolist(), strict=True)
        return [(self.nodes[a], self.nodes[b]) for a, b in ends]


def ranges(first: ndarray, end: ndarray) -> tuple[ndarray, ndarray]:
    """Return the numbers of all ranges [first, end), and from which range each is."""
    counts = end - first
    which = np.repeat(np.arange(len(first)), counts)
    before = np.cumsum(counts) - counts
    return which, np.arange(len(which)) + (first - before)[which]
