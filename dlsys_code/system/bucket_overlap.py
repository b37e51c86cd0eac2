"""How much of the communication shows: buckets that stand in line behind backward.

A bucket leaves when its last gradient is there and the bucket before it has arrived.
If backward spends on each parameter in proportion to its bytes::

    ready_i = backward x (bytes of buckets 0 to i) / n
    end_i   = max(ready_i, end_(i - 1)) + price of bucket i
    exposed = end of the last - backward

Small buckets pay a price for every start, and the line grows; large ones leave late,
and the last of them, which nothing can hide, is large.  The best limit is between, and
higher for more ranks, whose starts cost more.

Source: S. Li et al., "PyTorch distributed: experiences on accelerating data parallel
training", PVLDB 13 (2020) 3005-3018, section 3.2; the model of time is this book's.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

Price = Callable[[int], float]  # bytes of a bucket -> seconds of its all-reduce


class Travel(NamedTuple):
    """One bucket of a step: complete, on its way, arrived [s]."""

    bytes: int
    ready_s: float
    start_s: float
    end_s: float


def travels(buckets: Sequence[int], *, backward_s: float, price: Price) -> list[Travel]:
    """Return when each bucket travels; backward begins at 0.

    buckets: bytes of each, in the order in which they leave.
    Errors: ValueError for a time below 0, or a bucket without bytes.
    """
    if backward_s < 0 or any(n < 1 for n in buckets):
        raise ValueError(
            f"buckets of {list(buckets)} bytes cannot leave during {backward_s} s"
        )
    line: list[Travel] = []
    for i, n in enumerate(buckets):
        ready_s = backward_s * sum(buckets[: i + 1]) / sum(buckets)
        start_s = max(ready_s, line[-1].end_s) if line else ready_s
        line.append(Travel(n, ready_s, start_s, start_s + price(n)))
    return line


def exposed_s(buckets: Sequence[int], *, backward_s: float, price: Price) -> float:
    """Return how long after backward the last bucket arrives [s].

    Errors: as `travels`.
    """
    line = travels(buckets, backward_s=backward_s, price=price)
    return line[-1].end_s - backward_s if line else 0.0
