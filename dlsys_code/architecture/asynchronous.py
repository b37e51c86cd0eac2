"""Training with a server and workers that wait for one another as little as allowed.

Rank 0 holds the weights; rank r + 1 is worker r.  One update of a worker::

    server   clock, weights ->                               w = w - rate/p g  ->  next?
    worker                    -> forward, backward -> g, loss ->

The server takes gradients from whoever comes first and lets go on who may, by the rule
of module `staleness`.  The samples of an update depend on the worker and its clock, so
in step (σ = 0) round c is step c of one process, and the losses are the same.

Per update 2 n bytes pass the server.  It sends only to workers that wait for its word,
so no two sends meet head-on.

A straggler here finds the same gradient k times over: real work, and no other result.
Small models on the cores of one machine get in one another's way; ballast, products of
small matrices, makes the work larger and nothing else.  With a timetable the server
takes gradients in the order of given times instead, so that a run with real losses is
the same every time.

Sources: J. Dean et al., "Large scale distributed deep networks", NIPS 2012; Q. Ho et
al., "More effective distributed ML via a stale synchronous parallel parameter server",
NIPS 2013.
"""

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.architecture import plain_sgd
from dlsys_code.architecture.staleness import Board, checked_bound
from dlsys_code.architecture.stragglers import Times, Timetable, nobody
from dlsys_code.architecture.updates import Run
from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import samples_each
from dlsys_code.world import compute, receive, send

SERVER = 0
STOP = -1  # in the place of a clock
SIDE = 200  # of a matrix of the ballast; three of them fit in a core's own cache


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that decides a run, but for the text and the ranks.

    bound: σ.  updates: of all workers together.  slowness: how many times over a worker
    does the work of an update.  ballast: matrix products that it makes with every
    gradient.  timetable: times that decide who comes next; None for the real ones.
    Errors: ValueError for a bound or a ballast below 0, or less than 1 update.
    """

    recipe: serial.Recipe
    bound: float
    updates: int
    slowness: Times = nobody
    ballast: int = 0
    timetable: Times | None = None

    def __post_init__(self):
        checked_bound(self.bound)
        if self.updates < 1 or self.ballast < 0:
            raise ValueError(
                "a run needs at least 1 update and 0 products of ballast, not "
                f"{self.updates} and {self.ballast}"
            )


class WallClock:
    """A timetable of what really happens: whoever comes first is next."""

    def __init__(self):
        self.zero_s = time.perf_counter()

    @property
    def now_s(self) -> float:
        """The seconds since the run began."""
        return time.perf_counter() - self.zero_s

    def begin(self, worker: int, clock: int) -> None:
        """Do nothing: the worker will be heard of."""

    def next(self) -> None:
        """Return None: nobody knows."""


def train(job: Job, text: Tensor, group: ProcessGroup) -> Run | None:
    """Return the record of the run on the server, None on the workers.

    Errors: ValueError, before any message, when there is no worker or the workers do
    not divide the batch.
    """
    workers = group.size() - 1
    if workers < 1:
        raise ValueError(f"a server and a worker need 2 ranks, not {group.size()}")
    samples_each(job.recipe, workers)
    if group.rank() == SERVER:
        return serve(job, group)
    work(job, text, group)
    return None


def serve(job: Job, group: ProcessGroup) -> Run:
    """Hand out weights and add up gradients until all updates are done."""
    workers = group.size() - 1
    board = Board(workers, bound=job.bound, updates=job.updates)
    table = Timetable(job.timetable) if job.timetable else WallClock()
    weights = plain_sgd.weights_of(serial.fresh_model(job.recipe))
    report = torch.cat([weights, weights[:1]])  # gradient and loss
    while True:
        for worker in board.begin(table.now_s):
            table.begin(worker, board.clocks[worker])
            send(torch.tensor(board.clocks[worker]), group, to=worker + 1)
            send(weights, group, to=worker + 1)
        if not board.busy:
            break
        worker = receive_(report, group, worker=table.next())
        weights -= job.recipe.learning_rate / workers * report[:-1]
        board.finish(worker, table.now_s, loss=report[-1].item())
    for worker in range(workers):
        send(torch.tensor(STOP), group, to=worker + 1)
    return board.run()


def receive_(report: Tensor, group: ProcessGroup, *, worker: int | None) -> int:
    """Write the next report of a worker, None for any, into `report`; return whose."""
    source = None if worker is None else worker + 1
    rank = dist.recv(report, group=group, group_src=source)  # of the whole world
    return dist.get_group_rank(group, rank) - 1


def work(job: Job, text: Tensor, group: ProcessGroup) -> None:
    """Find gradients with the weights that the server gives, until it says stop."""
    worker, each = group.rank() - 1, samples_each(job.recipe, group.size() - 1)
    mine = range(worker * each, (worker + 1) * each)
    model = serial.fresh_model(job.recipe)
    weights = plain_sgd.weights_of(model)
    while (clock := receive(torch.tensor(0), group, source=SERVER).item()) != STOP:
        weights = receive(weights, group, source=SERVER)
        plain_sgd.write_(model, weights)
        for _ in range(job.slowness(worker, clock)):
            loss, g = plain_sgd.gradient(model, job.recipe, text, clock, mine)
            toil(job.ballast)
        send(torch.cat([g, g.new_tensor([loss])]), group, to=SERVER)


def toil(products: int) -> None:
    """Multiply matrices and forget the result."""
    x = torch.ones(SIDE, SIDE)
    with compute("ballast"):
        for _ in range(products):
            torch.mm(x, x)
