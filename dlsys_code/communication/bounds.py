"""What no algorithm can beat: lower bounds on the cost of each collective.

For p ranks that send one message and receive one at a time, each number by itself::

    rounds           what a rank knows at most doubles in a round: ceil(log2 p) to or
                     from all
    bytes_sent       what the busiest rank must send
    serial_bytes     what some rank must send, or must receive, at least
    serial_reduced   p n bytes become n by (p - 1) n bytes of adding, shared by p ranks

An algorithm that has the fewest rounds need not have the fewest bytes: a tree has the
one, a ring the other.  `count` elements of `item` bytes are counted as in `cost`: in a
scatter, gather, all-gather, reduce-scatter or all-to-all they are p equal chunks,
rounded up.

Sources: E. Chan, M. Heimlich, A. Purkayastha and R. van de Geijn, "Collective
communication: theory, practice, and experience", Concurrency and Computation: Practice
and Experience 19 (2007) 1749-1783, Table 1; P. Patarasuk and X. Yuan, "Bandwidth
optimal all-reduce algorithms for clusters of workstations", J. Parallel Distrib.
Comput. 69 (2009) 117-124.
"""

from dlsys_code.communication.cost import Cost, ring_chunk, tree_rounds


def broadcast(p: int, count: int, item: int) -> Cost:
    """Return the least cost of a broadcast: every byte leaves the root once."""
    n = min(p - 1, 1) * count * item
    return Cost(rounds=tree_rounds(p), bytes_sent=n, serial_bytes=n)


def reduce(p: int, count: int, item: int) -> Cost:
    """Return the least cost of a reduce: a value leaves every rank but the root."""
    n = min(p - 1, 1) * count * item
    return Cost(
        rounds=tree_rounds(p),
        bytes_sent=n,
        serial_bytes=n,
        serial_reduced=ring_chunk(p, (p - 1) * count) * item,
    )


def scatter(p: int, count: int, item: int) -> Cost:
    """Return the least cost of a scatter: all chunks but its own leave the root."""
    moved = (p - 1) * ring_chunk(p, count) * item
    return Cost(rounds=tree_rounds(p), bytes_sent=moved, serial_bytes=moved)


def gather(p: int, count: int, item: int) -> Cost:
    """Return the least cost of a gather: the root receives all chunks but its own."""
    chunk = ring_chunk(p, count) * item
    return Cost(
        rounds=tree_rounds(p),
        bytes_sent=min(p - 1, 1) * chunk,
        serial_bytes=(p - 1) * chunk,
    )


def all_gather(p: int, count: int, item: int) -> Cost:
    """Return the least cost of an all-gather: p - 1 chunks reach every rank."""
    return scatter(p, count, item)


def reduce_scatter(p: int, count: int, item: int) -> Cost:
    """Return the least cost of a reduce-scatter: an all-gather that also adds."""
    moved = (p - 1) * ring_chunk(p, count) * item
    return Cost(
        rounds=tree_rounds(p),
        bytes_sent=moved,
        serial_bytes=moved,
        serial_reduced=moved,
    )


def all_reduce(p: int, count: int, item: int) -> Cost:
    """Return the least cost of an all-reduce: 2 (p - 1)/p n bytes.

    p - 1 values of every element must meet in one place, and p - 1 must leave it:
    2 (p - 1) n bytes that p ranks send.  Elements stay whole.
    """
    moved = ring_chunk(p, 2 * (p - 1) * count) * item
    return Cost(
        rounds=tree_rounds(p),
        bytes_sent=moved,
        serial_bytes=moved,
        serial_reduced=ring_chunk(p, (p - 1) * count) * item,
    )


def all_to_all(p: int, count: int, item: int) -> Cost:
    """Return the least cost of an all-to-all: a rank's chunks all leave but its own."""
    return scatter(p, count, item)


def barrier(p: int) -> Cost:
    """Return the least cost of a barrier: every rank must hear of all, of no bytes."""
    return Cost(rounds=tree_rounds(p), bytes_sent=0, serial_bytes=0)
