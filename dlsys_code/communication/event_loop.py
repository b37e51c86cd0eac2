"""The event loop of a simulation: from change to change messages leave, move, arrive.

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


class Moving(NamedTuple):
    """Messages on their way, their rates, and when they end if these stay [s]."""

    messages: ndarray
    rate: ndarray
    ends: ndarray


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
        now, moving = 0.0, Moving(np.array([], dtype=int), np.array([]), np.array([]))
        self.leave(self.turns.begin(), now)
        while self.waiting or len(moving.messages):
            moving, busy = self.share(moving, self.due(now), now)
            then = min(moving.ends.min(initial=np.inf), self.next_due())
            yield Moment(now, then, moving.messages, moving.rate, busy)

            now = then
            over = moving.ends <= now * (1 + SAME_TIME)
            if over.any():
                arrived = moving.messages[over]
                self.end_s[arrived] = now
                self.leave(self.turns.done(arrived), now)
                moving = Moving(*(column[~over] for column in moving))

    def share(
        self, moving: Moving, begun: ndarray, now: float
    ) -> tuple[Moving, ndarray]:
        """Return all that moves when some messages begin to, and the links in use."""
        messages, before, ends = moving
        left = (ends - now) * before  # bytes
        if len(begun):
            none = np.zeros(len(begun))
            messages = np.concatenate([messages, begun])
            order = self.flows.in_order(messages)
            messages = messages[order]
            before = np.concatenate([before, none])[order]
            ends = np.concatenate([ends, none])[order]
            left = np.concatenate([left, self.flows.sizes[begun]])[order]
        rate, busy = self.flows.share(messages)
        ends = np.where(rate == before, ends, now + left / rate)
        return Moving(messages, rate, ends), busy

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
