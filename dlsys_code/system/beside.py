"""Ours beside torch's own: the same step, raced in pairs.

Where noise is larger than the difference it is pairs that are compared.  In each round
every contender does one step, in an order that is shuffled anew and the same on all
ranks, each after a barrier; a sample is the time until the device of the slowest rank
has done all of it::

    ratio    the median over the rounds of our time / torch's in the same round,
             with the quartiles around it

All run in one plain group, unwatched, as torch does outside this book.

Source: T. Hoefler and R. Belli, "Scientific benchmarking of parallel computing
systems", SC15 (2015).
"""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

import torch
import torch.distributed as dist
from torch.distributed import ProcessGroup

from dlsys_code.world import control

Step = Callable[[], object]
Contender = Callable[[ProcessGroup], Step]  # builds its model, returns its step
Times = dict[str, list[float]]  # contender -> seconds of the slowest rank, by round

WARM_UP = 2  # rounds that do not count: the optimizer's states are made in them


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How one contender's times compare with another's, round by round."""

    median: float
    quartiles: tuple[float, float]
    rounds: int

    def __str__(self) -> str:
        low, high = self.quartiles
        return f"{self.median:.2f} [{low:.2f}, {high:.2f}]"


def race(contenders: Mapping[str, Contender], *, rounds: int, seed: int = 0) -> Times:
    """Race on this rank of a World; return the same times on every rank.

    contenders: alike on every rank, in the same order.
    Errors: ValueError for less than two rounds or contenders.
    """
    if rounds < 2 or len(contenders) < 2:
        raise ValueError(
            f"{rounds} rounds of {len(contenders)} contenders: a race has two of each"
        )
    watched = hasattr(dist.group.WORLD, "inner")
    plain = dist.new_group(backend="gloo" if watched else None)
    device = device_of(plain)
    steps = {name: make(plain) for name, make in contenders.items()}
    seconds = {name: [] for name in steps}
    order = random.Random(seed)
    for number in range(WARM_UP + rounds):
        for name in order.sample(list(steps), len(steps)):
            dist.barrier(plain)
            with control.off():  # torch does not ask either
                start_s = done_s(device)
                steps[name]()
                spent_s = done_s(device) - start_s
            if number >= WARM_UP:
                seconds[name].append(spent_s)
    slowest = torch.tensor([*seconds.values()], dtype=torch.float64, device=device)
    dist.all_reduce(slowest, dist.ReduceOp.MAX, group=plain)
    return dict(zip(steps, slowest.tolist(), strict=True))


def device_of(group: ProcessGroup) -> torch.device:
    """Return on which device a group talks: the accelerator, if it can, or the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator:
        own = f"{accelerator.type}:{dist.get_default_backend_for_device(accelerator)}"
        if own in dist.get_backend_config(group):  # such as "cpu:gloo,cuda:nccl"
            return accelerator
    return torch.device("cpu")


def done_s(device: torch.device) -> float:
    """Return the time [s] at which all work that a device was given is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter()


def ratio(times: Times, ours: str, torchs: str) -> Ratio:
    """Return how `ours` compares with `torchs`; below 1 is faster."""
    pairs = zip(times[ours], times[torchs], strict=True)
    ratios = [own / other for own, other in pairs]
    low, _, high = quantiles(ratios, method="inclusive")
    return Ratio(median=median(ratios), quartiles=(low, high), rounds=len(ratios))
