"""What a parameter server moves in a step: every message, and the busiest rank's bytes.

In a step every worker gets all keys and hands all in, but for those that it serves
itself.  A rank that serves l of n bytes to p workers so sends::

    as a worker    n - l            gradients
    as a server    l (p - 1)        weights, if it works too
                   l p              if it only serves

and receives as much.  For the placements, in elements, with k = ceil(count / s)::

    one server apart       p count                    grows with the workers
    rank 0                 (p - 1) count              grows too
    s servers apart        max(p k, count)            falls, till a worker is busiest
    all p ranks, s = p     count + (p - 2) k          2 (p - 1)/p count where p divides

The last is what each rank of a ring sends in an all-reduce.  So the objection to a
parameter server is one to a single server; what differs is the pattern: here every rank
talks to every other, in the ring to its neighbours only.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014.
"""

from dlsys_code.architecture.keys import elements
from dlsys_code.architecture.placement import Placement
from dlsys_code.world import Message


def bytes_sent(placement: Placement) -> list[int]:
    """Return the bytes that each rank sends in a step; it receives as many."""
    item, count = placement.dtype.itemsize, elements(placement.keys)
    sent = []
    for rank in range(placement.ranks):
        served, works = elements(placement.served_by(rank)), rank in placement.workers
        pushed = (count - served) * works
        sent.append(item * (pushed + served * (len(placement.workers) - works)))
    return sent


def busiest_apart(servers: int, workers: int, count: int, item: int) -> int:
    """Return the most bytes that a rank sends: servers of their own, equal ranges."""
    return max(workers * longest(count, servers), count) * item


def busiest_on_rank_0(p: int, count: int, item: int) -> int:
    """Return the most bytes that a rank sends: rank 0 serves and works."""
    return (p - 1) * count * item


def busiest_on_all_ranks(p: int, count: int, item: int) -> int:
    """Return the most bytes that a rank sends: all serve equal ranges and work."""
    return (count + (p - 2) * longest(count, p)) * item


def longest(count: int, pieces: int) -> int:
    """Return the elements of the longest of some ranges as equal as can be.

    Errors: ValueError when there is not one element for each.
    """
    if not 1 <= pieces <= count:
        raise ValueError(f"{count} elements cannot be cut into {pieces} ranges")
    return -(-count // pieces)


def messages(placement: Placement, *, steps: int = 1) -> list[Message]:
    """Return the messages of some training steps, a pull and a push each.

    A message has the first step of `Message` in which both of its ranks are free.
    """
    item = placement.dtype.itemsize
    size = {s: elements(placement.served_by(s)) * item for s in placement.servers}
    meets = [list(pairs.items()) for pairs in placement.rounds()]
    pulls = [[(s, w, size[s]) for s, w in pairs] for pairs in meets]
    pushes = [[(w, s, size[s]) for s, w in pairs] for pairs in meets]
    free = [0] * placement.ranks  # the first step in which a rank has nothing to do
    plan = []
    for together in (pulls + pushes) * steps:
        now = [Message(max(free[a], free[b]), a, b, n) for a, b, n in together]
        for step, source, destination, _ in now:
            free[source] = max(free[source], step + 1)
            free[destination] = max(free[destination], step + 1)
        plan += now
    return sorted(plan)
