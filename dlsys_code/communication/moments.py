"""Run a plan from change to change: messages leave, wait, move and arrive.

Between two changes all rates stay as they are.  A change is a message that begins to
move, when its latency is over, or one that ends; then the rates are shared anew, and
whoever has arrived lets the next leave.  An ending that nothing has touched is not
computed again, so messages that move alike arrive at exactly the same instant, and a
step of a symmetric plan is one change, however many ranks there are.

The work is that of arrays as long as the messages on their way, once for every change:
a plan whose ranks keep in step has few of these, one whose ranks drift apart has up to
two for each message.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from dlsys_code.communication.flows import Flows
from dlsys_code.communication.turns import Turns

SAME_TIME = 1e-11  # relative: instants that differ by rounding only


class Moment(NamedTuple):
    """From start_s to end_s these messages move at these rates [bytes/s].

    busy: the links in use.
    """

    start_s: float
    end_s: float
    moving: ndarray
    rate: ndarray
    busy: ndarray


class Run:
    """The messages of a plan under way.  delay_s: how long each waits when it leaves.

    start_s, end_s: when each message has left and arrived.
    """

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
            left = np.append((ends - now) * rate, self.flows.sizes[begun])  # bytes
            moving, before = np.append(moving, begun), np.append(rate, 0.0 * begun)
            rate, busy = self.flows.share(moving)
            ends = np.append(ends, 0.0 * begun)
            ends = np.where(rate == before, ends, now + left / rate)
            then = min(ends.min(initial=np.inf), self.next_due())
            yield Moment(now, then, moving, rate, busy)

            now = then
            over = ends <= now * (1 + SAME_TIME)
            if over.any():
                self.end_s[moving[over]] = now
                self.leave(self.turns.done(moving[over]), now)
                moving, rate, ends = moving[~over], rate[~over], ends[~over]

    def leave(self, messages: ndarray, now: float) -> None:
        """Let messages leave their sources: they wait for their latency."""
        self.start_s[messages] = now
        delays = self.delay_s[messages]
        for delay in np.unique(delays):
            self.number += 1  # the heap must not compare arrays
            alike = messages[delays == delay]
            heappush(self.waiting, (now + delay, self.number, alike))

    def due(self, now: float) -> ndarray:
        """Return the messages whose wait is over, and forget them."""
        begun = [np.array([], dtype=int)]
        while self.next_due() <= now * (1 + SAME_TIME):
            begun.append(heappop(self.waiting)[2])
        return np.concatenate(begun)

    def next_due(self) -> float:
        """Return when the next wait is over [s]."""
        return self.waiting[0][0] if self.waiting else np.inf
