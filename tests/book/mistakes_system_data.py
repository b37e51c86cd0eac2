"""Likely wrong answers to the exercises of 05.1, and what is said of each.

Where a part of a wrong answer is right, it is the page's.
"""

from collections.abc import Callable, Sequence

from exercises_on_the_page import ROOT, answers
from noted import noting

RIGHT = answers(ROOT / "04_AICluster" / "05.system" / "01.data_parallel.ipynb")
SAID = []
wrong = noting(SAID)


@wrong("fill_buckets", "顺序反了")
def from_the_front(sizes: Sequence[int], first: int, limit: int) -> list:
    turned = RIGHT["fill_buckets"](sizes[::-1], first, limit)
    return [[len(sizes) - 1 - i for i in bucket] for bucket in turned]


@wrong("fill_buckets", "第一个桶的上限是 first")
def without_first(sizes: Sequence[int], first: int, limit: int) -> list:
    return RIGHT["fill_buckets"](sizes, limit, limit)


@wrong("fill_buckets", "只有第一个桶的上限是 first")
def always_first(sizes: Sequence[int], first: int, limit: int) -> list:
    return RIGHT["fill_buckets"](sizes, first, first)


@wrong("fill_buckets", "每个参数都要在一个桶里")
def without_the_last(sizes: Sequence[int], first: int, limit: int) -> list:
    return RIGHT["fill_buckets"](sizes, first, limit)[:-1]


@wrong("fill_buckets", "应当是 [[4, 3], [2, 1, 0]]", "够了上限")
def never_above(sizes: Sequence[int], first: int, limit: int) -> list:
    buckets, room = [[]], first
    for i in reversed(range(len(sizes))):
        if buckets[-1] and sum(sizes[j] for j in buckets[-1]) + sizes[i] > room:
            buckets.append([])
            room = limit
        buckets[-1].append(i)
    return buckets


@wrong("fill_buckets", "[[3], [1, 2], [0]]：桶对，桶里的次序不对，先放进去的在前")
def sorted_inside(sizes: Sequence[int], first: int, limit: int) -> list:
    return list(map(sorted, RIGHT["fill_buckets"](sizes, first, limit)))


@wrong("fill_buckets", "要一列桶")
def no_buckets(sizes: Sequence[int], first: int, limit: int) -> int:
    return 3


@wrong("exposed_after", "还要减去反向的时间")
def with_backward(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return RIGHT["exposed_after"](sizes, backward_s, price) + backward_s


@wrong("exposed_after", "可能还有别的桶在排队")
def the_last_alone(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return price(sizes[-1])


@wrong("exposed_after", "这是全部通信")
def nothing_hidden(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return sum(map(price, sizes))


@wrong("exposed_after", "第一个桶要先装满")
def all_hidden(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return sum(map(price, sizes)) - backward_s


@wrong("exposed_after", "0：第一个桶装满之前没有东西可发，不是一直在发")
def sent_from_the_start(
    sizes: Sequence[int], backward_s: float, price: Callable
) -> float:
    return max(0, sum(map(price, sizes)) - backward_s)


@wrong("launches", "前面的桶还没发")
def as_soon_as_full(arrivals: Sequence[int], buckets: Sequence) -> list[int]:
    return [max(arrivals.index(i) + 1 for i in bucket) for bucket in buckets]


@wrong("launches", "等到了全部梯度")
def at_the_end(arrivals: Sequence[int], buckets: Sequence) -> list[int]:
    return [len(arrivals)] * len(buckets)


@wrong("launches", "从 1 数起")
def from_zero(arrivals: Sequence[int], buckets: Sequence) -> list[int]:
    return [turn - 1 for turn in RIGHT["launches"](arrivals, buckets)]


@wrong("launches", "要 2 个数")
def one_number(arrivals: Sequence[int], buckets: Sequence) -> int:
    return 4


@wrong("loss_weights", "counts = (4, 3)\nrank 0 的权是 1：一样的权")
def all_alike(counts: Sequence[int]) -> list[float]:
    return [1.0] * len(counts)


@wrong("loss_weights", "少乘了 rank 数")
def shares(counts: Sequence[int]) -> list[float]:
    return [own / sum(counts) for own in counts]


@wrong("loss_weights", "除以整批的")
def the_counts(counts: Sequence[int]) -> list[float]:
    return list(map(float, counts))
