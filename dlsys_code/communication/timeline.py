"""Simulate a plan on a network: when every message starts and ends, on shared links.

A message of step s leaves its source when that has sent and received everything of its
own steps before.  It waits for alpha, the latencies of all links on its way added up
(the mean over its ways where it is spread), and then moves at a rate that all moving
messages share max-min fairly; rates change whenever a message begins or ends to move::

    start_s   waits alpha   moves n bytes at changing rates   end_s

Where nothing is shared that is alpha + beta n, the formula of `cost`.  Each direction
of a link has its own bandwidth, and a device is as fast as its links.  Additions take
no time, and a message does not wait for its receiver.

The work is that of arrays as long as the messages on their way, once for every instant
at which something happens: a plan whose ranks keep in step has few of these, one whose
ranks drift apart has many.

Source: H. Casanova, A. Giersch, A. Legrand, M. Quinson and F. Suter, "Versatile,
scalable, and accurate simulation of distributed applications and platforms", J.
Parallel Distrib. Comput. 74 (2014) 2899-2917, which shares links in the same way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import chain
from typing import NamedTuple

import networkx as nx
import numpy as np
from numpy import ndarray

from dlsys_code.architecture.topology import check, endpoints
from dlsys_code.communication.flows import Flows
from dlsys_code.communication.routing import Choice, Links, spray
from dlsys_code.communication.turns import Turns
from dlsys_code.world.trace import Message

SAME_TIME = 1e-11  # relative: instants that differ by rounding only


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """What happened when, for every message of the plan and every link.

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


class Moment(NamedTuple):
    """From start_s to end_s these messages move at these rates [bytes/s]."""

    start_s: float
    end_s: float
    moving: ndarray
    rate: ndarray
    busy: ndarray  # links


def simulate(
    messages: Sequence[Message],
    network: nx.Graph,
    *,
    route: Choice = spray,
    place: Sequence[int] | None = None,
    overhead_s: float = 0.0,
) -> Timeline:
    """Return when the messages of a plan start and end on a network.

    route: `routing.spray`, `routing.shortest` or `routing.ecmp(seed)`.  place: the
    device of every rank; rank r is device r where it is not given.  overhead_s: what
    the hosts add to the latency of every message.
    Errors: ValueError for a network that `topology.check` refuses, negative bytes or
    overhead, and ranks without a device of their own.
    """
    check(network)
    columns = np.fromiter(chain.from_iterable(messages), int, 4 * len(messages))
    step, source, destination, sizes = columns.reshape(-1, 4).T
    if sizes.min(initial=0) < 0 or overhead_s < 0:
        raise ValueError(
            "a message has at least 0 bytes and 0 s of overhead, "
            f"not {sizes.min()} bytes and {overhead_s} s"
        )
    links = Links.of(network)
    device = place_ranks(source, destination, links=links, place=place)
    flows = Flows.between(
        device[source], device[destination], sizes, links=links, choose=route
    )
    run = Run(flows, Turns(step, source, destination), flows.latency_s() + overhead_s)
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


def place_ranks(
    source: ndarray, destination: ndarray, *, links: Links, place: Sequence[int] | None
) -> ndarray:
    """Return the node of every rank, as a number in `links`.

    Errors: ValueError when a rank has no device of its own or sends to itself.
    """
    node = {name: i for i, name in enumerate(links.nodes) if isinstance(name, int)}
    ranks = 1 + max(source.max(initial=-1), destination.max(initial=-1))
    devices = range(len(node)) if place is None else place
    if min(source.min(initial=0), destination.min(initial=0)) < 0:
        raise ValueError("ranks count from 0, and a message has one below")
    if len(devices) < ranks:
        raise ValueError(f"{ranks} ranks cannot be placed on {len(devices)} devices")
    unknown = [device for device in devices if device not in node]
    if unknown or len(set(devices)) < len(devices):
        raise ValueError(
            f"every rank needs one of the devices 0 .. {len(node) - 1} for itself: "
            f"{list(devices)[:8]}"
        )
    same = source[source == destination]
    if len(same):
        raise ValueError(f"rank {same[0]} sends a message to itself")
    return np.array([node[device] for device in devices], dtype=int)


class Run:
    """The messages of a plan under way: they wait, move, and let others leave."""

    def __init__(self, flows: Flows, turns: Turns, delay_s: ndarray):
        self.flows, self.turns, self.delay_s = flows, turns, delay_s
        self.start_s = np.zeros(len(delay_s))
        self.end_s = np.zeros(len(delay_s))
        self.waiting: list[tuple[float, int, ndarray]] = []  # a heap, the next first
        self.number = 0

    def moments(self) -> Iterator[Moment]:
        """Run the plan; yield what moves between one change and the next."""
        now = 0.0
        moving, rate, ends = np.array([], dtype=int), np.array([]), np.array([])
        self.leave(self.turns.begin(), now)
        while self.waiting or len(moving):
            begun = self.due(now)
            moving = np.append(moving, begun)
            left = np.append((ends - now) * rate, self.flows.sizes[begun])
            before, (rate, busy) = np.append(rate, 0 * begun), self.flows.share(moving)
            ends = np.append(ends, now + 0 * begun)  # without a change it stays exact
            ends = np.where(rate == before, ends, now + left / rate)
            then = min(ends.min(initial=np.inf), self.next_due())
            yield Moment(now, then, moving, rate, busy)

            now = then
            over = ends <= now * (1 + SAME_TIME)
            self.end_s[moving[over]] = now
            self.leave(self.turns.done(moving[over]), now)
            moving, rate, ends = moving[~over], rate[~over], ends[~over]

    def leave(self, messages: ndarray, now: float) -> None:
        """Let messages leave their sources: they wait for their latency."""
        self.start_s[messages] = now
        delays = self.delay_s[messages]
        for delay in np.unique(delays):
            self.number += 1  # so that the heap compares no arrays
            entry = (now + delay, self.number, messages[delays == delay])
            heappush(self.waiting, entry)

    def due(self, now: float) -> ndarray:
        """Return the messages whose wait is over, and forget them."""
        begun = [np.array([], dtype=int)]
        while self.next_due() <= now * (1 + SAME_TIME):
            begun.append(heappop(self.waiting)[2])
        return np.concatenate(begun)

    def next_due(self) -> float:
        """Return when the next wait is over [s]."""
        return self.waiting[0][0] if self.waiting else np.inf
