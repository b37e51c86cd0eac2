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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication.link import Link
from dlsys_code.communication.ping_pong import Rally, ping_pong
from dlsys_code.communication.plan import on_ranks
from dlsys_code.communication.timeline import simulate
from dlsys_code.communication.wiring import Measured, Plan
from dlsys_code.introduction.units import KiB, MiB
from dlsys_code.primitive import hierarchical, ring, tree
from dlsys_code.world import Message, World

ITEM = 4  # bytes of a float32
SMALL = 1 * KiB  # a message that is all latency
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

    A step inside the racks costs `crowd_s` more.  Across the spine that is hidden: its
    token bucket fills up in a pause, and gives the time back.
    """
    messages = RACERS[name].messages(plan, size // ITEM)
    network_s = simulate(messages, plan.graph(measured)).finish_s
    rack = plan.hosts * plan.ranks
    inside, across = set(), set()
    for step, source, destination, _ in messages:
        (inside if source // rack == destination // rack else across).add(step)
    return network_s + len(inside - across) * measured.crowd_s


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


def calibrate(world: World, plan: Plan, rounds: int = 5) -> Measured:
    """Return the links of a cluster of two racks, measured by ping-pong.

    Alpha is the time of a small message.  Beta is what 3/4 of a large message take, so
    that the bytes that a full bucket lets pass cancel.  `crowd_s` is what a step of a
    ring without bytes takes beyond alpha: all ranks talk at once and share the cores.
    """
    rack = plan.hosts * plan.ranks
    ways = {"host": (1, 4 * MiB), "rack": (plan.ranks, MiB), "spine": (rack, 256 * KiB)}
    links = {
        way: measure(world, (0, peer), large, rounds)
        for way, (peer, large) in ways.items()
    }
    empty = longest(world(laps, RACERS["ring"].join, plan, [SMALL], 4 * rounds))
    crowd_s = median(empty[SMALL]) / (2 * (world.ranks - 1))
    return Measured(**links, crowd_s=max(0.0, crowd_s - links["spine"].latency_s))


def measure(world: World, pair: tuple[int, int], large: int, rounds: int) -> Link:
    """Return the link between two ranks."""
    sizes = (SMALL, large // 4, large)
    times = ping_pong(world, Rally(sizes=sizes, rounds=rounds, pair=pair))
    alpha, part, whole = (median(times[n]) for n in sizes)
    return Link(latency_s=alpha, bandwidth=0.75 * large / max(whole - part, 1e-6))
