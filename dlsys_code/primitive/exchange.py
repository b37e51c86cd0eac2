"""All-to-all: every rank has something else for every other.

Written as a matrix with one row of chunks per rank, it is a transposition.  Two ways::

    pairwise   in step i a rank sends to the one i places on, what is meant for it
    Bruck      a chunk with distance d to go travels 2^i places for every bit i of d,
               together with all others that have this bit: 5 = 1 + 4, 6 = 2 + 4

For n bytes on each rank in p equal chunks, latency alpha [s] and inverse bandwidth
beta [s/byte]::

    pairwise   (p - 1) alpha + (p - 1)/p beta n                fewest bytes
    Bruck      ceil(log2 p) (alpha + beta n / 2), about        fewest rounds

Bruck sends a chunk up to log2 p times and copies all of them twice, so it pays for
small chunks on many ranks only.

Gradients do not flow through these functions.

Sources: J. Bruck, C.-T. Ho, S. Kipnis, E. Upfal and D. Weathersby, "Efficient
algorithms for all-to-all communications in multiport message-passing systems", IEEE
Trans. Parallel and Distributed Systems 8 (1997) 1143-1156; R. Thakur, R. Rabenseifner
and W. Gropp, Int. J. High Performance Computing Applications 19 (2005) 49-66.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import tree_rounds
from dlsys_code.world.agreement import dtype_name
from dlsys_code.world.board import Note
from dlsys_code.world.control import alike, collective
from dlsys_code.world.point_to_point import exchange
from dlsys_code.world.trace import Message


def shares(
    x: Tensor,
    group: ProcessGroup,
    *,
    sends: Sequence[int] | None = None,
    receives: Sequence[int] | None = None,
) -> Note:
    """Say that b expects from a as many rows as a sends to b, and rows are alike."""
    sends, receives = checked_shares(x, group, sends, receives)
    names = [str(rank) for rank in dist.get_process_group_ranks(group)]
    return {
        "dtype": dtype_name(x),
        "shape": list(x.shape[1:]),
        "sends": dict(zip(names, sends, strict=True)),
        "expects": dict(zip(names, receives, strict=True)),
    }


@collective(shares)
def pairwise(
    x: Tensor,
    group: ProcessGroup,
    *,
    sends: Sequence[int] | None = None,
    receives: Sequence[int] | None = None,
) -> Tensor:
    """Send the i-th piece of `x` to rank i; return the pieces of all, in rank order.

    x: (rows, ...), unchanged.  sends: how many rows go to each rank; receives: how many
    come from each; equal shares where left out.  What rank a receives from b is what b
    sends to a.  Returns: (sum(receives), ...).
    Errors: ValueError when the rows do not fit the ranks or the two lists each other.
    """
    p, r = group.size(), group.rank()
    sends, receives = checked_shares(x, group, sends, receives)
    pieces = x.split(sends)
    arrived = {r: pieces[r]}
    for step in range(1, p):
        to, source = (r + step) % p, (r - step) % p
        like = x.new_empty(receives[source], *x.shape[1:])
        arrived[source] = exchange(pieces[to], group, to=to, source=source, like=like)
    return torch.cat([arrived[i] for i in range(p)])


@collective(alike)
def bruck(x: Tensor, group: ProcessGroup) -> Tensor:
    """Send the i-th of p equal pieces of `x` to rank i; return those of all ranks.

    x: (p * k, ...), alike on every rank, unchanged.  Returns: same shape.
    Errors: ValueError when the rows cannot be shared equally.
    """
    p, r = group.size(), group.rank()
    pieces = x.split(equal_shares(x, p))
    # Row d has d places to go; in the end it is the row that has come d places.
    going = torch.stack([pieces[(r + d) % p] for d in range(p)])  # (p, k, ...)
    for step in range(tree_rounds(p)):
        moving, jump = with_bit(step, p), 2**step
        to, source = (r + jump) % p, (r - jump) % p
        going[moving] = exchange(going[moving], group, to=to, source=source)
    return torch.cat([going[(r - source) % p] for source in range(p)])


def with_bit(bit: int, p: int) -> list[int]:
    """Return the distances below p whose binary number has a 1 at `bit`."""
    return [distance for distance in range(p) if distance >> bit & 1]


def equal_shares(x: Tensor, p: int) -> list[int]:
    """Return the rows of each rank when all get the same.

    Errors: ValueError when the rows cannot be shared equally.
    """
    if x.ndim == 0 or len(x) % p:
        raise ValueError(f"{p} ranks cannot share {tuple(x.shape)} equally by rows")
    return [len(x) // p] * p


def checked_shares(
    x: Tensor,
    group: ProcessGroup,
    sends: Sequence[int] | None,
    receives: Sequence[int] | None,
) -> tuple[list[int], list[int]]:
    """Return the rows that go to each rank and come from each, equal if left out.

    Errors: ValueError when the lists fit neither the ranks, `x` nor each other.
    """
    p, r = group.size(), group.rank()
    sends = equal_shares(x, p) if sends is None else list(sends)
    receives = equal_shares(x, p) if receives is None else list(receives)
    if len(sends) != p or len(receives) != p or min(*sends, *receives) < 0:
        raise ValueError(f"{p} ranks need {p} shares from 0 up: {sends}, {receives}")
    if x.ndim == 0 or len(x) != sum(sends):
        raise ValueError(f"{sends} does not share the rows of {tuple(x.shape)}")
    if sends[r] != receives[r]:
        raise ValueError(
            f"rank {r} keeps {sends[r]} rows of its own, but expects {receives[r]}"
        )
    return sends, receives


def pairwise_messages(shares: Sequence[Sequence[int]], item: int) -> list[Message]:
    """Return the messages of `pairwise`.

    shares: shares[a][b] elements of `item` bytes go from rank a to rank b.
    """
    p = len(shares)
    return [
        Message(step - 1, r, (r + step) % p, shares[r][(r + step) % p] * item)
        for step in range(1, p)
        for r in range(p)
    ]


def bruck_messages(p: int, count: int, item: int) -> list[Message]:
    """Return the messages of `bruck` for `count` elements of `item` bytes, p k of them.

    Errors: ValueError when p does not divide `count`.
    """
    if count % p:
        raise ValueError(f"{p} ranks cannot share {count} elements equally")
    chunk_bytes = count // p * item
    return [
        Message(step, r, (r + 2**step) % p, len(with_bit(step, p)) * chunk_bytes)
        for step in range(tree_rounds(p))
        for r in range(p)
    ]
