"""What chapter 2 asks a reader of clocks: who may begin, how far ahead, how stale.

Of the mistakes that it knows, one is a belief: that a bound skips the slowest worker.
"""

from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from pprint import pformat

import numpy as np

from dlsys_code.architecture.staleness import may_begin
from dlsys_code.architecture.stragglers import Fixed, Random, nobody, simulate
from dlsys_code.architecture.updates import Run, Update
from dlsys_code.book.exercises_architecture_counts import fault_of_counts

CLOCKS: list[tuple[tuple[int, ...], float]] = [
    ((0, 0, 0), 0),
    ((9, 4, 5, 2, 3), 2),
    ((2, 1, 2), 0),
    ((9, 3, 4, 5), 2),
    ((7, 0, 3), inf),
    ((4,), 3),
]
SHOWN = 24  # updates of a record
Rule = Callable[[Sequence[int], float], list[int]]


def where(holds: Callable[[int], bool], clocks: Sequence[int]) -> list[int]:
    """Return the workers whose clock it holds for."""
    return [worker for worker, clock in enumerate(clocks) if holds(clock)]


MISTAKEN: list[tuple[str, Rule]] = [
    (
        "这样就跳过了最慢的；σ 谁也不跳过，它让最快的等",
        lambda clocks, bound: where(lambda c: max(clocks) - c <= bound, clocks),
    ),
    (
        "领先正好 σ 个更新的还可以开始，多于 σ 才等",
        lambda clocks, bound: where(lambda c: c - min(clocks) < bound, clocks),
    ),
    (
        "全放走是没有上限；领先多于 σ 的要等",
        lambda clocks, bound: where(lambda c: True, clocks),
    ),
    (
        "要与最慢的比，不是与平均比",
        lambda clocks, bound: where(
            lambda c: c - sum(clocks) / len(clocks) <= bound, clocks
        ),
    ),
    (
        "只有 σ = 0 时才只放最慢的",
        lambda clocks, bound: where(lambda c: c == min(clocks), clocks),
    ),
]


def fault_of_begin(answer: object, clocks: Sequence[int], bound: float) -> str:
    """Say who waits for no reason, or begins against the bound; "" if nobody."""
    try:
        going = sorted(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列工人的编号"
    if any(isinstance(worker, bool | np.bool_) for worker in going):
        return f"返回了 {answer!r}，要编号，不是 True 和 False"
    right = may_begin(clocks, bound)
    if going == right:
        return ""
    for said, rule in MISTAKEN:
        if going == rule(clocks, bound):
            return f"{going}：{said}"
    if strange := [w for w in going if w not in range(len(clocks))]:
        return f"没有工人 {strange[0]!r}"
    for worker in sorted(set(going) ^ set(right)):
        lead = clocks[worker] - min(clocks)
        should = "可以开始" if worker in right else "要等"
        return f"工人 {worker} 领先最慢的 {lead} 个更新，{should}"
    return f"{going} 里有重复的"


@cache
def records() -> tuple[tuple[int, tuple[Update, ...]], ...]:
    """Return recorded runs: workers, and updates in the order in which they came."""
    runs = [
        simulate(3, bound=0, updates=9, times=nobody),
        simulate(2, bound=inf, updates=4, times=lambda worker, clock: 2 + worker),
        simulate(3, bound=inf, updates=20, times=Fixed(0, 5)),
        simulate(3, bound=2, updates=24, times=Fixed(2, 4)),
        simulate(4, bound=3, updates=60, times=Random(0.3, 6)),
    ]
    return tuple((run.workers, tuple(run.updates)) for run in runs)


def fault_of_record(answer: object, workers: int, updates: Sequence[Update]) -> str:
    """Say what (largest lead, largest staleness) overlooks; "" if nothing."""
    run = Run(workers, list(updates))
    lead, stale = max(run.leads()), max(run.staleness())
    behind = slowest_at_the_end(workers, updates)
    near_lead = {
        "最慢的要在更新开始时看，也就是前 seen 个更新之后，不是它交来时": behind,
        "领先用开始时的时钟，这个更新自己还没有完成": lead + 1,
        "领先是一个工人比最慢的，不是比最快的": 0,
    }
    counted = [n - update.seen for n, update in enumerate(updates)]
    near_stale = {
        "同时出发的拿同一版权重；只数发给过别人的、比它新的版本": max(counted),
        "要最大的，不是平均": run.mean_staleness(),
        "领先和陈旧度是两回事：领先比时钟，陈旧度数权重的版本": lead,
    }
    right = {"最大领先": lead, "最大陈旧度": stale}
    return fault_of_counts(answer, right, [near_lead, near_stale])


def slowest_at_the_end(workers: int, updates: Sequence[Update]) -> int:
    """Return the largest lead as it would be if it were taken when an update comes."""
    clocks, most = [0] * workers, -1
    for update in updates:
        most = max(most, update.clock - min(clocks))
        clocks[update.worker] += 1
    return most


def shown_record(workers: int, updates: Sequence[Update]) -> str:
    """Return a record for the reader; of a long one, how it begins."""
    rows = [(update.worker, update.clock, update.seen) for update in updates[:SHOWN]]
    more = f"\n……后面还有 {len(updates) - SHOWN} 个" if len(updates) > SHOWN else ""
    return (
        f"{workers} 个工人，{len(updates)} 个更新，(worker, clock, seen) 依次是\n"
        f"{pformat(rows, width=88, compact=True)}{more}"
    )
