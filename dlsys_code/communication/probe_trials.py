"""What two ranks do to try out a primitive, and what they must hold afterwards.

The inputs have digits that tell whose share is in a result::

    rank 0   1  2
    rank 1  10 20        all_reduce -> 11 22 on both, scatter -> 1 and 2, ...

Source: torch.distributed, "Collective functions" and "Point-to-point communication".
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.world.point_to_point import receive, send

RANKS = 2
INPUTS = ([1.0, 2.0], [10.0, 20.0])  # of rank 0, of rank 1

Call = Callable[[Tensor, ProcessGroup], Tensor]
Check = Callable[[Sequence[Tensor]], bool]


class Trial(NamedTuple):
    """A program of two ranks, and whether the results of both are right."""

    call: Call
    right: Check


def hand_over(x: Tensor, group: ProcessGroup) -> Tensor:
    """Rank 0 sends, rank 1 receives."""
    if group.rank() == 0:
        send(x, group, to=1)
        return x
    return receive(x, group, source=0)


def broadcast(x: Tensor, group: ProcessGroup) -> Tensor:
    """The tensor of rank 0 goes to all."""
    dist.broadcast(x, group=group, group_src=0)
    return x


def all_reduce(x: Tensor, group: ProcessGroup) -> Tensor:
    """The sum goes to all."""
    dist.all_reduce(x, group=group)
    return x


def reduce(x: Tensor, group: ProcessGroup) -> Tensor:
    """The sum goes to rank 0; what the others hold afterwards is not defined."""
    dist.reduce(x, group=group, group_dst=0)
    return x if group.rank() == 0 else x.new_empty(0)


def all_gather(x: Tensor, group: ProcessGroup) -> Tensor:
    """All tensors go to all."""
    rows = [torch.empty_like(x) for _ in range(RANKS)]
    dist.all_gather(rows, x, group=group)
    return torch.cat(rows)


def gather(x: Tensor, group: ProcessGroup) -> Tensor:
    """All tensors go to rank 0."""
    rows = [torch.empty_like(x) for _ in range(RANKS)] if group.rank() == 0 else None
    dist.gather(x, rows, group=group, group_dst=0)
    return torch.cat(rows) if rows else x.new_empty(0)


def scatter(x: Tensor, group: ProcessGroup) -> Tensor:
    """Rank 0 gives each rank one of its chunks."""
    out = torch.empty_like(x[:1])
    chunks = list(x.chunk(RANKS)) if group.rank() == 0 else None
    dist.scatter(out, chunks, group=group, group_src=0)
    return out


def reduce_scatter(x: Tensor, group: ProcessGroup) -> Tensor:
    """Each rank gets one chunk of the sum."""
    out = torch.empty_like(x[:1])
    dist.reduce_scatter(out, list(x.chunk(RANKS)), group=group)
    return out


def all_to_all(x: Tensor, group: ProcessGroup) -> Tensor:
    """Each rank gives each rank a chunk."""
    out = [torch.empty_like(x[:1]) for _ in range(RANKS)]
    dist.all_to_all(out, list(x.chunk(RANKS)), group=group)
    return torch.cat(out)


def barrier(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return when this rank came and when it left, on the clock of the host."""
    came_s = time.perf_counter()
    dist.barrier(group)
    return torch.tensor([came_s, time.perf_counter()], dtype=torch.float64)


def gives(*answers: list[float]) -> Check:
    """Return a check that each rank holds its answer."""
    return lambda results: [x.tolist() for x in results] == list(answers)


def nobody_left_early(results: Sequence[Tensor]) -> bool:
    """Return whether every rank left the barrier after all had come."""
    came_s, left_s = torch.stack(list(results)).unbind(dim=1)
    return bool(came_s.max() <= left_s.min())


TRIALS = {
    "send": Trial(hand_over, gives([1, 2], [1, 2])),
    "recv": Trial(hand_over, gives([1, 2], [1, 2])),
    "broadcast": Trial(broadcast, gives([1, 2], [1, 2])),
    "all_reduce": Trial(all_reduce, gives([11, 22], [11, 22])),
    "reduce": Trial(reduce, gives([11, 22], [])),
    "all_gather": Trial(all_gather, gives([1, 2, 10, 20], [1, 2, 10, 20])),
    "gather": Trial(gather, gives([1, 2, 10, 20], [])),
    "scatter": Trial(scatter, gives([1], [2])),
    "reduce_scatter": Trial(reduce_scatter, gives([11], [22])),
    "all_to_all": Trial(all_to_all, gives([1, 10], [2, 20])),
    "barrier": Trial(barrier, nobody_left_early),
}
