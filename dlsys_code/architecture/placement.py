"""Where the servers and the workers are, and which server holds which key.

The three placements of this chapter, for p workers::

    apart          s servers of their own, on ranks 0 to s - 1, then the workers
    on_rank_0      rank 0 serves all keys and works too
    on_all_ranks   every rank serves its share of the keys and works

Keys are dealt largest first, each to the server with the least so far.  The busiest of
s servers then has at most 4/3 - 1/(3 s) times what the best dealing would leave it; of
as many ranges as servers every server has one.

Sources: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014; R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM Journal on
Applied Mathematics 17 (1969) 416-429.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch.distributed import ProcessGroup

from dlsys_code.architecture.keys import Keys


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Who serves which keys and who works.  Ranks are those of a group.

    server_of: the rank that serves each key.  dtype: of the values of all keys.
    """

    keys: Keys
    server_of: Mapping[str, int]
    workers: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    @property
    def servers(self) -> tuple[int, ...]:
        """The ranks that serve a key."""
        return tuple(sorted(set(self.server_of.values())))

    @property
    def ranks(self) -> int:
        """How many ranks a group needs."""
        return 1 + max(*self.servers, *self.workers)

    def served_by(self, rank: int) -> Keys:
        """Return the keys that a rank serves, in the order of all."""
        return {k: r for k, r in self.keys.items() if self.server_of[k] == rank}

    def rounds(self) -> list[dict[int, int]]:
        """Return who meets whom, as {server: worker}, every pair of two ranks once.

        In a round a rank meets one worker and one server at most.
        """
        ranks, servers, workers = self.ranks, self.servers, set(self.workers)
        meets = []
        for distance in range(1, ranks):
            pairs = {s: (s + distance) % ranks for s in servers}
            meets.append({s: w for s, w in pairs.items() if w in workers})
        return meets

    def check_group(self, group: ProcessGroup) -> None:
        """Raise ValueError when a group has fewer ranks than the placement."""
        if group.size() < self.ranks:
            raise ValueError(
                f"{len(self.servers)} servers and {len(self.workers)} workers on ranks "
                f"0 to {self.ranks - 1} need {self.ranks} ranks, not {group.size()}"
            )


def dealt(keys: Keys, servers: Iterable[int]) -> dict[str, int]:
    """Return the server of each key: the largest first, to the least loaded.

    Errors: ValueError when there are more servers than keys, or none.
    """
    load = Counter(dict.fromkeys(servers, 0))
    number = Counter(dict.fromkeys(load, 0))  # of keys, which may have no elements
    if not 1 <= len(load) <= len(keys):
        raise ValueError(f"{len(load)} servers cannot share {len(keys)} keys")
    server_of = {}
    for key in sorted(keys, key=lambda key: -len(keys[key])):
        server = min(load, key=lambda rank: (load[rank], number[rank], rank))
        server_of[key] = server
        load[server] += len(keys[key])
        number[server] += 1
    return server_of


def placed(
    keys: Keys, servers: range, workers: range, *, dtype: torch.dtype
) -> Placement:
    """Return a placement on the given ranks, its keys dealt to the servers.

    Errors: ValueError when there is no worker, or not one key for each server.
    """
    if not workers:
        raise ValueError(f"{len(servers)} servers need at least 1 worker, not 0")
    return Placement(
        keys=keys, server_of=dealt(keys, servers), workers=tuple(workers), dtype=dtype
    )


def apart(
    keys: Keys, *, servers: int, workers: int, dtype: torch.dtype = torch.float32
) -> Placement:
    """Return the placement with ranks that only serve, then ranks that only work."""
    ranks = servers + workers
    return placed(keys, range(servers), range(servers, ranks), dtype=dtype)


def on_rank_0(keys: Keys, p: int, *, dtype: torch.dtype = torch.float32) -> Placement:
    """Return the placement of p workers of which rank 0 also serves all keys."""
    return placed(keys, range(1), range(p), dtype=dtype)


def on_all_ranks(
    keys: Keys, p: int, *, dtype: torch.dtype = torch.float32
) -> Placement:
    """Return the placement of p workers which all serve a share of the keys."""
    return placed(keys, range(p), range(p), dtype=dtype)
