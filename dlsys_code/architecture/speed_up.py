"""How far a layout can speed training up: what a step asks of the network, counted.

With p workers, in units of n, the bytes of all weights, one training step has::

                     one server   rank 0      sharded       ring
    bytes sent       p            p - 1       2 (p - 1)/p   2 (p - 1)/p
    bytes in turn    2 p          2 (p - 1)   2 (p - 1)/p   2 (p - 1)/p
    messages sent    p            p - 1       2 (p - 1)     2 (p - 1)
    partners         p            p - 1       p - 1         1
    chain            2            2           2             2 (p - 1)
    across           p / 2        p / 2       p / 2         2 (p - 1)/p

The first four are those of the busiest rank; it sends its messages to its partners.
In turn: what it sends and receives at the same time counts once; a single server first
sends all weights and later receives all gradients.  The chain is the longest one of
messages of which each carries what the one before has brought.  Across: from one half
of the workers to the other, for an even p; sharing the keys saves nothing there.
Nothing overlaps with computing here, so that the messages come on top of it::

    efficiency <= compute / (compute + bytes in turn + chain x alpha)

all in units of the time that n bytes take.  It is a bound: more partners than a rank
can talk to at once, and halves with narrow links between them, cost more.

Sources: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014; P. Patarasuk and X. Yuan, J. Parallel Distrib. Comput. 69 (2009) 117-124.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

Move = tuple[int, int, int, frozenset[int]]  # source, destination, chunk, shares


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one training step asks of the busiest rank and of the network.

    bytes_sent, bytes_in_turn, across: in units of n, the bytes of all weights.
    """

    bytes_sent: Fraction
    bytes_in_turn: Fraction
    messages: int
    partners: int
    chain: int
    across: Fraction


def one_server(p: int) -> Load:
    """Return the load of a server on a rank of its own.  p: workers."""
    return _hub(p, served=some(p))


def rank_0(p: int) -> Load:
    """Return the load where rank 0 of p serves all keys and works too."""
    return _hub(p, served=some(p) - 1)


def sharded(p: int) -> Load:
    """Return the load where each of p ranks serves an equal share and works."""
    moved, others = Fraction(2 * (p - 1), some(p)), p - 1
    return Load(
        bytes_sent=moved,
        bytes_in_turn=moved,
        messages=2 * others,
        partners=others,
        chain=2 * (p > 1),
        across=Fraction(p, 2) * (p > 1),
    )


def ring(p: int) -> Load:
    """Return the load of a ring all-reduce of p ranks, in the order of its halves."""
    moved, others = Fraction(2 * (p - 1), some(p)), p - 1
    return Load(
        bytes_sent=moved,
        bytes_in_turn=moved,
        messages=2 * others,
        partners=min(others, 1),
        chain=2 * others,
        across=moved,
    )


LAYOUTS = {"one server": one_server, "rank 0": rank_0, "sharded": sharded, "ring": ring}


def efficiency(load: Load, *, compute: float, alpha: float = 0.0) -> float:
    """Return a bound on the share of a step in which the ranks compute.

    compute: of one rank in a step; alpha: of one message; both in units of the time
    that n bytes take.  With `compute` the same for every p it is weak scaling.
    Errors: ValueError when a rank computes nothing, or alpha is negative.
    """
    if compute <= 0 or alpha < 0:
        raise ValueError(
            "a bound needs a compute above 0 and an alpha of at least 0, "
            f"not {compute} and {alpha}"
        )
    return compute / (compute + float(load.bytes_in_turn) + load.chain * alpha)


def longest_chain(rounds: Mapping[int, Iterable[Move]]) -> int:
    """Return the most messages of which each carries what the one before brought.

    rounds: what moved in each; a chunk that is passed on waits for its last arrival.
    """
    behind: Counter[tuple[int, int]] = Counter()  # (rank, chunk) -> messages so far
    for number in sorted(rounds):
        now = [(to, c, behind[source, c] + 1) for source, to, c, _ in rounds[number]]
        for to, chunk, length in now:
            behind[to, chunk] = max(behind[to, chunk], length)
    return max(behind.values(), default=0)


def some(p: int) -> int:
    """Return p, the number of workers.  Errors: ValueError when there is none."""
    if p < 1:
        raise ValueError(f"a layout needs at least 1 worker, not {p}")
    return p


def _hub(p: int, *, served: int) -> Load:
    return Load(
        bytes_sent=Fraction(served),
        bytes_in_turn=Fraction(2 * served),
        messages=served,
        partners=served,
        chain=2 * (served > 0),
        across=Fraction(p, 2) * (served > 0),
    )
