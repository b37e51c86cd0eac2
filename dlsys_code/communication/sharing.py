"""Max-min fair sharing: what each of several flows gets from links that they share.

All rates grow together.  When a link is full, the flows on it stop growing, and the
others go on: no flow could have more but by taking from one that has no more than it.
Three flows, two links of 10::

    flow     a        b        c
    route    link 0   link 0   link 1
             link 1
    rates    5        5        5        both links fill up at once

    with 4 instead of 10 on link 0:  2, 2, 8    a and b stop at 2, c takes what is left

Long flows of equal right come close to it under the congestion control of real
networks; start-up, losses and unequal round trips do not appear here.  It takes one
turn for every rate that comes out, each turn over all routes.

Source: D. Bertsekas and R. Gallager, "Data networks", 2nd ed., Prentice Hall 1992,
section 6.5.2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy import ndarray

TOLERANCE = 1e-12  # relative: links that are full at the same rate but for rounding


class Routes(NamedTuple):
    """Entry i: `part[i]` of the bytes of flow `flow[i]` go over link `link[i]`."""

    flow: ndarray
    link: ndarray
    part: ndarray

    @classmethod
    def along(cls, paths: Sequence[Sequence[int]]) -> "Routes":
        """Return the routes of flows that each take one path, a list of links."""
        lengths = np.array([len(path) for path in paths], dtype=int)
        flow = np.repeat(np.arange(len(paths)), lengths)
        link = np.array([link for path in paths for link in path], dtype=int)
        return cls(flow, link, np.ones(len(link)))


def max_min_shares(routes: Routes, flows: int, capacity: ndarray) -> ndarray:
    """Return the rate of each of `flows` flows; infinite for one that takes no link.

    capacity: of every link, above 0, in the unit of the rates.
    """
    rate = np.full(flows, np.inf)
    flow, link, part = routes  # of the flows that still grow
    free = np.array(capacity, dtype=float)  # what the others leave
    while len(flow):
        load = np.bincount(link, part, len(free))
        at_most = np.divide(free, load, out=np.full(len(free), np.inf), where=load > 0)
        level = at_most.min()
        full = at_most <= level * (1 + TOLERANCE)
        stops = np.zeros(flows, dtype=bool)
        stops[flow[full[link]]] = True
        rate[stops] = level
        stopped = stops[flow]
        free -= level * np.bincount(link[stopped], part[stopped], len(free))
        flow, link, part = flow[~stopped], link[~stopped], part[~stopped]
    return rate
