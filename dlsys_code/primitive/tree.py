"""Broadcast and reduce along a binomial tree.

In a broadcast the ranks that know double in every round::

    round 0   0 -> 1
    round 1   0 -> 2   1 -> 3
    round 2   0 -> 4   1 -> 5   2 -> 6   3 -> 7

A reduce runs the same messages backwards.  For n bytes, latency alpha [s], inverse
bandwidth beta [s/byte] and time per added byte gamma [s/byte]::

    broadcast    ceil(log2 p) (alpha + beta n)
    reduce       ceil(log2 p) (alpha + beta n + gamma n)
    all-reduce   the sum of both

No algorithm needs fewer rounds.  The whole of n travels in each of them, so for many
bytes the ring, which cuts n into chunks, is faster.

Gradients do not flow through these functions.

Source: E. Chan, M. Heimlich, A. Purkayastha and R. van de Geijn, "Collective
communication: theory, practice, and experience", Concurrency and Computation: Practice
and Experience 19 (2007) 1749-1783 (there "minimum spanning tree").
"""

from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import tree_rounds
from dlsys_code.communication.plan import in_turn
from dlsys_code.world.control import alike, collective
from dlsys_code.world.point_to_point import receive, send
from dlsys_code.world.trace import Message


@collective(alike)
def broadcast(x: Tensor, group: ProcessGroup, *, root: int = 0) -> Tensor:
    """Return the root's `x` on every rank.

    x: any shape and dtype, alike on every rank, unchanged; its values count on the
    root only.  Returns: same shape.
    Errors: ValueError when the root is not a rank of the group.
    """
    p, place = group.size(), place_in_tree(group, root)
    known = x.clone()
    for step in range(tree_rounds(p)):
        reach = 2**step  # the places below it know already
        if place < reach and place + reach < p:
            send(known, group, to=(place + reach + root) % p)
        elif reach <= place < 2 * reach:
            known = receive(x, group, source=(place - reach + root) % p)
    return known


@collective(alike)
def reduce(x: Tensor, group: ProcessGroup, *, root: int = 0) -> Tensor | None:
    """Return the sum of `x` over all ranks on the root, None elsewhere.

    x: any shape and dtype, alike on every rank, unchanged.  Returns: same shape.
    Errors: ValueError when the root is not a rank of the group.
    """
    p, place = group.size(), place_in_tree(group, root)
    partial = x.clone()
    for step in reversed(range(tree_rounds(p))):
        reach = 2**step
        if place < reach and place + reach < p:
            partial = partial + receive(x, group, source=(place + reach + root) % p)
        elif reach <= place < 2 * reach:
            send(partial, group, to=(place - reach + root) % p)
    return partial if place == 0 else None


@collective(alike)
def all_reduce(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of `x` over all ranks, bit for bit the same on each of them.

    x: any shape and dtype, alike on every rank, unchanged.  Returns: same shape.
    """
    total = reduce(x, group)
    return broadcast(x if total is None else total, group)


def place_in_tree(group: ProcessGroup, root: int) -> int:
    """Return this rank's place in a tree whose root has place 0.

    Errors: ValueError when the root is not a rank of the group.
    """
    if not 0 <= root < group.size():
        raise ValueError(f"root {root} is not one of the {group.size()} ranks")
    return (group.rank() - root) % group.size()


def broadcast_messages(p: int, count: int, item: int, root: int = 0) -> list[Message]:
    """Return the messages of `broadcast` for `count` elements of `item` bytes."""
    return sorted(
        Message(step, (place + root) % p, (place + reach + root) % p, count * item)
        for step in range(tree_rounds(p))
        for reach in [2**step]
        for place in range(min(reach, p - reach))
    )


def reduce_messages(p: int, count: int, item: int, root: int = 0) -> list[Message]:
    """Return the messages of `reduce`: those of `broadcast`, backwards."""
    last = tree_rounds(p) - 1
    return sorted(
        Message(last - step, destination, source, n)
        for step, source, destination, n in broadcast_messages(p, count, item, root)
    )


def all_reduce_messages(p: int, count: int, item: int) -> list[Message]:
    """Return the messages of `all_reduce`: up the tree and down again."""
    return in_turn(reduce_messages(p, count, item), broadcast_messages(p, count, item))
