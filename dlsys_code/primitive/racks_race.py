"""All-reduces on racks, timed; and the links below them, as ping-pongs measure them.

The ranks of an emulated cluster live on one machine and read the same clock, so a run
lasts from the last start to the last end.  `calibrate` measures what the model needs:
three links, and what all ranks cost each other when they send at once.  It takes some
seconds, most of them for large messages over the spine.

Source: T. Hoefler and R. Belli, "Scientific benchmarking of parallel computing
systems", SC15 (2015).
"""

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.communication.ping_pong import Rally, play
from dlsys_code.communication.wiring import Measured, Plan
from dlsys_code.introduction.units import KiB, MiB
from dlsys_code.primitive.racks import ITEM, RACERS, AllReduce, racks_of
from dlsys_code.world import World, control, shift

SMALL, LARGE = 1 * KiB, 256 * KiB  # a message that is all latency, and one that is not
LAPS = 5  # turns between two looks at the clock
Span = tuple[float, float]  # when a run began and when it ended [s]


def race(
    world: World, plan: Plan, sizes: Sequence[int], repeats: int
) -> dict[str, dict[int, list[float]]]:
    """Return the seconds of every repeat, by racer, then by size [bytes].

    All ranks start from a barrier; a run lasts until the last of them is ready.
    """
    return {
        name: longest(world(laps, racer.join, plan, sizes, repeats))
        for name, racer in RACERS.items()
    }


def laps(
    join: Callable[[Plan], AllReduce], plan: Plan, sizes: Sequence[int], repeats: int
) -> dict[int, list[Span]]:
    """Return when this rank started and ended each run.

    The very first, which opens connections, is not counted.
    """
    all_reduce = join(plan)
    times: dict[int, list[Span]] = {n: [] for n in sizes}
    all_reduce(torch.ones(sizes[0] // ITEM))
    for size in sizes:
        x = torch.ones(size // ITEM)
        for _ in range(repeats):
            dist.barrier()
            with control.off():  # what ranks ask before a call is no part of it
                start_s = time.perf_counter()
                all_reduce(x)
                times[size].append((start_s, time.perf_counter()))
    return times


def longest(of_ranks: Sequence[dict[int, list[Span]]]) -> dict[int, list[float]]:
    """Return by size the time from the last start to the last end of every run."""
    return {
        size: [
            max(end for _, end in run) - max(start for start, _ in run)
            for run in zip(*(ranks[size] for ranks in of_ranks), strict=True)
        ]
        for size in of_ranks[0]
    }


def shifts_in_racks(plan: Plan) -> AllReduce:
    """Return `LAPS` turns of every rack's circle: all ranks send at once."""
    racks = racks_of(plan)
    groups = [dist.new_group(list(ranks)) for ranks in racks]
    mine = groups[dist.get_rank() // len(racks[0])]

    def turn(x: Tensor) -> Tensor:
        for _ in range(LAPS):
            x = shift(x, mine)
        return x

    return turn


def calibrate(world: World, plan: Plan, rounds: int = 5) -> Measured:
    """Return the links of a cluster, measured by ping-pong.

    Alpha is the time of a small message.  Beta is what 3/4 of a large message take, so
    that the bytes that a full bucket lets pass cancel.  What all ranks cost each other
    is the same twice: the time of a step in which every rank sends to its neighbour in
    the rack, less that of a ping-pong.
    Errors: ValueError when some way does not exist: fewer than 2 racks, hosts or ranks.
    """
    if min(plan.racks, plan.hosts, plan.ranks) < 2:
        raise ValueError(
            f"{plan.racks} racks of {plan.hosts} hosts of {plan.ranks} ranks: to "
            "measure in a host, in a rack and between racks takes 2 of each"
        )
    rack = plan.hosts * plan.ranks
    ways = {"host": (1, 4 * MiB), "rack": (plan.ranks, MiB), "spine": (rack, 256 * KiB)}
    links = {
        way: measure(world, (0, peer), large, rounds)
        for way, (peer, large) in ways.items()
    }
    sizes = (SMALL, LARGE)
    together = longest(world(laps, shifts_in_racks, plan, sizes, 2 * rounds))
    more = [
        median(together[n]) / LAPS - transfer_time_s(n, links["rack"]) for n in sizes
    ]
    return Measured(
        **links,
        crowd_s=max(0.0, more[0]),
        crowd_s_per_byte=max(0.0, more[1] - more[0]) / (LARGE - SMALL),
    )


def measure(world: World, pair: tuple[int, int], large: int, rounds: int) -> Link:
    """Return the link between two ranks; times that scatter give it 1 us at least."""
    sizes = (SMALL, large // 4, large)
    rally = Rally(sizes=sizes, rounds=rounds, pair=pair)
    times = world(play, rally, world.device, True)[pair[0]]  # noted, as in a program
    alpha, part, whole = (median(times[n]) for n in sizes)
    return Link(latency_s=alpha, bandwidth=0.75 * large / max(whole - part, 1e-6))
