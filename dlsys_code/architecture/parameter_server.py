"""A parameter server: some ranks hold the weights, others hold the samples.

In every step a worker asks the servers for the weights, finds the gradient of its own
samples and hands it in; the servers add up what came and update what they hold::

    worker   w = pull()    g = gradient(w, my samples)    push(g)
    server                        w = optimizer(w, (sum of all g) / workers)

So push and pull are a sum and a copy: what a reduce-scatter and an all-gather do when
every rank serves an equal share.  Only a server keeps the state of the optimizer.  Here
all go in step, so that the run is that of one process.

With p workers and n bytes of weights, the busiest rank sends in a step::

    p n                one server on a rank of its own
    (p - 1) n          rank 0 serves and works
    max(p n / s, n)    s servers of their own
    2 (p - 1)/p n      every rank serves n / p and works

and receives as much.  Exact for any size: module `traffic`.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.architecture.keys import Values, check, elements, join, split
from dlsys_code.architecture.placement import Placement
from dlsys_code.world import exchange, receive, send

MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]


class Shard:
    """The weights of some keys and the optimizer that updates them.

    weights: copied.  make_optimizer: makes one of torch's for a module; it is not asked
    where there are no keys.
    """

    def __init__(self, weights: Values, make_optimizer: MakeOptimizer):
        self.weights = nn.ParameterList(value.clone() for value in weights.values())
        self.keys = tuple(weights)
        self.optimizer = make_optimizer(self.weights) if weights else None

    def values(self) -> Values:
        """Return the weights, which the next update changes."""
        return {k: w.detach() for k, w in zip(self.keys, self.weights, strict=True)}

    def update_(self, gradients: Values) -> None:
        """Let the optimizer make one step.  gradients: of all keys of this shard."""
        for key, weight in zip(self.keys, self.weights, strict=True):
            weight.grad = gradients[key]
        if self.optimizer is not None:
            self.optimizer.step()


def push(gradients: Values, placement: Placement, group: ProcessGroup) -> Values:
    """Hand in gradients; return their sum over all workers, of the keys served here.

    gradients: of all keys on a worker, unchanged; of none on any other rank.
    Every rank of the placement makes this call.
    Errors: ValueError, before anything is sent, for a wrong key, shape or dtype: the
    servers wait on, and the worker may push again.
    """
    placement.check_group(group)
    rank, dtype = group.rank(), placement.dtype
    check(gradients, placement.keys if rank in placement.workers else {}, dtype)
    mine = placement.served_by(rank)
    total = torch.zeros(elements(mine), dtype=dtype)
    if rank in placement.workers:
        total += join(gradients, mine, dtype)
    for meets in placement.rounds():
        server, worker = server_in(meets, rank), meets.get(rank)
        theirs = placement.served_by(server) if server is not None else {}
        outgoing = join(gradients, theirs, dtype)
        arrived = swap(outgoing, group, to=server, like=total, source=worker)
        if arrived is not None:
            total += arrived
    return split(total, mine)


def pull(weights: Values, placement: Placement, group: ProcessGroup) -> Values:
    """Return the weights of all keys on a worker, of none on any other rank.

    weights: of the keys that this rank serves, unchanged.
    Every rank of the placement makes this call.
    Errors: ValueError, before anything is sent, for a wrong key, shape or dtype.
    """
    placement.check_group(group)
    rank, dtype = group.rank(), placement.dtype
    mine = placement.served_by(rank)
    check(weights, mine, dtype)
    outgoing = join(weights, mine, dtype)
    pulled = split(outgoing, mine)
    for meets in placement.rounds():
        server, worker = server_in(meets, rank), meets.get(rank)
        theirs = placement.served_by(server) if server is not None else {}
        like = torch.empty(elements(theirs), dtype=dtype)
        arrived = swap(outgoing, group, to=worker, like=like, source=server)
        if arrived is not None:
            pulled |= split(arrived, theirs)
    wanted = placement.keys if rank in placement.workers else {}
    return {key: pulled[key] for key in wanted}


def server_in(meets: dict[int, int], worker: int) -> int | None:
    """Return which server a worker meets in a round, None where it meets none."""
    return next((server for server, met in meets.items() if met == worker), None)


def swap(
    x: Tensor, group: ProcessGroup, *, to: int | None, like: Tensor, source: int | None
) -> Tensor | None:
    """Send `x` while receiving, each only where there is a rank to do it with."""
    if to is not None and source is not None:
        return exchange(x, group, to=to, source=source, like=like)
    if to is not None:
        send(x, group, to=to)
    return receive(like, group, source=source) if source is not None else None
