"""All-reduce on a cluster with racks: what the network makes of each algorithm.

Five ways to the same sum, on hosts whose racks are joined by slower links::

    ring                 in rank order: the circle crosses the spine twice
    ring, mixed          neighbours in different racks: every message crosses it
    hierarchical         rings inside the racks, rings across with a part of the bytes
    tree                 in rank order: four whole messages cross at once, up and down
    tree, mixed          the last two to add up are in different racks: one crosses

Mixed order takes a rank of each rack in turn.  `predict` simulates the plan of each on
the cluster as ping-pongs have measured it; `race` runs them on the ranks themselves.

Sources: those of `ring`, `hierarchical` and `tree`; the model is that of `timeline`.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from math import inf
from statistics import median

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.communication.ping_pong import Rally, play
from dlsys_code.communication.plan import on_ranks
from dlsys_code.communication.shaping import burst
from dlsys_code.communication.timeline import simulate
from dlsys_code.communication.wiring import Measured, Plan
from dlsys_code.introduction.units import KiB, MiB
from dlsys_code.primitive import hierarchical, ring, tree
from dlsys_code.world import Message, World, control, shift

ITEM = 4  # bytes of a float32
SMALL, LARGE = 1 * KiB, 256 * KiB  # a message that is all latency, and one that is not
LAPS = 5  # turns between two looks at the clock
AllReduce = Callable[[Tensor], Tensor]


def racks_of(plan: Plan) -> list[list[int]]:
    """Return the ranks of every rack."""
    size = plan.hosts * plan.ranks
    return [list(range(i * size, (i + 1) * size)) for i in range(plan.racks)]


def mixed(plan: Plan) -> list[int]:
    """Return all ranks, one of each rack in turn."""
    return list(chain.from_iterable(zip(*racks_of(plan), strict=True)))


def in_order(order: Sequence[int] | None) -> dist.ProcessGroup:
    """Return a group of all ranks, in that order if there is one."""
    if order is None:
        return dist.group.WORLD
    return dist.new_group(list(order), sort_ranks=False)


def on_two_levels(plan: Plan) -> AllReduce:
    """Return this rank's hierarchical all-reduce: racks inside, columns across."""
    racks, rank = racks_of(plan), dist.get_rank()
    columns = zip(*racks, strict=True)
    inner, outer = (
        [dist.new_group(list(ranks)) for ranks in groups] for groups in (racks, columns)
    )
    inside, across = inner[rank // len(racks[0])], outer[rank % len(racks[0])]
    return lambda x: hierarchical.all_reduce(x, inside, across)


@dataclass(frozen=True, kw_only=True)
class Racer:
    """One way to the sum.

    join: called on every rank, returns its all-reduce.  plan: its messages, for a
    cluster and a count of elements.
    """

    join: Callable[[Plan], AllReduce]
    messages: Callable[[Plan, int], list[Message]]


def alike(
    all_reduce: Callable[[Tensor, dist.ProcessGroup], Tensor],
    messages: Callable[[int, int, int], list[Message]],
    order: Callable[[Plan], list[int]] | None = None,
) -> Racer:
    """Return a racer whose ranks are all of one group, in some order."""

    def join(plan: Plan) -> AllReduce:
        group = in_order(order and order(plan))
        return lambda x: all_reduce(x, group)

    def planned(plan: Plan, count: int) -> list[Message]:
        p = plan.racks * plan.hosts * plan.ranks
        return on_ranks(order(plan) if order else range(p), messages(p, count, ITEM))

    return Racer(join=join, messages=planned)


RACERS = {
    "ring": alike(ring.all_reduce, ring.all_reduce_messages),
    "ring, mixed": alike(ring.all_reduce, ring.all_reduce_messages, mixed),
    "hierarchical": Racer(
        join=on_two_levels,
        messages=lambda plan, count: hierarchical.all_reduce_messages(
            racks_of(plan), count, ITEM
        ),
    ),
    "tree": alike(tree.all_reduce, tree.all_reduce_messages),
    "tree, mixed": alike(tree.all_reduce, tree.all_reduce_messages, mixed),
}


def predict(name: str, plan: Plan, measured: Measured, size: int) -> float:
    """Return what one all-reduce of `size` bytes should take [s].

    The network's part is simulated; the machine's, see `corrections`, is added.
    """
    messages = RACERS[name].messages(plan, size // ITEM)
    network_s = simulate(messages, plan.graph(measured)).finish_s
    return network_s + sum(corrections(messages, plan, measured))


def corrections(
    messages: Sequence[Message], plan: Plan, measured: Measured
) -> Iterator[float]:
    """Yield for every step what crowding adds, less what a full bucket spares [s].

    All ranks share the cores of this machine, and the ping-pong saw two of them: with
    all of them sending a step takes `crowd_s` longer, and `crowd_s_per_byte` for each
    byte of a rank; with fewer, a part of it.  And the spine gathers tokens while it
    rests, so that the first bytes pass at once; a pause of the time that it takes to
    fill the bucket is the most that can be made up for.
    """
    ranks, rack = plan.racks * plan.hosts * plan.ranks, plan.hosts * plan.ranks
    full_s = burst(plan.spine_bandwidth) / plan.spine_bandwidth
    rested_s = inf
    for _, sent in groupby(sorted(messages), key=lambda message: message.step):
        way = Counter[bool]()  # bytes to the second half of the racks, and to the first
        sent = list(sent)
        for _, source, destination, n in sent:
            if source // rack != destination // rack:
                way[source < destination] += n
        crowd_s = (len(sent) - 1) / max(1, ranks - 1) * measured.crowd_s
        bytes_of_a_rank = sum(message.bytes for message in sent) / ranks
        crowd_s += bytes_of_a_rank * measured.crowd_s_per_byte
        if not way:
            rested_s += measured.rack.latency_s + crowd_s
            yield crowd_s
            continue
        pause_s = rested_s + measured.spine.latency_s + crowd_s
        moving_s = max(way.values()) / measured.spine.bandwidth
        rested_s = 0.0
        yield crowd_s - min(full_s, pause_s, moving_s)


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
) -> dict[int, list[tuple[float, float]]]:
    """Return when this rank started and ended each run.

    The very first, which opens connections, is not counted.
    """
    all_reduce = join(plan)
    times: dict[int, list[tuple[float, float]]] = {n: [] for n in sizes}
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


def longest(of_ranks: list[dict[int, list[tuple[float, float]]]]) -> dict:
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
    """Return the links of a cluster of two racks, measured by ping-pong.

    Alpha is the time of a small message.  Beta is what 3/4 of a large message take, so
    that the bytes that a full bucket lets pass cancel.  What all ranks cost each other
    is the same twice: the time of a step in which every rank sends to its neighbour in
    the rack, less that of a ping-pong.
    """
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
    """Return the link between two ranks."""
    sizes = (SMALL, large // 4, large)
    rally = Rally(sizes=sizes, rounds=rounds, pair=pair)
    times = world(play, rally, world.device, True)[pair[0]]  # noted, as in a program
    alpha, part, whole = (median(times[n]) for n in sizes)
    return Link(latency_s=alpha, bandwidth=0.75 * large / max(whole - part, 1e-6))
