"""What it costs to watch, trace and check the calls of a process group.

Runs each kind of group in shuffled turns within one run, so that all meet the same
noise, and prints medians per call; "extra" is the median of the differences between
neighbours in one turn.  Takes about 20 s:

    python benchmarks/watched_cost.py
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
from torch.distributed import ProcessGroup

from dlsys_code.world import World, journal
from dlsys_code.world.board import Board
from dlsys_code.world.watched import Watched

TURNS = 40
CALLS = 40  # in one turn of one kind
KINDS = ["plain gloo", "watched", "traced", "checked"]
Times = dict[str, dict[str, list[float]]]  # operation -> kind -> seconds per call


def all_reduce(x: torch.Tensor, group: ProcessGroup) -> None:
    """One all-reduce of the group."""
    dist.all_reduce(x, group=group)


def ping_pong(x: torch.Tensor, group: ProcessGroup) -> None:
    """One message from rank 0 to rank 1 and one back; the other ranks look on."""
    if group.rank() == 0:
        dist.send(x, group=group, group_dst=1)
        dist.recv(x, group=group, group_src=1)
    elif group.rank() == 1:
        dist.recv(x, group=group, group_src=0)
        dist.send(x, group=group, group_dst=0)


OPERATIONS: dict[str, Callable] = {"all_reduce": all_reduce, "send + recv": ping_pong}


@contextmanager
def watching(kind: str, board: Board) -> Iterator[None]:
    """Watch the calls inside as `kind` says."""
    notes = journal.current()
    was_traced, notes.traced = notes.traced, kind == "traced"
    Watched.board = board if kind == "checked" else None
    try:
        yield
    finally:
        notes.traced, Watched.board = was_traced, None
        notes.events.clear()


def measure(folder: str) -> Times:
    """Time every kind in shuffled turns, the same order on all ranks."""
    plain, watched = dist.new_group(backend="gloo"), dist.group.WORLD
    board = Board(Path(folder), dist.get_rank(), 1)
    times: Times = {name: {kind: [] for kind in KINDS} for name in OPERATIONS}
    x, order = torch.ones(1), random.Random(0)
    for _ in range(TURNS):
        for name, operation in OPERATIONS.items():
            for kind in order.sample(KINDS, len(KINDS)):
                group = plain if kind == "plain gloo" else watched
                dist.barrier(plain)
                with watching(kind, board):
                    begin = time.perf_counter()
                    for _ in range(CALLS):
                        operation(x, group)
                    elapsed_s = time.perf_counter() - begin
                times[name][kind].append(elapsed_s / CALLS)
    board.close()
    return times


def report(ranks: int, times: Times) -> Iterator[str]:
    """Yield one line for every operation and kind, times in microseconds."""
    for name, kinds in times.items():
        for kind, seconds in kinds.items():
            pairs = zip(seconds, kinds["plain gloo"], strict=True)
            extra = median(own - other for own, other in pairs)
            yield (
                f"{ranks:>5}  {name:<12}  {kind:<10}  "
                f"{median(seconds) * 1e6:>8.1f}  {extra * 1e6:>8.1f}"
            )


def main() -> None:
    """Print the table for 2 and 4 ranks."""
    print("ranks  operation     group         us/call     extra")
    for ranks in (2, 4):
        with World(ranks, device="cpu") as world, TemporaryDirectory() as folder:
            times = world(measure, folder, timeout_s=300)[0]
        print(*report(ranks, times), sep="\n")


if __name__ == "__main__":
    main()
