"""Likely wrong answers to the exercises of section 05.4, and what is said of each."""

from collections.abc import Sequence
from math import exp, inf, lcm, log

import torch
from noted import noting
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.world import shift
from dlsys_code.world.point_to_point import exchange

SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ two blocks become one


@wrong("merge_two", "o = 6：两块的分母不同，不能各算一半")
def a_mean(l_1: float, o_1: float, l_2: float, o_2: float) -> tuple[float, float]:
    return log(exp(l_1) + exp(l_2)), (o_1 + o_2) / 2


@wrong("merge_two", "o = 12：两块各自已经除过自己的和，要先换成同一个分母")
def a_sum(l_1: float, o_1: float, l_2: float, o_2: float) -> tuple[float, float]:
    return log(exp(l_1) + exp(l_2)), o_1 + o_2


@wrong("merge_two", "l = 1.09861：相加的是指数，不是对数")
def added_logarithms(
    l_1: float, o_1: float, l_2: float, o_2: float
) -> tuple[float, float]:
    return l_1 + l_2, o_1


@wrong("merge_two", "l_1 = 1000.0", "OverflowError", "先减去最大的再取")
def without_a_maximum(
    l_1: float, o_1: float, l_2: float, o_2: float
) -> tuple[float, float]:
    total = exp(l_1) + exp(l_2)
    return log(total), (exp(l_1) * o_1 + exp(l_2) * o_2) / total


@wrong("merge_two", "l_1 = -inf", "nan")
def nothing_minus_nothing(
    l_1: float, o_1: float, l_2: float, o_2: float
) -> tuple[float, float]:
    most = max(l_1, l_2)
    first, second = exp(l_1 - most), exp(l_2 - most)
    if first != first:
        return first, first
    parts = first + second
    return most + log(parts), (first * o_1 + second * o_2) / parts


@wrong("merge_two", "返回了 8.0，要两个数 (l, o)")
def one_number(l_1: float, o_1: float, l_2: float, o_2: float) -> float:
    return o_2


# ------------------------------------------------------------ who computes how much


@wrong("early_and_late", "[0, 1, 2, 3]：这是连续的一段")
def one_piece(T: int, p: int, r: int) -> list[int]:
    return list(range(r * T // p, (r + 1) * T // p))


@wrong("early_and_late", "[6, 7, 0, 1]：位置对，次序不对")
def late_and_early(T: int, p: int, r: int) -> list[int]:
    k = T // (2 * p)
    late = (2 * p - 1 - r) * k
    return [*range(late, late + k), *range(r * k, r * k + k)]


@wrong("early_and_late", "[0, 2, 4, 6]，应当是 [0, 1, 6, 7]")
def striped(T: int, p: int, r: int) -> list[int]:
    return list(range(r, T, p))


def pairs(queries: Sequence[int], keys: Sequence[int]) -> int:
    return sum(q >= k for q in queries for k in keys)


@wrong("in_lockstep", "36：这是所有 rank 加起来的")
def of_all(held: list[list[int]]) -> int:
    everything = sum(held, [])
    return pairs(everything, everything)


@wrong("in_lockstep", "18：这是一个 rank 平均的")
def on_the_mean(held: list[list[int]]) -> float:
    return of_all(held) / len(held)


@wrong("in_lockstep", "32：没有算因果掩码")
def without_a_mask(held: list[list[int]]) -> int:
    return sum(map(len, held)) * max(map(len, held))


@wrong(
    "in_lockstep",
    "held = [[3, 4], [2, 5], [0, 1]]\n9：这是最忙的 rank 一共的活；",
    "每一步最忙的可以不是同一个",
)
def of_the_slowest_rank(held: list[list[int]]) -> int:
    return max(pairs(own, sum(held, [])) for own in held)


@wrong("in_lockstep", "32：没有算因果掩码")
def p_times_the_busiest(held: list[list[int]]) -> int:
    return len(held) * max(pairs(q, k) for q in held for k in held)


# ------------------------------------------------------------ heads for tokens


def swapped(x: Tensor, group: ProcessGroup) -> list[Tensor]:
    """The pieces that are meant for this rank, by the rank from which they come."""
    p, r = group.size(), group.rank()
    pieces = x.chunk(p)
    rows = {r: pieces[r]}
    for step in range(1, p):
        to, source = (r + step) % p, (r - step) % p
        rows[source] = exchange(pieces[to], group, to=to, source=source)
    return [rows[i] for i in range(p)]


@wrong("own_heads", "收到的几段首尾相接，一个头的词元被拆散了")
def torn(x: Tensor, group: ProcessGroup) -> Tensor:
    return torch.cat(swapped(x, group))


@wrong("own_heads", "数都对，但最忙的 rank")
def from_everything(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    rows = {r: x}
    for step in range(p - 1):
        rows[(r - 1 - step) % p] = shift(rows[(r - step) % p], group)
    own = [rows[i].view(p, 2, -1)[r] for i in range(p)]
    return torch.cat(own, 1).flatten()


# ------------------------------------------------------------ which way


@wrong("fewest_bytes", "p = 2、a = 32、g = 8", "环反向时 k、v 要再走一遍")
def always_the_ring(p: int, a: int, g: int) -> str:
    return "ring"


@wrong("fewest_bytes", "p = 16、a = 32、g = 8", "Ulysses 的每一份随 p 变小")
def always_gathered(p: int, a: int, g: int) -> str:
    return "gathered"


@wrong("fewest_bytes", "p = 3、a = 32、g = 8", "32 个头分不给 3 个 rank")
def heads_are_not_looked_at(p: int, a: int, g: int) -> str:
    return "Ulysses" if (a + lcm(g, p)) / p < g or p == 3 else "gathered"


@wrong("fewest_bytes", "p = 32、a = 32、g = 1", "把每个键值头发 32 次")
def copies_are_forgotten(p: int, a: int, g: int) -> str:
    return "Ulysses" if a % p == 0 and (a / p < g or p == 32) else "gathered"


@wrong("fewest_bytes", "返回了 inf，要 ring、gathered、Ulysses 之一")
def a_number(p: int, a: int, g: int) -> float:
    return inf
