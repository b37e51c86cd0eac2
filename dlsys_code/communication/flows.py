"""Flows: the messages of a plan on the routes that they take, and their rates.

Messages between the same two devices take the same route.  Rates depend only on which
routes are in use at once, and a plan uses the same sets again and again: a ring has
the same flows in each of its steps.  So the rates of a set are worked out once.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from dlsys_code.communication.directed_links import Links, ranges
from dlsys_code.communication.routing import Choice, find_routes
from dlsys_code.communication.sharing import Routes, max_min_shares

MOST_KNOWN = 2**10  # sets of routes in use at once whose rates are kept


class Shared(NamedTuple):
    """The rates of some messages at one time [bytes/s], and the links in use."""

    rate: ndarray
    busy: ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Flows:
    """Messages of known sizes on their routes; those of one pair share a route.

    pair: of every message.  first: where a pair's entries in routes begin.
    """

    links: Links
    sizes: ndarray
    pair: ndarray
    routes: Routes
    first: ndarray
    known: dict[bytes, Shared] = field(default_factory=dict, repr=False)

    @classmethod
    def between(
        cls,
        source: ndarray,
        destination: ndarray,
        sizes: ndarray,
        *,
        links: Links,
        choose: Choice,
    ) -> "Flows":
        """Return the flows of messages between nodes, given by their numbers."""
        size = len(links.nodes)
        pairs, pair = np.unique(source * size + destination, return_inverse=True)
        routes = find_routes(links, pairs // size, pairs % size, choose)
        first = np.searchsorted(routes.flow, np.arange(len(pairs) + 1))
        return cls(links=links, sizes=sizes, pair=pair, routes=routes, first=first)

    def latency_s(self) -> ndarray:
        """Return the latency of every message [s]; the mean over all ways of a pair."""
        flow, link, part = self.routes
        of_pair = np.bincount(flow, part * self.links.latency_s[link])
        return of_pair[self.pair]

    def link_bytes(self) -> ndarray:
        """Return what every link carries in all [bytes]."""
        flow, link, part = self.routes
        of_pair = np.bincount(self.pair, self.sizes)
        return np.bincount(link, part * of_pair[flow], len(self.links.tail))

    def in_order(self, messages: ndarray) -> ndarray:
        """Return the order in which messages stand by their routes."""
        return np.argsort(self.pair[messages], kind="stable")

    def share(self, messages: ndarray) -> Shared:
        """Return the rates of messages that move at the same time, given in order."""
        pairs = self.pair[messages]
        key = pairs.tobytes()
        if key not in self.known:
            if len(self.known) == MOST_KNOWN:
                self.known.clear()
            flow, entry = ranges(self.first[pairs], self.first[pairs + 1])
            link = self.routes.link[entry]
            used = np.zeros(len(self.links.tail), dtype=bool)
            used[link] = True
            busy, number = np.flatnonzero(used), np.cumsum(used) - 1
            routes = Routes(flow, number[link], self.routes.part[entry])
            rate = max_min_shares(routes, len(pairs), self.links.bandwidth[busy])
            self.known[key] = Shared(rate, busy)
        return self.known[key]
