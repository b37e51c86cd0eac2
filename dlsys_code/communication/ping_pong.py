"""Ping-pong: how long a message is under way from one rank to another.

The clocks of two machines differ by more than a message takes, so one clock times the
way there and back::

    first     send ---->                     ----> receive      round trip / 2
    second               receive, send back

Every round sends every size once, in an order that is shuffled anew, so that a slow
second does not fall on one size.  The first rounds are not counted: connections open,
the windows of TCP grow, caches fill.

A round trip sees one message at a time, in one direction, on a link that nobody else
uses.  Both directions at once, several messages on their way or other pairs of ranks
may cost more.

Sources: T. Hoefler and R. Belli, "Scientific benchmarking of parallel computing
systems", SC15 (2015); torch.cuda, "Asynchronous execution".
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.world import World
from dlsys_code.world.point_to_point import start_receive_, start_send

SIZES = tuple(4**i for i in range(1, 13))  # 4 B to 16 MiB
WARM_UP = 3  # rounds


@dataclass(frozen=True, kw_only=True)
class Rally:
    """What is sent to and fro.

    sizes: bytes.  pair: the two ranks.  seed: of the order of the sizes.
    Errors: ValueError when nothing would be sent, or a rank would send to itself.
    """

    sizes: Sequence[int] = SIZES
    rounds: int = 30
    pair: tuple[int, int] = (0, 1)
    seed: int = 0

    def __post_init__(self):
        if min(self.sizes, default=0) < 1 or self.rounds < 1:
            raise ValueError(
                f"{self.rounds} rounds of {list(self.sizes)} B: there is at least one "
                "round and one size, and a message has at least 1 B"
            )
        if len(set(self.sizes)) < len(self.sizes):
            raise ValueError(f"a size is named twice: {list(self.sizes)} B")
        if len(set(self.pair)) != 2 or min(self.pair) < 0:
            raise ValueError(f"a pair is two ranks, not {self.pair}")


def ping_pong(world: World, rally: Rally) -> dict[int, list[float]]:
    """Return the one-way seconds of every round, by size.

    The transport of the world is timed; what a World notes of every call is left out.
    Errors: ValueError when the world lacks a rank of the pair.
    """
    if max(rally.pair) >= world.ranks:
        raise ValueError(f"{world.ranks} ranks have no pair {rally.pair}")
    return world(play, rally, world.device)[rally.pair[0]]


def play(rally: Rally, device: str, watched: bool = False) -> dict[int, list[float]]:
    """Play on this rank.  watched: in a trace, the messages are to be seen."""
    everyone = dist.group.WORLD
    return bounce(everyone if watched else transport_of(everyone), rally, device)


def transport_of(group: ProcessGroup) -> ProcessGroup:
    """Return what carries the messages of a group, below its notes if it has any."""
    return getattr(group, "inner", group)


def bounce(group: ProcessGroup, rally: Rally, device: str) -> dict[int, list[float]]:
    """Return this rank's one-way seconds of every round, by size.

    Ranks outside of the pair do nothing and return nothing.
    """
    if group.rank() not in rally.pair:
        return {}
    first, second = rally.pair
    begins = group.rank() == first
    peer = second if begins else first
    shuffled = random.Random(rally.seed)  # the same order on both ranks
    turns = (send, receive) if begins else (receive, send)
    messages = {n: torch.ones(n, dtype=torch.uint8, device=device) for n in rally.sizes}
    times: dict[int, list[float]] = {n: [] for n in rally.sizes}
    for number in range(WARM_UP + rally.rounds):
        for n in shuffled.sample(rally.sizes, len(rally.sizes)):
            start_s = time.perf_counter()
            for turn in turns:
                turn(messages[n], group, peer)
            wait_for(device)
            if number >= WARM_UP:
                times[n].append((time.perf_counter() - start_s) / 2)
    return times


def send(x: Tensor, group: ProcessGroup, peer: int) -> None:
    """Hand x to the peer."""
    start_send(x, group, to=peer).wait()


def receive(x: Tensor, group: ProcessGroup, peer: int) -> None:
    """Receive into x: memory that is new each time would be timed as well."""
    start_receive_(x, group, source=peer).wait()


def wait_for(device: str) -> None:
    """Return when the GPU has done all it was given; on the CPU, at once.

    Calls for a GPU return when they are queued.  Written from the documentation of
    torch.cuda.synchronize, not run: no pair of GPUs was at hand.
    """
    if device == "cuda":
        torch.cuda.synchronize()
