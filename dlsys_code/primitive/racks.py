"""All-reduce on a cluster with racks: what the network makes of each algorithm.

Five ways to the same sum, on hosts whose racks are joined by slower links::

    ring                 in rank order: the circle crosses the spine twice
    ring, mixed          neighbours in different racks: every message crosses it
    hierarchical         rings inside the racks, rings across with a part of the bytes
    tree                 in rank order: four whole messages cross at once, up and down
    tree, mixed          the last two to add up are in different racks: one crosses

Mixed order takes a rank of each rack in turn.  What each costs is predicted in
`racks_model` and measured in `racks_race`.

Sources: those of `ring`, `hierarchical` and `tree`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication.plan import on_ranks
from dlsys_code.communication.wiring import Plan
from dlsys_code.primitive import hierarchical, ring, tree
from dlsys_code.world import Message

ITEM = 4  # bytes of a float32
AllReduce = Callable[[Tensor], Tensor]


def racks_of(plan: Plan) -> list[list[int]]:
    """Return the ranks of every rack."""
    size = plan.hosts * plan.ranks
    return [list(range(i * size, (i + 1) * size)) for i in range(plan.racks)]


def mixed(plan: Plan) -> list[int]:
    """Return all ranks, one of each rack in turn."""
    return list(chain.from_iterable(zip(*racks_of(plan), strict=True)))


def in_order(order: Sequence[int] | None) -> dist.ProcessGroup:
    """Return a group of all ranks, in that order if there is one."""
    if order is None:
        return dist.group.WORLD
    return dist.new_group(list(order), sort_ranks=False)


def on_two_levels(plan: Plan) -> AllReduce:
    """Return this rank's hierarchical all-reduce: racks inside, columns across."""
    racks, rank = racks_of(plan), dist.get_rank()
    columns = zip(*racks, strict=True)
    inner, outer = (
        [dist.new_group(list(ranks)) for ranks in groups] for groups in (racks, columns)
    )
    inside, across = inner[rank // len(racks[0])], outer[rank % len(racks[0])]
    return lambda x: hierarchical.all_reduce(x, inside, across)


@dataclass(frozen=True, kw_only=True)
class Racer:
    """One way to the sum.

    join: called on every rank of a cluster, returns its all-reduce.  messages: all that
    are sent, for a cluster and a count of elements.
    """

    join: Callable[[Plan], AllReduce]
    messages: Callable[[Plan, int], list[Message]]


def alike(
    all_reduce: Callable[[Tensor, dist.ProcessGroup], Tensor],
    messages: Callable[[int, int, int], list[Message]],
    order: Callable[[Plan], list[int]] | None = None,
) -> Racer:
    """Return a racer whose ranks are all of one group, in some order."""

    def join(plan: Plan) -> AllReduce:
        group = in_order(order and order(plan))
        return lambda x: all_reduce(x, group)

    def planned(plan: Plan, count: int) -> list[Message]:
        p = plan.racks * plan.hosts * plan.ranks
        return on_ranks(order(plan) if order else range(p), messages(p, count, ITEM))

    return Racer(join=join, messages=planned)


RACERS = {
    "ring": alike(ring.all_reduce, ring.all_reduce_messages),
    "ring, mixed": alike(ring.all_reduce, ring.all_reduce_messages, mixed),
    "hierarchical": Racer(
        join=on_two_levels,
        messages=lambda plan, count: hierarchical.all_reduce_messages(
            racks_of(plan), count, ITEM
        ),
    ),
    "tree": alike(tree.all_reduce, tree.all_reduce_messages),
    "tree, mixed": alike(tree.all_reduce, tree.all_reduce_messages, mixed),
}
