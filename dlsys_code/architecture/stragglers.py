"""Who is slow, and what it costs: stragglers, and runs of a thousand workers on paper.

A straggler is a function of (worker, clock): how long that update takes, in units of
an update at full speed.  `simulate` runs the rule of module `staleness` on such times,
event by event, without processes.  Updates per unit of time in a long run::

                               σ = 0                          σ = infinity
    fixed times t_r            p / max t_r, for any finite σ  sum of 1 / t_r
    k times, probability q     p / (1 + (k-1) (1 - (1-q)^p))  p / (1 + (k-1) q)
    exponential, mean 1        p / (1 + 1/2 + ... + 1/p)      p
    two workers, exponential   (4 σ + 4) / (2 σ + 3)

The last line: the difference of the two clocks walks at random over 2 σ + 3 places,
each as likely, and at both ends one of the two waits.  So a bound helps against bad
luck, which passes, not against a slow machine: there it only puts off the wait.

Source: the maximum of p times and the random walk are worked out here; the bound,
Q. Ho et al., "More effective distributed ML via a stale synchronous parallel parameter
server", NIPS 2013.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from dlsys_code.architecture.staleness import Board, checked_bound
from dlsys_code.architecture.updates import Run

Times = Callable[[int, int], float]  # (worker, clock) -> time of that update


def nobody(worker: int, clock: int) -> int:
    """Return 1: every worker is as fast as every other."""
    return 1


@dataclass(frozen=True)
class Fixed:
    """One worker needs `times` as long for every update."""

    worker: int
    times: int

    def __post_init__(self):
        _check_times(self.times)

    def __call__(self, worker: int, clock: int) -> int:
        return self.times if worker == self.worker else 1


@dataclass(frozen=True)
class Random:
    """Any update needs `times` as long with some probability, alike on every run."""

    probability: float
    times: int
    seed: int = 0

    def __post_init__(self):
        _check_times(self.times)
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability is 0 to 1, not {self.probability}")

    def __call__(self, worker: int, clock: int) -> int:
        luck = random.Random(f"{self.seed} {worker} {clock}").random()
        return self.times if luck < self.probability else 1


@dataclass(frozen=True)
class Exponential:
    """Every update takes an exponential time of mean 1, alike on every run."""

    seed: int = 0

    def __call__(self, worker: int, clock: int) -> float:
        return random.Random(f"{self.seed} {worker} {clock}").expovariate(1)


def _check_times(times: int) -> None:
    if times < 1 or times != int(times):
        raise ValueError(f"a straggler needs 1, 2, ... times as long, not {times}")


class Timetable:
    """Who finishes next if updates take the times given."""

    def __init__(self, times: Times):
        self.times, self.now_s = times, 0.0
        self.coming: list[tuple[float, int]] = []  # (end, worker)

    def begin(self, worker: int, clock: int) -> None:
        """Note that a worker begins an update now."""
        heappush(self.coming, (self.now_s + self.times(worker, clock), worker))

    def next(self) -> int:
        """Go on to the next end of an update; return whose it is."""
        self.now_s, worker = heappop(self.coming)
        return worker


def simulate(workers: int, *, bound: float, updates: int, times: Times) -> Run:
    """Return the run of workers that need these times, without messages or losses.

    Errors: as `Board`.
    """
    board, table = Board(workers, bound=bound, updates=updates), Timetable(times)
    while True:
        for worker in board.begin(table.now_s):
            table.begin(worker, board.clocks[worker])
        if not board.busy:
            return board.run()
        board.finish(table.next(), table.now_s)


def fixed_rate(times: Sequence[float], bound: float) -> float:
    """Return the updates per unit of time of workers with fixed times, in the long run.

    Errors: ValueError for a bound below 0, no worker, or a time not above 0.
    """
    if min(times, default=0) <= 0:
        raise ValueError(f"workers need times above 0, not {list(times)}")
    if checked_bound(bound) == inf:
        return sum(1 / time for time in times)
    return len(times) / max(times)


def random_rate(p: int, straggler: Random, bound: float) -> float:
    """Return the updates per unit of time of p workers that are slow by chance.

    Errors: ValueError without a worker, or for a bound that has no closed form here.
    """
    if p < 1 or bound not in (0, inf):
        raise ValueError(f"known for 1 worker or more and 0 or inf, not {p}, {bound}")
    q, k = straggler.probability, straggler.times
    slow = 1 - (1 - q) ** p if bound == 0 else q
    return p / (1 + (k - 1) * slow)


def pair_rate(bound: int) -> float:
    """Return the updates per unit of time of two exponential workers.

    Errors: ValueError for a bound below 0.
    """
    return 2.0 if checked_bound(bound) == inf else (4 * bound + 4) / (2 * bound + 3)
