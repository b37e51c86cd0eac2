"""What a collective costs: counted in whole numbers first, priced afterwards.

For p ranks and `count` elements of `item` bytes each, an algorithm has a cost that does
not depend on any machine::

    rounds           steps in which every rank sends and receives at most one message
    bytes_sent       by the busiest rank
    serial_bytes     the largest message of every round, added up
    serial_reduced   the bytes added up one after the other on the longest path

and a price that does, with alpha [s], beta [s/byte] and gamma [s/byte]::

    time = rounds x alpha + serial_bytes x beta + serial_reduced x gamma

Tests hold the formulas against the messages of real runs.

Sources: E. Chan, M. Heimlich, A. Purkayastha and R. van de Geijn, "Collective
communication: theory, practice, and experience", Concurrency and Computation: Practice
and Experience 19 (2007) 1749-1783; P. Patarasuk and X. Yuan, J. Parallel Distrib.
Comput. 69 (2009) 117-124.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dlsys_code.communication.link import Link
from dlsys_code.world.trace import Message


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The machine-independent cost of one collective, in exact whole numbers."""

    rounds: int
    bytes_sent: int
    serial_bytes: int
    serial_reduced: int = 0

    def __add__(self, then: "Cost") -> "Cost":
        """Return the cost of two parts, one after the other, with one busiest rank."""
        return Cost(
            rounds=self.rounds + then.rounds,
            bytes_sent=self.bytes_sent + then.bytes_sent,
            serial_bytes=self.serial_bytes + then.serial_bytes,
            serial_reduced=self.serial_reduced + then.serial_reduced,
        )

    def time_s(self, link: Link, *, reduce_s_per_byte: float = 0.0) -> float:
        """Return the price on links like `link`, all idle, and a rate of adding [s]."""
        return (
            self.rounds * link.latency_s
            + self.serial_bytes * link.seconds_per_byte
            + self.serial_reduced * reduce_s_per_byte
        )


def of_messages(messages: Sequence[Message], *, repeats: int = 1) -> Cost:
    """Return the cost of a list of messages, planned or recorded.

    repeats: how often the list does the same; the cost is that of one of them.
    Additions leave no trace in a message, so serial_reduced is 0.
    Errors: ValueError when the messages cannot be so many equal parts.
    """
    sent: Counter[int] = Counter()
    largest: dict[int, int] = {}
    for message in messages:
        sent[message.source] += message.bytes
        largest[message.step] = max(largest.get(message.step, 0), message.bytes)
    whole = (len(largest), max(sent.values(), default=0), sum(largest.values()))
    if repeats < 1 or any(part % repeats for part in whole):
        raise ValueError(
            f"{whole[0]} rounds, {whole[1]} bytes from the busiest rank and {whole[2]} "
            f"in series are not {repeats} equal parts"
        )
    rounds, bytes_sent, serial_bytes = (part // repeats for part in whole)
    return Cost(rounds=rounds, bytes_sent=bytes_sent, serial_bytes=serial_bytes)


def tree_rounds(p: int) -> int:
    """Return ceil(log2 p): doubling the ranks that know, how often until all p do?

    Errors: ValueError when p is less than 1.
    """
    if p < 1:
        raise ValueError(f"a group has at least 1 rank, not {p}")
    return (p - 1).bit_length()


def ring_chunk(p: int, count: int) -> int:
    """Return ceil(count / p), the elements of one chunk when p chunks hold them all.

    Errors: ValueError when p is less than 1 or count is negative.
    """
    if p < 1 or count < 0:
        raise ValueError(f"{count} elements cannot be cut into {p} chunks")
    return -(-count // p)


def tree_broadcast(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.tree.broadcast`: the root sends in every round."""
    n, rounds = count * item, tree_rounds(p)
    return Cost(rounds=rounds, bytes_sent=rounds * n, serial_bytes=rounds * n)


def tree_reduce(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.tree.reduce`: the root receives in every round."""
    n, rounds = count * item, tree_rounds(p)
    return Cost(
        rounds=rounds,
        bytes_sent=min(rounds, 1) * n,
        serial_bytes=rounds * n,
        serial_reduced=rounds * n,
    )


def tree_all_reduce(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.tree.all_reduce`: up the tree and down again.

    Rank 1 sends once on the way up and in every round but the first on the way down,
    so it sends as much as the root.
    """
    up, down = tree_reduce(p, count, item), tree_broadcast(p, count, item)
    return Cost(
        rounds=up.rounds + down.rounds,
        bytes_sent=down.bytes_sent,
        serial_bytes=up.serial_bytes + down.serial_bytes,
        serial_reduced=up.serial_reduced,
    )


def ring_reduce_scatter(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.ring.reduce_scatter`: a chunk in every round."""
    moved = (p - 1) * ring_chunk(p, count) * item
    return Cost(
        rounds=p - 1, bytes_sent=moved, serial_bytes=moved, serial_reduced=moved
    )


def ring_all_gather(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.ring.all_gather` of p chunks, `count` in all."""
    moved = (p - 1) * ring_chunk(p, count) * item
    return Cost(rounds=p - 1, bytes_sent=moved, serial_bytes=moved)


def ring_all_reduce(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.ring.all_reduce`, 2 (p - 1) / p n bytes.

    The count is exact also where p does not divide it: chunks are rounded up.
    """
    return ring_reduce_scatter(p, count, item) + ring_all_gather(p, count, item)
