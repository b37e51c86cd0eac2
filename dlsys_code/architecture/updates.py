"""What a run with a server leaves behind: every update, and what follows from it.

The server writes down facts only: whose update, which one of that worker, how many
updates the weights held that it was found with, and when.  The rest is counted::

    lead        updates of this worker ahead of the slowest when it began
    staleness   newer weights that others were given between its begin and its end

Workers that got the same weights at the same moment did not overtake each other, so a
round in step has staleness 0.  Where nobody waits, every worker gets weights of its own
after each update.  If worker r made N_r of N updates, the N - N_r of the others
overtook it once each, so that the mean over all updates of p workers is, in the long
run::

    sum of (N - N_r) / N = p - 1        however slow anyone is

Cost: N log N to count it for N updates.

Source: W. Zhang et al., "Staleness-aware async-SGD for distributed deep learning",
IJCAI 2016, where staleness counts versions of the weights.
"""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from math import nan
from typing import NamedTuple


class Update(NamedTuple):
    """One gradient, from the weights it was found with until it was added to them.

    clock: how many updates the worker had finished before.  seen: how many the weights
    held, of all workers.  loss: of the worker's samples, with these weights.
    """

    worker: int
    clock: int
    seen: int
    start_s: float
    end_s: float
    loss: float = nan


@dataclass(frozen=True)
class Run:
    """One recorded run.  updates: in the order in which they were added."""

    workers: int
    updates: list[Update] = field(repr=False)

    def leads(self) -> list[int]:
        """Return how far ahead of the slowest each update's worker was at its begin."""
        clocks, slowest = [0] * self.workers, [0]
        for update in self.updates:
            clocks[update.worker] += 1
            slowest.append(min(clocks))
        return [update.clock - slowest[update.seen] for update in self.updates]

    def staleness(self) -> list[int]:
        """Return how many newer weights had been given out when each update came."""
        given = sorted({update.seen for update in self.updates})
        return [
            bisect_right(given, n) - bisect_right(given, update.seen)
            for n, update in enumerate(self.updates)
        ]

    def mean_staleness(self) -> float:
        """Return the mean of `staleness` over all updates."""
        return sum(self.staleness()) / len(self.updates)

    def staleness_histogram(self) -> dict[int, int]:
        """Return how many updates had each staleness, from the smallest."""
        return dict(sorted(Counter(self.staleness()).items()))

    def updates_each(self) -> list[int]:
        """Return how many updates each worker made."""
        made = Counter(update.worker for update in self.updates)
        return [made[worker] for worker in range(self.workers)]

    def duration_s(self) -> float:
        """Return the time from the first begin to the last end."""
        first_s = min(update.start_s for update in self.updates)
        return max(update.end_s for update in self.updates) - first_s

    def time_per_update_s(self) -> float:
        """Return the duration of the run over the number of its updates."""
        return self.duration_s() / len(self.updates)

    def losses(self) -> list[tuple[int, float, float]]:
        """Return (updates, seconds, loss), one for every p updates.

        loss: the mean of the last p; in step, that of the whole batch of a round.
        """
        p, first_s = self.workers, min(update.start_s for update in self.updates)
        rows = []
        for end in range(p, len(self.updates) + 1, p):
            last = self.updates[end - p : end]
            mean = sum(update.loss for update in last) / p
            rows.append((end, last[-1].end_s - first_s, mean))
        return rows
