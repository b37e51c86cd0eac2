"""Routes: which of the shortest ways through a network a flow takes.

At every node a packet may go to any neighbour that is closer to its destination.  Where
there are several, somebody chooses::

    shortest   always the first
    ecmp(seed) by a hash of source, destination and node: a flow stays on one path
    spray      packet by packet, all of them in turn: a flow is spread evenly

Hashing knows no loads, so two flows may meet on one link while another is idle.  Spray
fills all links alike, and its packets arrive out of order: the receiver must be able to
take them so.  The length of a path is counted in links.  Devices do not forward what
is meant for others where there is a way through switches alone.

Sources: C. Hopps, "Analysis of an equal-cost multi-path algorithm", RFC 2992 (2000);
M. Al-Fares, S. Radhakrishnan, B. Raghavan, N. Huang and A. Vahdat, "Hedera: dynamic
flow scheduling for data center networks", NSDI 2010; A. Dixit, P. Prakash, Y. C. Hu and
R. R. Kompella, "On the impact of packet spraying in data center networks", INFOCOM
2013.
"""

from collections.abc import Callable

import numpy as np
from numpy import ndarray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from dlsys_code.communication.directed_links import Links, ranges
from dlsys_code.communication.sharing import Routes

RELAY = 1e6  # what it costs, in links, to pass through a device: more than any path
ALL = -1
# source, destination, node, ways on from there -> number of the way to take, or ALL
Choice = Callable[[ndarray, ndarray, ndarray, ndarray], ndarray]


def shortest(
    source: ndarray, destination: ndarray, node: ndarray, ways: ndarray
) -> ndarray:
    """Take the first way."""
    return np.zeros_like(ways)


def spray(
    source: ndarray, destination: ndarray, node: ndarray, ways: ndarray
) -> ndarray:
    """Take all ways, an equal part of the flow over each."""
    return np.full_like(ways, ALL)


def ecmp(seed: int = 0) -> Choice:
    """Return a choice by hashing: another seed, another hash function."""

    def choose(
        source: ndarray, destination: ndarray, node: ndarray, ways: ndarray
    ) -> ndarray:
        mixed = np.full(len(ways), seed % 2**63, dtype=np.uint64)
        for key in (source, destination, node):
            mixed = scramble(mixed + key.astype(np.uint64))
        return (mixed >> np.uint64(33)).astype(int) % ways

    return choose


def scramble(x: ndarray) -> ndarray:
    """Return the output of the SplitMix64 generator for every 64-bit state.

    Source: G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014.
    """
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def find_routes(
    links: Links, source: ndarray, destination: ndarray, choose: Choice
) -> Routes:
    """Return the routes of flows between nodes, given by their numbers in `links`.

    All flows go on at once, link by link; one that is spread is at several nodes.
    Errors: ValueError when there is no way from a source to its destination.
    """
    nearer = nearer_by(links, source, destination)
    found = [Routes.along([])]
    flow, node, part = np.arange(len(source)), source, np.ones(len(source))
    while len(flow):
        spot, link = ranges(links.first[node], links.first[node + 1])
        good = nearer(flow[spot], link)
        spot, link = spot[good], link[good]
        ways = np.bincount(spot, minlength=len(flow))
        number = np.arange(len(spot)) - np.repeat(np.cumsum(ways) - ways, ways)
        chosen = choose(source[flow], destination[flow], node, ways)
        taken = (chosen[spot] == number) | (chosen[spot] == ALL)
        spot, link = spot[taken], link[taken]
        each = part / np.where(chosen == ALL, ways, 1)
        found.append(Routes(flow[spot], link, each[spot]))
        flow, node, part = merge(flow[spot], links.head[link], each[spot])
        going = node != destination[flow]
        flow, node, part = flow[going], node[going], part[going]
    return in_order(found)


def nearer_by(
    links: Links, source: ndarray, destination: ndarray
) -> Callable[[ndarray, ndarray], ndarray]:
    """Return a function that says which links lead flows nearer to where they go.

    Errors: ValueError when there is no way from a source to its destination.
    """
    device = np.array([isinstance(node, int) for node in links.nodes])
    length = 1 + RELAY * device[links.head]
    ends, end = np.unique(destination, return_inverse=True)
    size = len(links.nodes)
    backwards = csr_array((length, (links.head, links.tail)), shape=(size, size))
    to_go = dijkstra(backwards, indices=ends).reshape(len(ends), size)
    lost = np.flatnonzero(np.isinf(to_go[end, source]))
    if len(lost):
        a, b = links.nodes[source[lost[0]]], links.nodes[destination[lost[0]]]
        raise ValueError(f"there is no way from {a} to {b} in this network")

    def nearer(flow: ndarray, link: ndarray) -> ndarray:
        there, here = links.head[link], links.tail[link]
        return to_go[end[flow], there] + length[link] == to_go[end[flow], here]

    return nearer


def merge(
    flow: ndarray, node: ndarray, part: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """Add up the parts of each flow that meet at a node."""
    size = node.max() + 1
    spots, spot = np.unique(flow * size + node, return_inverse=True)
    return spots // size, spots % size, np.bincount(spot, part)


def in_order(found: list[Routes]) -> Routes:
    """Join the steps of all flows, flow by flow."""
    flow, link, part = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(flow, kind="stable")
    return Routes(flow[order], link[order], part[order])
