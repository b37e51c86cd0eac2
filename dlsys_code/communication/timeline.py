"""Simulate a plan on a network: when every message starts and ends, on shared links.

A message leaves when its source has done with all earlier steps of its own.  It waits
for alpha, the latencies of all links on its way added up (the mean over its ways where
it is spread), and then moves at a rate that all moving messages share max-min fairly;
rates change whenever a message begins or ends to move::

    start_s   waits alpha   moves n bytes at changing rates   end_s

Where nothing is shared that is alpha + beta n, the formula of `cost`.  Each direction
of a link has its own bandwidth, and a device is as fast as its links.  Additions take
no time, switches have room for every byte, and nothing is lost.

Source: H. Casanova, A. Giersch, A. Legrand, M. Quinson and F. Suter, "Versatile,
scalable, and accurate simulation of distributed applications and platforms", J.
Parallel Distrib. Comput. 74 (2014) 2899-2917, where flows share links in this way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

import networkx as nx
import numpy as np
from numpy import ndarray

from dlsys_code.architecture.graph import check
from dlsys_code.communication.directed_links import Links
from dlsys_code.communication.event_loop import Run
from dlsys_code.communication.flows import Flows
from dlsys_code.communication.routing import Choice, spray
from dlsys_code.communication.turns import Turns
from dlsys_code.world.trace import Message


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """What happened when, for every message of the plan and for every link.

    start_s: when a message leaves its source.  end_s: when its last byte arrives.
    link_bytes, link_busy_s: what each link carried, and how long it carried something.
    """

    start_s: ndarray
    end_s: ndarray
    links: Links = field(repr=False)
    link_bytes: ndarray = field(repr=False)
    link_busy_s: ndarray = field(repr=False)

    @property
    def finish_s(self) -> float:
        """When the last message has arrived [s]."""
        return float(self.end_s.max(initial=0.0))

    def loads(self) -> dict[tuple[int | str, int | str], float]:
        """Return (from, to) -> bytes of every link, each direction for itself."""
        return dict(zip(self.links.names(), self.link_bytes.tolist(), strict=True))


def simulate(
    messages: Sequence[Message],
    network: nx.Graph,
    *,
    route: Choice = spray,
    place: Sequence[int] | None = None,
    rendezvous: bool = False,
    overhead_s: float = 0.0,
) -> Timeline:
    """Return when the messages of a plan start and end on a network.

    route: `routing.spray`, `routing.shortest` or `routing.ecmp(seed)`.  place: the
    device of every rank; rank r is device r where it is not given.  rendezvous: a
    message waits for its receiver, too.  overhead_s: what the hosts add to the latency
    of every message.
    Errors: ValueError for a network that `graph.check` refuses, for negative ranks,
    bytes or overhead, and for ranks without a device of their own.
    """
    check(network)
    step, source, destination, sizes = columns(messages)
    if overhead_s < 0:
        raise ValueError(f"hosts add at least 0 s to a message, not {overhead_s} s")
    links = Links.of(network)
    ranks = 1 + max(source.max(initial=-1), destination.max(initial=-1))
    node = nodes_of_ranks(ranks, links, place)
    flows = Flows.between(
        node[source], node[destination], sizes, links=links, choose=route
    )
    turns = Turns(step, source, destination, rendezvous=rendezvous)
    run = Run(flows, turns, flows.latency_s() + overhead_s)
    busy_s = np.zeros(len(links.tail))
    for moment in run.moments():
        busy_s[moment.busy] += moment.end_s - moment.start_s
    return Timeline(
        start_s=run.start_s,
        end_s=run.end_s,
        links=links,
        link_bytes=flows.link_bytes(),
        link_busy_s=busy_s,
    )


def columns(messages: Sequence[Message]) -> ndarray:
    """Return four rows: step, source, destination and bytes of every message.

    Errors: ValueError for a message that no rank can send.
    """
    flat = np.fromiter(chain.from_iterable(messages), int, 4 * len(messages))
    step, source, destination, sizes = flat.reshape(-1, 4).T
    impossible = (np.minimum(source, destination) < 0) | (sizes < 0)
    impossible |= source == destination
    if impossible.any():
        which = messages[int(np.argmax(impossible))]
        raise ValueError(
            "a message goes from one rank to another, ranks count from 0, and it has "
            f"at least 0 bytes, unlike {which}"
        )
    return np.array([step, source, destination, sizes])


def nodes_of_ranks(ranks: int, links: Links, place: Sequence[int] | None) -> ndarray:
    """Return the node of every rank, as its number in `links`.

    Errors: ValueError when a rank has no device of its own.
    """
    number = {node: i for i, node in enumerate(links.nodes) if isinstance(node, int)}
    devices = range(len(number)) if place is None else list(place)
    if ranks > len(devices):
        raise ValueError(f"{ranks} ranks cannot be placed on {len(devices)} devices")
    if len({*devices} & number.keys()) < len(devices):
        raise ValueError(
            f"every rank needs one of the devices 0 .. {len(number) - 1} to itself, "
            f"not {devices}"
        )
    return np.array([number[device] for device in devices], dtype=int)
