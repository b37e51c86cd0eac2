"""What the section on automatic parallelism holds against a reader's functions."""

import random
from collections.abc import Mapping, Sequence
from itertools import product
from math import inf

import torch

from dlsys_code.book.exercises_architecture_counts import fault_of_count
from dlsys_code.system.layouts import dual, layout, names

ROWS = [  # rows, mesh, coordinates
    (8, (4, 1), (3, 0)),
    (8, (2, 2), (1, 0)),
    (8, (2, 4), (0, 3)),
    (24, (2, 4), (1, 2)),
    (24, (4, 2), (2, 1)),
]
LAYOUTS = [("R",), ("S0",), ("P",), ("S0 R",), ("P S1",), ("R P S2",)]
PRODUCT = {
    ("R", "R"): "R",
    ("S0", "R"): "S0",
    ("R", "S1"): "S1",
    ("S1", "S0"): "P",
    ("P", "R"): "P",
    ("R", "P"): "P",
}
PRODUCTS = list(product(("R", "S0", "S1", "P"), repeat=2))
SMALL = {
    "S0": {"R": 3.0, "S1": 1.0},
    "S1": {"R": 1.5},
    "R": {"S0": 0.0, "S1": 0.0},
    "P": {"R": 6.0, "S0": 3.0},
}
ROADS = [
    (SMALL, "R", "R"),
    (SMALL, "R", "S0"),
    (SMALL, "P", "S0"),
    (SMALL, "S0", "R"),  # 2.5: the direct road is longer
    (SMALL, "P", "R"),  # 5.5
]
CHAINS = [(1, 3), (2, 2), (4, 3), (40, 5)]  # operators, strategies of each


def fault_of_rows(
    answer: object, rows: int, mesh: tuple[int, int], at: tuple[int, int]
) -> str:
    """Say what is wrong with the rows that a rank holds under 'S0 S0'; "" if right."""
    piece, number = rows // (mesh[0] * mesh[1]), at[0] * mesh[1] + at[1]
    swapped = at[1] * mesh[0] + at[0]
    right = list(range(number * piece, (number + 1) * piece))
    try:
        given = list(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列行号"
    if given == right:
        return ""
    if given == list(range(swapped * piece, (swapped + 1) * piece)):
        return f"{given}：先切的是网格的第一维，后一维切的是它的一段"
    if given == list(range(at[0] * rows // mesh[0], (at[0] + 1) * rows // mesh[0])):
        return f"{given}：只按第一维切了，每段还要按第二维切"
    return f"{given}，应当是 {right}"


def fault_of_gradient(answer: object, of: str) -> str:
    """Say what is wrong with the layout of a gradient; "" if nothing is."""
    right = names(dual(layout(of)))
    if answer == right:
        return ""
    if answer == of:
        return f"{answer!r}：只有切开的维不变；副本的梯度各是一部分"
    return f"返回了 {answer!r}，应当是 {right!r}"


def fault_of_product(answer: object, x: str, w: str) -> str:
    """Say what is wrong with the layout of a product; "" if nothing is."""
    right = PRODUCT.get((x, w))
    if answer == right:
        return ""
    if (x, w) == ("P", "P"):
        return f"返回了 {answer!r}：和的乘积不是乘积的和，要先加起来，应当是 None"
    if right is None:
        return f"返回了 {answer!r}：两边对不上，不先重排就算不对，应当是 None"
    return f"返回了 {answer!r}，应当是 {right!r}"


def least_of_ways(roads: Mapping, source: str, target: str) -> float:
    """Return the length of a shortest way, by going over all roads again and again."""
    best = dict.fromkeys(roads, inf) | {source: 0.0}
    for here, there in [(a, b) for _ in roads for a in roads for b in roads[a]]:
        best[there] = min(best[there], best[here] + roads[here][there])
    return best[target]


def fault_of_way(answer: object, roads: Mapping, source: str, target: str) -> str:
    """Say what is wrong with the length of a shortest way; "" if nothing is."""
    right = least_of_ways(roads, source, target)
    direct = roads[source].get(target, right)
    near = {} if direct == right else {"直达不一定最短": direct}
    return fault_of_count(answer, right, near)


def shown_roads(roads: Mapping, source: str, target: str) -> str:
    """Return a case for the reader."""
    return f"从 {source} 到 {target}"


def chains() -> list[tuple]:
    """Return chains of several lengths: own costs, and costs of edges."""
    draw, found = random.Random(1), []
    for count, width in CHAINS:
        own = [[draw.randrange(9) for _ in range(width)] for _ in range(count)]
        edges = [
            [[draw.randrange(9) for _ in range(width)] for _ in range(width)]
            for _ in range(count - 1)
        ]
        found.append((own, edges))
    return found


def least_of_chain(own: Sequence, edges: Sequence) -> float:
    """Return the least sum over a chain: a matrix product of min and plus."""
    best = torch.tensor(own[0], dtype=torch.float64)
    for costs, edge in zip(own[1:], edges, strict=True):
        best = (best[:, None] + torch.tensor(edge)).amin(0) + torch.tensor(costs)
    return best.min().item()


def fault_of_chain(answer: object, own: Sequence, edges: Sequence) -> str:
    """Say what is wrong with the least sum over a chain; "" if nothing is."""
    right = least_of_chain(own, edges)
    greedy, last = min(own[0]), own[0].index(min(own[0]))
    for costs, edge in zip(own[1:], edges, strict=True):
        steps = [a + b for a, b in zip(costs, edge[last], strict=True)]
        greedy, last = greedy + min(steps), steps.index(min(steps))
    alone = sum(map(min, own))
    near = {} if greedy == right else {"每步只看眼前，后面的边会更贵": greedy}
    near |= {} if alone == right else {"边也有代价": alone}
    return fault_of_count(answer, right, near)


def shown_chain(own: Sequence, edges: Sequence) -> str:
    """Return a case for the reader."""
    return f"{len(own)} 个算子，每个 {len(own[0])} 种策略"
