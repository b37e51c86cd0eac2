"""Who may go on?  Three clocks for workers that are not equally fast.

A worker takes the weights from a server, finds a gradient and hands it in, which is one
update.  Its clock counts the updates that it has finished.  One rule decides::

    a worker may begin   if   its clock - the slowest clock <= σ

    σ = 0              BSP, bulk synchronous: all wait for all, in every round
    σ = 1, 2, ...      SSP, stale synchronous: the fastest waits for the slowest
    σ = infinity       ASP, asynchronous: nobody waits

Nobody is skipped and every update counts: the bound holds back those in front.  So the
weights of an update with clock c hold at least the first c - σ updates of every worker.
The slowest may always begin, so there is no deadlock.

Cost: a bound saves waiting for who is slow now and then, by up to σ updates.  Who is
always slow holds back all the same, a little later; see module `stragglers`.

Sources: L. G. Valiant, "A bridging model for parallel computation", CACM 33 (1990)
103-111; Q. Ho et al., "More effective distributed ML via a stale synchronous parallel
parameter server", NIPS 2013; J. Dean et al., "Large scale distributed deep networks",
NIPS 2012.
"""

from collections.abc import Sequence
from math import inf, nan

from dlsys_code.architecture.updates import Run, Update

BSP, ASP = 0, inf  # what lies between is SSP


def may_begin(clocks: Sequence[int], bound: float) -> list[int]:
    """Return the workers that are at most `bound` updates ahead of the slowest.

    clocks: the updates that each worker has finished.  bound: σ.
    """
    slowest = min(clocks)
    return [worker for worker, clock in enumerate(clocks) if clock - slowest <= bound]


def checked_bound(bound: float) -> float:
    """Return a bound on staleness, if it is one: 0, 1, 2, ... or infinity.

    Errors: ValueError otherwise.
    """
    if not (bound == inf or (bound >= 0 and bound == int(bound))):
        raise ValueError(
            f"a bound on staleness is 0, 1, 2, ... or infinity, not {bound}"
        )
    return bound


class Board:
    """Where a server notes who is at which update, until a number of them are done.

    It knows nothing of weights or messages, and takes the time from who calls.
    Errors: ValueError for a bound below 0, or without a worker or an update.
    """

    def __init__(self, workers: int, *, bound: float, updates: int):
        if workers < 1 or updates < 1:
            raise ValueError(
                "a run needs at least 1 worker and 1 update, not "
                f"{workers} and {updates}"
            )
        self.bound, self.left = checked_bound(bound), updates
        self.clocks = [0] * workers
        self.busy: dict[int, tuple[int, float]] = {}  # worker -> (seen, start)
        self.done: list[Update] = []

    def begin(self, now_s: float) -> list[int]:
        """Let go all who may and do not work yet; return them.

        Those who begin at once get the same weights.
        """
        free = [w for w in may_begin(self.clocks, self.bound) if w not in self.busy]
        going = free[: self.left]
        self.left -= len(going)
        self.busy.update((worker, (len(self.done), now_s)) for worker in going)
        return going

    def finish(self, worker: int, now_s: float, *, loss: float = nan) -> None:
        """Note that the update of a worker has been added to the weights."""
        seen, start_s = self.busy.pop(worker)
        clock = self.clocks[worker]
        self.done.append(Update(worker, clock, seen, start_s, now_s, loss))
        self.clocks[worker] += 1

    def run(self) -> Run:
        """Return the record of what is done."""
        return Run(len(self.clocks), self.done)
