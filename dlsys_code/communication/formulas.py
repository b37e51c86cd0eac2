"""The exact cost of every algorithm of chapter 4 beyond ring and tree.

The same whole numbers as in `cost`, and the same arguments: p ranks and `count`
elements of `item` bytes on each of them, before or after the collective, whichever is
more.  Where an algorithm cuts `count` into equal chunks, a chunk is rounded up.

Tests hold each formula against the messages of real runs and against the plan.  The
sources stand in the modules of `dlsys_code.primitive`.
"""

from dlsys_code.communication.cost import (
    Cost,
    ring_all_gather,
    ring_all_reduce,
    ring_chunk,
    tree_rounds,
)


def core_ranks(p: int) -> int:
    """Return the largest power of two up to p.

    Errors: ValueError when p is less than 1.
    """
    if p < 1:
        raise ValueError(f"a group has at least 1 rank, not {p}")
    return 1 << (p.bit_length() - 1)


def core_distances(p: int) -> list[int]:
    """Return [1, 2, 4, ...] below `core_ranks`: who exchanges in a recursive doubling.

    Errors: ValueError when p is less than 1.
    """
    return [2**step for step in range(tree_rounds(core_ranks(p)))]


def doubling_all_reduce(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.doubling.all_reduce`: all of n in every round.

    A rank of the core that has a neighbour to fold in sends once more, to hand out.
    """
    n, extra = count * item, p - core_ranks(p)
    doublings, folds = len(core_distances(p)), min(extra, 1)
    return Cost(
        rounds=doublings + 2 * folds,
        bytes_sent=(doublings + folds) * n,
        serial_bytes=(doublings + 2 * folds) * n,
        serial_reduced=(doublings + folds) * n,
    )


def doubling_all_gather(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.doubling.all_gather` of p chunks, `count` in all.

    The block of d places around place 0 has the most ranks behind it.
    """
    row, extra = ring_chunk(p, count) * item, p - core_ranks(p)
    distances, folds = core_distances(p), min(extra, 1)
    moved = sum(d + min(d, extra) for d in distances) * row
    return Cost(
        rounds=len(distances) + 2 * folds,
        bytes_sent=moved + folds * p * row,
        serial_bytes=moved + folds * (p + 1) * row,
    )


def halving_all_reduce(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.halving.all_reduce`: that of a ring, sooner."""
    q, n = core_ranks(p), count * item
    doublings, folds = len(core_distances(p)), min(p - q, 1)
    moved = (q - 1) * ring_chunk(q, count) * item
    return Cost(
        rounds=2 * doublings + 2 * folds,
        bytes_sent=2 * moved + folds * n,
        serial_bytes=2 * moved + 2 * folds * n,
        serial_reduced=moved + folds * n,
    )


def tree_scatter(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.rooted.scatter` of p chunks, `count` in all."""
    moved = (p - 1) * ring_chunk(p, count) * item
    return Cost(rounds=tree_rounds(p), bytes_sent=moved, serial_bytes=moved)


def tree_gather(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.rooted.gather` of p chunks, `count` in all.

    The root receives what it sends in a scatter; the busiest sender hands in the chunks
    of all that came through it.
    """
    chunk = ring_chunk(p, count) * item
    handed_in = (min(2**step, p - 2**step) for step in range(tree_rounds(p)))
    return Cost(
        rounds=tree_rounds(p),
        bytes_sent=max(handed_in, default=0) * chunk,
        serial_bytes=(p - 1) * chunk,
    )


def scatter_allgather_broadcast(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.rooted.broadcast`: the root sends in both parts."""
    return tree_scatter(p, count, item) + ring_all_gather(p, count, item)


def pairwise_all_to_all(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.exchange.pairwise` with p equal chunks."""
    moved = (p - 1) * ring_chunk(p, count) * item
    return Cost(rounds=p - 1, bytes_sent=moved, serial_bytes=moved)


def bruck_all_to_all(p: int, count: int, item: int) -> Cost:
    """Return the cost of `primitive.exchange.bruck` with p equal chunks.

    A chunk that has d places to go is sent once for every 1 among the bits of d.
    """
    sent = sum(distance.bit_count() for distance in range(p))
    moved = sent * ring_chunk(p, count) * item
    return Cost(rounds=tree_rounds(p), bytes_sent=moved, serial_bytes=moved)


def hierarchical_all_reduce(
    inner: int, outer: int, count: int, item: int
) -> tuple[Cost, Cost]:
    """Return the costs of `primitive.hierarchical.all_reduce`, inside and across.

    inner, outer: how many ranks a group of either level has.  The rounds of one level
    come between those of the other, so prices and bytes add up.
    """
    chunk = ring_chunk(inner, count)
    return ring_all_reduce(inner, count, item), ring_all_reduce(outer, chunk, item)


def dissemination_barrier(p: int) -> Cost:
    """Return the cost of `primitive.barrier.barrier`: a byte in every round."""
    rounds = tree_rounds(p)
    return Cost(rounds=rounds, bytes_sent=rounds, serial_bytes=rounds)


def double_tree_bytes_sent(p: int, count: int, item: int, segments: int) -> int:
    """Return the bytes that the busiest rank of `primitive.double_tree` sends: 2 n.

    Of every segment it sends one sum up and two totals down where it is inside, and
    one sum up where it is a leaf; three ranks and two have less of a tree.  There is no
    formula for the rounds: they are counted from the plan.
    """
    messages = min(p, 4) if p > 1 else 0
    return messages * segments * ring_chunk(2 * segments, count) * item
