"""Likely wrong answers to the exercises of 05.5, and what is said of each.

Where a part of a wrong answer is right, it is the page's.
"""

from collections.abc import Mapping, Sequence

from exercises_on_the_page import ROOT, answers
from noted import noting

RIGHT = answers(ROOT / "04_AICluster" / "05.system" / "05.auto_parallel.ipynb")
SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ who holds which rows


@wrong("rows_held", "先切的是网格的第一维")
def axes_swapped(rows: int, mesh: Sequence[int], at: Sequence[int]) -> Sequence[int]:
    return RIGHT["rows_held"](rows, mesh[::-1], at[::-1])


@wrong("rows_held", "只按第一维切了")
def first_axis_only(rows: int, mesh: Sequence[int], at: Sequence[int]) -> Sequence[int]:
    return RIGHT["rows_held"](rows, (mesh[0], 1), (at[0], 0))


@wrong("rows_held", "要一列行号")
def a_number(rows: int, mesh: Sequence[int], at: Sequence[int]) -> int:
    return 3


# ------------------------------------------------------------ layouts


@wrong("gradient_layout", "副本的梯度各是一部分")
def as_the_tensor(names: str) -> str:
    return names


@wrong("gradient_layout", "应当是 'P'")
def no_layout(names: str) -> str:
    return "Q"


@wrong("layout_of_product", "和的乘积")
def product_of_sums(x: str, w: str) -> str | None:
    return "P" if x == w == "P" else RIGHT["layout_of_product"](x, w)


@wrong("layout_of_product", "两边对不上")
def always_something(x: str, w: str) -> str:
    return RIGHT["layout_of_product"](x, w) or "S0"


@wrong("layout_of_product", "应当是 'R'")
def never_right(x: str, w: str) -> None:
    return None


# ------------------------------------------------------------ ways and choices


@wrong("least_way", "直达不一定最短")
def the_straight_road(roads: Mapping, source: str, target: str) -> float:
    return roads[source].get(target, 0.0)


@wrong("best_chain", "边也有代价")
def without_edges(own: Sequence, edges: Sequence) -> float:
    return sum(map(min, own))


@wrong("best_chain", "每步只看眼前")
def greedy(own: Sequence, edges: Sequence) -> float:
    last = own[0].index(min(own[0]))
    total = own[0][last]
    for costs, edge in zip(own[1:], edges, strict=True):
        steps = [a + b for a, b in zip(costs, edge[last], strict=True)]
        last, total = steps.index(min(steps)), total + min(steps)
    return total
