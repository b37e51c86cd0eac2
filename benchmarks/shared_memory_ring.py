"""The same ring all-reduce over sockets and over shared memory, against gloo's own.

In every round each contender runs once, in shuffled order, after a barrier; its sample
is the time of the slowest rank.  "ratio" is the median over the rounds of the time
divided by gloo's in the same round, with the quartiles.  All run unwatched, but for the
last, which is the ring as a program of a World runs it.  Takes about a minute:

    python benchmarks/shared_memory_ring.py
"""

import random
import time
from collections.abc import Callable, Iterator
from statistics import median, quantiles

import torch
import torch.distributed as dist

from dlsys_code.communication.shared_memory import shared_memory
from dlsys_code.introduction.units import KiB, MiB, show_bytes
from dlsys_code.primitive.in_place import ring_all_reduce_into_
from dlsys_code.world import World, control

RANKS = [2, 4, 8]
SIZES = [64 * KiB, 256 * KiB, MiB, 4 * MiB, 16 * MiB]
WARM_UP, ROUNDS = 2, 60  # of each size; less when they take too long
LIMIT_S = 3.0
Times = dict[str, list[float]]  # contender -> seconds in each round


def contenders(x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return what is raced; all of them change x, alike on every rank."""
    plain, watched = dist.new_group(backend="gloo"), dist.group.WORLD
    scratch = torch.empty_like(x).repeat(2)
    return {
        "gloo": lambda: dist.all_reduce(x, group=plain),
        "ring, sockets": lambda: ring_all_reduce_into_(x, plain, scratch=scratch),
        "ring, memory": lambda: ring_all_reduce_into_(
            x, watched.inner, scratch=scratch
        ),
        "the same, watched": lambda: ring_all_reduce_into_(x, watched, scratch=scratch),
    }


def slowest(seconds: float) -> float:
    """Return the largest of the times of all ranks."""
    longest = torch.tensor(seconds, dtype=torch.float64)
    dist.all_reduce(longest, op=dist.ReduceOp.MAX)
    return longest.item()


def race(size: int) -> Times:
    """Race at one size, the same order on all ranks; return the times."""
    x, order = torch.zeros(size // 4), random.Random(0)
    racing = contenders(x)
    times: Times = {name: [] for name in racing}
    spent_s, turn = 0.0, 0
    while spent_s < LIMIT_S and turn < WARM_UP + ROUNDS:
        for name in order.sample(list(racing), len(racing)):
            x.fill_(1)
            dist.barrier()
            with control.off():
                begin = time.perf_counter()
                racing[name]()
                seconds = slowest(time.perf_counter() - begin)
            assert x[-1] == dist.get_world_size()
            spent_s += seconds
            times[name] += [seconds] if turn >= WARM_UP else []
        turn += 1
    return times


def report(ranks: int, size: int, times: Times) -> Iterator[str]:
    """Yield one line for every contender."""
    for name, seconds in times.items():
        ratios = [own / gloo for own, gloo in zip(seconds, times["gloo"], strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        yield (
            f"{ranks:>5}  {show_bytes(size):>8}  {name:<18}"
            f"{median(seconds) * 1e6:>9.0f}  {middle:>6.2f}  [{low:.2f}, {high:.2f}]"
            f"  {len(ratios):>6}"
        )


def main() -> None:
    """Print the table."""
    print("ranks      size  contender           us/call   ratio  quartiles   rounds")
    for ranks in RANKS:
        with World(ranks, device="cpu", transport=shared_memory) as world:
            for size in SIZES:
                times = world(race, size, timeout_s=300)[0]
                print(*report(ranks, size, times), sep="\n", flush=True)


if __name__ == "__main__":
    main()
