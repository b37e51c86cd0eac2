"""What is raced: the collectives, what each must return, and who can do it.

The bus factor turns an algorithm's bandwidth, size / time, into that of the busiest
link of an ideal machine, so that results for different p can be compared.  With sizes
as nccl-tests counts them, `COLLECTIVES` says for each::

                     size is that of                   bus factor
    all_reduce       the tensor                        2 (p - 1)/p
    broadcast        the tensor                        1
    reduce           the tensor                        1
    all_gather       all p chunks, received            (p - 1)/p
    reduce_scatter   all p chunks, sent                (p - 1)/p
    scatter          all p chunks on the root          (p - 1)/p
    gather           all p chunks on the root          (p - 1)/p
    all_to_all       all p chunks of one rank          (p - 1)/p

Source: NVIDIA, nccl-tests, doc/PERFORMANCE.md; scatter and gather: src/scatter.cu.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.nccl import bus_factor
from dlsys_code.primitive import (
    double_tree,
    doubling,
    exchange,
    halving,
    in_place,
    in_place_core,
    ring,
    rooted,
    tree,
)

Inputs = Callable[[int], Tensor]  # rank -> what it puts in
Answer = Callable[[Inputs, int, int, int], Tensor | None]  # inputs, p, rank, root


@dataclass(frozen=True, kw_only=True)
class Arena:
    """What one rank brings to a race; all contenders use the same tensors.

    x: the input, flat.  out: where results go that are not in x.
    """

    x: Tensor
    out: Tensor
    scratch: Tensor
    group: ProcessGroup
    root: int

    @property
    def p(self) -> int:
        """How many ranks race."""
        return self.group.size()

    def rows(self) -> Tensor:
        """Return the input as a chunk for each rank: (p, k)."""
        return self.x.view(self.p, -1)


Contender = Callable[[Arena], Tensor | None]  # returns this rank's result


@dataclass(frozen=True, kw_only=True)
class Collective:
    """One collective.  name: as torch.distributed calls it.

    bus_factor: p -> factor.  answer: what a rank must end with, None for nothing.
    by_chunks: the size is that of p chunks, one for each rank.  sends_all, keeps_all:
    whether a rank puts in, and ends with, the whole size.
    """

    name: str
    bus_factor: Callable[[int], float]
    answer: Answer
    contenders: dict[str, Contender]
    by_chunks: bool = False
    sends_all: bool = True
    keeps_all: bool = True
    redop: str = "none"
    rooted: bool = False


def share(p: int) -> float:
    """Return (p - 1)/p: of p chunks, one stays where it is."""
    return (p - 1) / p


def returning(collective: Callable[[Tensor, ProcessGroup], Tensor]) -> Contender:
    """Return the contender that makes a new tensor of x."""
    return lambda arena: collective(arena.x, arena.group)


def of_rows(collective: Callable[[Tensor, ProcessGroup], Tensor]) -> Contender:
    """Return the contender that makes a new tensor of x, a row for each rank."""
    return lambda arena: collective(arena.rows(), arena.group)


def from_root(collective: Callable[..., Tensor | None]) -> Contender:
    """Return the contender that makes a new tensor of x and has a root."""
    return lambda arena: collective(arena.x, arena.group, root=arena.root)


def changing(collective: Callable[..., object], *options: str) -> Contender:
    """Return the contender that changes x; options: what else it takes of the arena."""

    def run(arena: Arena) -> Tensor:
        more = {name: getattr(arena, name) for name in options}
        collective(arena.x, arena.group, **more)
        return arena.x

    return run


def filling(collective: Callable[..., object], *options: str) -> Contender:
    """Return the contender that writes into `out`; options as in `changing`."""

    def run(arena: Arena) -> Tensor:
        more = {name: getattr(arena, name) for name in options}
        collective(arena.out, arena.x, arena.group, **more)
        return arena.out

    return run


def torch_all_reduce(arena: Arena) -> Tensor:
    """Torch's own, in place."""
    dist.all_reduce(arena.x, group=arena.group)
    return arena.x


def torch_broadcast(arena: Arena) -> Tensor:
    """Torch's own, in place."""
    dist.broadcast(arena.x, group=arena.group, group_src=arena.root)
    return arena.x


def torch_reduce(arena: Arena) -> Tensor:
    """Torch's own, in place."""
    dist.reduce(arena.x, group=arena.group, group_dst=arena.root)
    return arena.x


def torch_all_gather(arena: Arena) -> Tensor:
    """Torch's own, into one tensor."""
    dist.all_gather_single(arena.out, arena.x, group=arena.group)
    return arena.out


def torch_reduce_scatter(arena: Arena) -> Tensor:
    """Torch's own, from one tensor."""
    dist.reduce_scatter_single(arena.out, arena.x, group=arena.group)
    return arena.out


def torch_all_to_all(arena: Arena) -> Tensor:
    """Torch's own, from one tensor into one."""
    dist.all_to_all_single(arena.out, arena.x, group=arena.group)
    return arena.out


def torch_scatter(arena: Arena) -> Tensor:
    """Torch's own, from rows of one tensor."""
    here = arena.group.rank() == arena.root
    rows = list(arena.rows()) if here else None
    dist.scatter(arena.out, rows, group=arena.group, group_src=arena.root)
    return arena.out


def torch_gather(arena: Arena) -> Tensor:
    """Torch's own, into rows of one tensor."""
    here = arena.group.rank() == arena.root
    rows = list(arena.out.view(arena.p, -1)) if here else None
    dist.gather(arena.x, rows, group=arena.group, group_dst=arena.root)
    return arena.out


def tree_scatter(arena: Arena) -> Tensor:
    """The tree's, in equal shares."""
    lengths = [arena.out.numel()] * arena.p
    return rooted.scatter(arena.x, lengths, arena.group, root=arena.root)


def tree_gather(arena: Arena) -> Tensor | None:
    """The tree's, of equal shares."""
    lengths = [arena.x.numel()] * arena.p
    return rooted.gather(arena.x, lengths, arena.group, root=arena.root)


def total(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """The sum of all inputs."""
    return sum((inputs(r) for r in range(1, p)), start=inputs(0))


def everything(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """All inputs in rank order."""
    return torch.cat([inputs(r) for r in range(p)])


def row_of_total(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """This rank's row of the sum of all inputs."""
    return total(lambda r: inputs(r).view(p, -1)[rank], p, rank, root)


def row_of_each(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """This rank's row of every input, in rank order."""
    return everything(lambda r: inputs(r).view(p, -1)[rank], p, rank, root)


def at_root(answer: Answer) -> Answer:
    """Return the answer of which the other ranks get nothing."""

    def only_there(inputs: Inputs, p: int, rank: int, root: int) -> Tensor | None:
        return answer(inputs, p, rank, root) if rank == root else None

    return only_there


COLLECTIVES = {
    collective.name: collective
    for collective in (
        Collective(
            name="all_reduce",
            bus_factor=bus_factor,
            answer=total,
            redop="sum",
            contenders={
                "torch": torch_all_reduce,
                "ring": returning(ring.all_reduce),
                "ring_into_": changing(in_place.ring_all_reduce_into_, "scratch"),
                "halving": returning(halving.all_reduce),
                "halving_into_": changing(
                    in_place_core.halving_all_reduce_into_, "scratch"
                ),
                "doubling": returning(doubling.all_reduce),
                "doubling_into_": changing(
                    in_place_core.doubling_all_reduce_into_, "scratch"
                ),
                "tree": returning(tree.all_reduce),
                "tree_into_": changing(in_place.tree_all_reduce_into_, "scratch"),
                "double_tree": returning(double_tree.all_reduce),
            },
        ),
        Collective(
            name="all_gather",
            bus_factor=share,
            answer=everything,
            by_chunks=True,
            sends_all=False,
            contenders={
                "torch": torch_all_gather,
                "ring": returning(ring.all_gather),
                "ring_into_": filling(in_place.ring_all_gather_into_),
                "doubling": returning(doubling.all_gather),
                "doubling_into_": filling(in_place_core.doubling_all_gather_into_),
            },
        ),
        Collective(
            name="reduce_scatter",
            bus_factor=share,
            answer=row_of_total,
            by_chunks=True,
            keeps_all=False,
            redop="sum",
            contenders={
                "torch": torch_reduce_scatter,
                "ring": of_rows(ring.reduce_scatter),
                "ring_into_": filling(in_place.ring_reduce_scatter_into_, "scratch"),
            },
        ),
        Collective(
            name="broadcast",
            bus_factor=lambda p: 1.0,
            answer=lambda inputs, p, rank, root: inputs(root),
            rooted=True,
            contenders={
                "torch": torch_broadcast,
                "tree": from_root(tree.broadcast),
                "tree_into_": changing(in_place.tree_broadcast_into_, "root"),
                "scatter_all_gather": from_root(rooted.broadcast),
            },
        ),
        Collective(
            name="reduce",
            bus_factor=lambda p: 1.0,
            answer=at_root(total),
            redop="sum",
            rooted=True,
            contenders={
                "torch": torch_reduce,
                "tree": from_root(tree.reduce),
                "tree_into_": changing(in_place.tree_reduce_into_, "root", "scratch"),
            },
        ),
        Collective(
            name="scatter",
            bus_factor=share,
            answer=lambda inputs, p, rank, root: inputs(root).view(p, -1)[rank],
            by_chunks=True,
            keeps_all=False,
            rooted=True,
            contenders={"torch": torch_scatter, "tree": tree_scatter},
        ),
        Collective(
            name="gather",
            bus_factor=share,
            answer=at_root(everything),
            by_chunks=True,
            sends_all=False,
            rooted=True,
            contenders={"torch": torch_gather, "tree": tree_gather},
        ),
        Collective(
            name="all_to_all",
            bus_factor=share,
            answer=row_of_each,
            by_chunks=True,
            contenders={
                "torch": torch_all_to_all,
                "pairwise": returning(exchange.pairwise),
                "pairwise_into_": filling(in_place.pairwise_all_to_all_into_),
                "bruck": returning(exchange.bruck),
            },
        ),
    )
}
