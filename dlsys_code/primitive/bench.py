"""A race over the same sockets: how long a collective takes, ours and torch's own.

Times are measured where noise is larger than the difference, so it is the rounds that
are compared.  In every round each contender runs once, in an order that is shuffled
anew and the same on all ranks, each after a barrier; a sample is the time of the
slowest rank::

    time    the median over the rounds [s]
    algbw   size / time                    busbw   algbw x bus factor  [bytes/s]
    ratio   the median over the rounds of time / time of torch in the same round,
            with the quartiles around it
    wrong   elements that differ from the definition, counted on all ranks in a last
            call, on whole numbers so small that every order of adding gives the same

Small messages are sent a few times per sample, one call right after the other.  Ranks
race in a plain group, unwatched; scratch is made once, before the race.

Sources: NVIDIA, nccl-tests, doc/PERFORMANCE.md (columns and factors); T. Hoefler and
R. Belli, "Scientific benchmarking of parallel computing systems", SC15 (2015).
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.introduction.units import GB, KiB, us
from dlsys_code.primitive.contenders import Arena, Collective, Contender
from dlsys_code.world import World, control

LIMIT_S = 1800.0  # of one size
SMALL, CALLS = 16 * KiB, 5  # below so many bytes, so many calls per sample
REFERENCE = "torch"


@dataclass(frozen=True, kw_only=True)
class Heat:
    """One race at one size.  count: as nccl-tests counts, per rank where by chunks."""

    collective: Collective
    contenders: Mapping[str, Contender]
    count: int
    dtype: torch.dtype
    root: int = 0
    rounds: int = 30
    seed: int = 0

    def size(self, p: int) -> int:
        """Return the bytes of the larger side of a rank, as nccl-tests counts them."""
        return self.count * unit_bytes(self.collective, p, self.dtype)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One contender at one size; the names and units of the nccl-tests columns.

    ratio: median of the time over torch's, with its quartiles.
    """

    collective: str
    algorithm: str
    size_bytes: int
    count: int
    type: str
    redop: str
    root: int
    time_us: float
    algbw_GB_per_s: float
    busbw_GB_per_s: float
    wrong: int
    ratio: float
    ratio_quartiles: tuple[float, float]
    rounds: int
    ranks: int
    device: str
    torch: str


def unit_bytes(collective: Collective, p: int, dtype: torch.dtype) -> int:
    """Return the bytes of an element, of one on each rank where by chunks."""
    return dtype.itemsize * (p if collective.by_chunks else 1)


def counts(low: int, high: int, *, factor: int, unit: int) -> list[int]:
    """Return how many units there are in low, low x factor, ... up to high bytes.

    Each is rounded down, equal ones are left out.
    Errors: ValueError for a factor below 2, or sizes that hold no unit.
    """
    if factor < 2 or not unit <= low <= high:
        raise ValueError(
            f"sizes from {low} to {high} B by a factor of {factor}: the first holds "
            f"{unit} B or more, the last is no smaller, and the factor is from 2 up"
        )
    sizes = [low]
    while sizes[-1] * factor <= high:
        sizes.append(sizes[-1] * factor)
    return list(dict.fromkeys(size // unit for size in sizes))


def race(world: World, heat: Heat) -> list[Row]:
    """Run one heat; return a row for each contender, in their order.

    Errors: ValueError when torch is not among them, there is no round, or the root is
    no rank; RankError when a contender fails.
    """
    if REFERENCE not in heat.contenders or heat.rounds < 1 or heat.count < 1:
        raise ValueError(
            f"{heat.rounds} rounds of {heat.count} elements by {list(heat.contenders)}:"
            f" there is at least one of each, and {REFERENCE} among the contenders"
        )
    if not 0 <= heat.root < world.ranks:
        raise ValueError(f"root {heat.root} is not one of the {world.ranks} ranks")
    everyone = world(run_heat, heat, world.device, timeout_s=LIMIT_S)
    samples = {
        name: [
            max(times) for times in zip(*(t[name] for t, _ in everyone), strict=True)
        ]
        for name in heat.contenders
    }
    return [
        row_of(
            heat,
            world,
            name,
            samples,
            wrong=sum(wrong[name] for _, wrong in everyone),
        )
        for name in heat.contenders
    ]


def row_of(
    heat: Heat,
    world: World,
    name: str,
    samples: Mapping[str, Sequence[float]],
    *,
    wrong: int,
) -> Row:
    """Return a contender's row.  samples: seconds in each round, by contender."""
    pairs = zip(samples[name], samples[REFERENCE], strict=True)
    ratios = torch.tensor([own / other for own, other in pairs], dtype=torch.float64)
    low, middle, high = ratios.quantile(ratios.new_tensor([0.25, 0.5, 0.75])).tolist()
    p, seconds, collective = world.ranks, median(samples[name]), heat.collective
    bandwidth = heat.size(p) / seconds / GB
    return Row(
        collective=collective.name,
        algorithm=name,
        size_bytes=heat.size(p),
        count=heat.count,
        type=str(heat.dtype).removeprefix("torch."),
        redop=collective.redop,
        root=heat.root if collective.rooted else -1,
        time_us=seconds / us,
        algbw_GB_per_s=bandwidth,
        busbw_GB_per_s=bandwidth * collective.bus_factor(p),
        wrong=wrong,
        ratio=middle,
        ratio_quartiles=(low, high),
        rounds=heat.rounds,
        ranks=p,
        device=world.device,
        torch=torch.__version__,
    )


def run_heat(heat: Heat, device: str) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Race on this rank; return the seconds of every round and the wrong elements."""
    group = dist.new_group(backend="nccl" if device == "cuda" else "gloo")
    arena = prepare(heat, group, device)
    fresh = arena.x.clone()
    clock = seconds_on_gpu if device == "cuda" else seconds_on_cpu
    calls = CALLS if heat.size(group.size()) < SMALL else 1
    shuffled, names = random.Random(heat.seed), list(heat.contenders)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1 + heat.rounds):
        for name in shuffled.sample(names, len(names)):
            arena.x.copy_(fresh)
            dist.barrier(group)
            with control.off():  # torch does not ask either
                seconds = clock(partial(heat.contenders[name], arena), calls)
            if number > 0:  # the first round is to warm up
                times[name].append(seconds)
    wrong = {name: count_wrong(heat, name, arena, fresh) for name in names}
    dist.destroy_process_group(group)
    return times, wrong


def prepare(heat: Heat, group: dist.ProcessGroup, device: str) -> Arena:
    """Return this rank's tensors: the input filled, the others not."""
    p, collective = group.size(), heat.collective
    chunks = p if collective.by_chunks else 1
    sends = chunks if collective.sends_all else 1
    keeps = chunks if collective.keeps_all else 1
    x = whole_numbers(group.rank(), sends * heat.count, heat.dtype).to(device)
    return Arena(
        x=x,
        out=x.new_empty(keeps * heat.count),
        scratch=x.new_empty(3 * chunks * heat.count),
        group=group,
        root=heat.root,
    )


def whole_numbers(rank: int, count: int, dtype: torch.dtype) -> Tensor:
    """Return numbers from 0 to 4, others on every rank: up to 64 ranks sum exactly."""
    indices = torch.arange(count, dtype=torch.int32)
    return (
        indices.add_(indices.div(5, rounding_mode="floor").mul_(rank))
        .add_(rank)
        .remainder_(5)
        .to(dtype)
    )


def count_wrong(heat: Heat, name: str, arena: Arena, fresh: Tensor) -> int:
    """Run a contender once more; return how many elements of its result are wrong."""

    def inputs(rank: int) -> Tensor:
        return whole_numbers(rank, fresh.numel(), heat.dtype)

    arena.x.copy_(fresh)
    arena.out.fill_(99)  # what others have left there must not count
    result = heat.contenders[name](arena)
    expected = heat.collective.answer(inputs, arena.p, arena.group.rank(), arena.root)
    if expected is None:
        return 0
    if result is None or result.numel() != expected.numel():
        return expected.numel()
    return int((result.cpu().flatten() != expected.flatten()).sum())


def seconds_on_cpu(run: Callable[[], object], calls: int) -> float:
    """Return how long a call takes [s], over some calls in a row."""
    begin = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - begin) / calls


def seconds_on_gpu(run: Callable[[], object], calls: int) -> float:
    """Return how long a call takes on the GPU [s], by the events of its stream.

    Written from the documentation of torch.cuda.Event, not run: no GPU was at hand.
    """
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()  # the barrier before is behind us
    begin.record()
    for _ in range(calls):
        run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / calls
