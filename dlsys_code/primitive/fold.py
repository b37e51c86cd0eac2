"""Any number of ranks, for algorithms that want a power of two.

Let q = 2^k be the largest power of two up to p.  The p - q ranks too many hand their
values to a neighbour, wait, and get the result from it; the other q ranks, the core,
work among themselves.  With p = 6::

    rank    0 <-- 1   2 <-- 3   4   5      first step: the neighbour adds up
    place   0         1         2   3      the core of q = 4 works
    rank    0 --> 1   2 --> 3   4   5      last step: the neighbour hands out

For p = q nothing is folded.  Otherwise it costs two more steps, each with everything
that a rank has to give: for p = 9 a good part of the whole time.

Source: R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of collective
communication operations in MPICH", Int. J. High Performance Computing Applications 19
(2005) 49-66.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.formulas import core_ranks
from dlsys_code.communication.plan import in_turn
from dlsys_code.world.point_to_point import receive, send
from dlsys_code.world.trace import Message


class Core(NamedTuple):
    """A rank's view of the core: q places, this rank's own, and p ranks around."""

    q: int
    place: int
    p: int

    def peer(self, distance: int) -> int:
        """Return the rank whose place differs from this one in one bit, `distance`."""
        return rank_of_place(self.place ^ distance, self.p)


def rank_of_place(place: int, p: int) -> int:
    """Return the rank at a place of the core; at place q it is p, the end."""
    return place + min(place, p - core_ranks(p))


def place_in_fold(r: int, p: int) -> tuple[Core, bool]:
    """Return the core as rank r sees it, and whether the rank has a neighbour to fold.

    Of two neighbours the odd one stays outside: the core is seen from the even one.
    """
    q = core_ranks(p)
    paired = r < 2 * (p - q)
    return Core(q, r // 2 if paired else r - (p - q), p), paired


def fold(
    x: Tensor,
    group: ProcessGroup,
    *,
    join: Callable[[Tensor, Tensor], Tensor],
    among: Callable[[Tensor, Core], Tensor],
    like: Tensor,
) -> Tensor:
    """Run `among` on the core and return its result on every rank.

    x: alike on every rank.  join: makes one value of the neighbours' two, the left one
    first.  among: what the core does.  like: of the result's shape and dtype.
    """
    r = group.rank()
    core, paired = place_in_fold(r, group.size())
    if paired and r % 2:
        send(x, group, to=r - 1)
        return receive(like, group, source=r - 1)
    if paired:
        x = join(x, receive(x, group, source=r + 1))
    result = among(x, core)
    if paired:
        send(result, group, to=r + 1)
    return result


def fold_messages(
    p: int, hops: Sequence[tuple[int, Sequence[int]]], *, first: int, last: int
) -> list[Message]:
    """Return the messages of a folded algorithm.

    hops: for each step of the core, the distance of the places that exchange and the
    bytes that each place sends.  first, last: the bytes into the core and out of it.
    """
    pairs = range(p - core_ranks(p))
    core = [
        Message(step, rank_of_place(place, p), rank_of_place(place ^ distance, p), n)
        for step, (distance, sizes) in enumerate(hops)
        for place, n in enumerate(sizes)
    ]
    return in_turn(
        [Message(0, 2 * i + 1, 2 * i, first) for i in pairs],
        core,
        [Message(0, 2 * i, 2 * i + 1, last) for i in pairs],
    )
