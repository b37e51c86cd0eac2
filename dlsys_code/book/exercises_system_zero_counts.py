"""How section 05.2's exercises hold shards, bytes and orders against the right ones.

Whoever counts wrongly is told which micro-batch, which gather or which copy was
forgotten.
"""

from collections.abc import Sequence
from itertools import accumulate

from dlsys_code.book.exercises_architecture_counts import (
    fault_of_count,
    fault_of_counts,
)

Piece = tuple[int, int, int]  # a weight, and from where to where in it

STEPS = [  # stage, p, m, n
    (1, 4, 1, 4800),
    (2, 4, 1, 4800),
    (3, 4, 1, 4800),
    (2, 4, 4, 4800),
    (3, 4, 4, 4800),
    (1, 8, 4, 4800),
    (3, 1, 2, 4800),
]
CUTS = [  # sizes of the weights, p, r
    ([6, 2, 4], 4, 1),
    ([6, 2, 4], 4, 0),
    ([6, 2, 4], 2, 1),
    ([5, 2, 4], 4, 3),
    ([5, 1], 4, 3),
    ([3, 1, 1], 1, 0),
]
LEVELS = [(4800, 4, 2), (4800, 8, 16), (4800, 1, 4), (4800, 4, 1)]  # n, g, R


def bytes_of_a_step(stage: int, p: int, m: int, n: int) -> float:
    """Return the bytes that a rank sends in a step of m micro-batches."""
    travels = {1: 2, 2: m + 1, 3: 3 * m}[stage]
    return travels * (p - 1) / p * n


def fault_of_bytes(answer: object, stage: int, p: int, m: int, n: int) -> str:
    """Say what a count of the bytes of a step overlooks; "" if nothing."""
    once, right = (p - 1) / p * n, bytes_of_a_step(stage, p, m, n)
    near = {
        1: {
            "梯度攒到更新前才归约，微批次再多也不多发": (m + 1) * once,
            "更新之后还要全收集": once,
        },
        2: {
            "每个微批次都要归约一次": 2 * once,
            "权重只在更新之后收集一次": 2 * m * once,
        },
        3: {
            "更新之后不收集：每个微批次收集两次、归约一次": (3 * m + 1) * once,
            "反向要再收集一次": 2 * m * once,
            "释放了就要重新收集，每个微批次都要": (m + 2) * once,
            "三趟，每个微批次都要走": 3 * once,
        },
    }[stage]
    always = {
        "自己那一片不上网，乘 (p-1)/p": right * p / max(1, p - 1),
        "这是所有 rank 一共发的": right * p,
    }
    return fault_of_count(answer, right, near | always)


def shown_step(stage: int, p: int, m: int, n: int) -> str:
    """Return a case of `bytes_of_a_step` for the reader."""
    return f"第 {stage} 阶段、p = {p}、m = {m}、n = {n:,} 字节"


def pieces(sizes: Sequence[int], p: int, r: int) -> list[Piece]:
    """Return which part of which weight is in the shard of rank r."""
    k = -(-sum(sizes) // p)
    begins = [0, *accumulate(sizes)]
    found = []
    for weight, (begin, size) in enumerate(zip(begins, sizes, strict=False)):
        start = max(0, r * k - begin)
        stop = min(size, (r + 1) * k - begin)
        if start < stop:
            found.append((weight, start, stop))
    return found


def fault_of_pieces(answer: object, sizes: Sequence[int], p: int, r: int) -> str:
    """Say which piece of a shard is not right; "" for all of them."""
    try:
        given = [tuple(map(int, piece)) for piece in answer]
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要一列 (第几个权重, 起, 止)"
    right = pieces(sizes, p, r)
    if given == right:
        return ""
    if any(start >= stop for _, start, stop in given):
        return f"{given}：起不小于止的一段是空的，不要写"
    if [w for w, _, _ in given] == [w for w, _, _ in right] and all(
        stop - start == b - a
        for (_, start, stop), (_, a, b) in zip(given, right, strict=True)
    ):
        return f"{given}：段的长短都对；起止从各个权重自己的头数起"
    held, k = sum(stop - start for _, start, stop in given), -(-sum(sizes) // p)
    if held > k:
        return f"{given}：一片只有 {k} 个数，这里有 {held} 个"
    return f"{given} 不对，一片 {k} 个数，从整列的第 {r * k} 个数起"


def shown_cut(sizes: Sequence[int], p: int, r: int) -> str:
    """Return a case of `pieces` for the reader."""
    return f"sizes = {sizes}、p = {p}、r = {r}"


def gather_order(units: int) -> list[int]:
    """Return the units in the order in which stage 3 gathers them, unit 0 outermost."""
    return [*range(units), 0, *range(units - 1, 0, -1)]


def fault_of_order(answer: object, units: int) -> str:
    """Say where an order of gathers leaves the right one; "" if nowhere."""
    try:
        given = list(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列单元的编号"
    right = gather_order(units)
    if given == right:
        return ""
    if given == right[:units]:
        return "这只是正向；释放之后，反向要再收集一遍"
    if given == [*range(units), *range(units - 1, -1, -1)]:
        return "反向从模型的最后开始：单元 0 里的输出层最先用到"
    if given == [*range(units), 0, *range(1, units)]:
        return "反向从最后一个单元走到第一个"
    same = [a == b for a, b in zip(given, right, strict=False)]
    first = same.index(False) if False in same else len(same)
    return f"第 {first} 次（从 0 数）收集不对：{given}"


def inside_and_between(n: int, g: int, R: int) -> tuple[float, float]:
    """Return what a rank sends inside and between: stage 3 in groups of g, R groups."""
    return 3 * (g - 1) / g * n, 2 * (R - 1) / R * n / g


def fault_of_levels(answer: object, n: int, g: int, R: int) -> str:
    """Say what the bytes inside and between groups overlook; "" if nothing."""
    inside, between = inside_and_between(n, g, R)
    near_inside = {
        "第 3 阶段有三趟：正向、反向各收集一次，归约散发一次": 2 * (g - 1) / g * n,
        "组里只有 g 个 rank": 3 * (g * R - 1) / (g * R) * n,
    }
    near_between = {
        "各组之间只全归约自己那一片，长 n/g": 2 * (R - 1) / R * n,
        "权重在组里就收集齐了，组间只走梯度": 3 * (R - 1) / R * n / g,
        "全归约要发两趟": (R - 1) / R * n / g,
    }
    right = {"inside": inside, "between": between}
    return fault_of_counts(answer, right, [near_inside, near_between])


def shown_levels(n: int, g: int, R: int) -> str:
    """Return a case of `inside_and_between` for the reader."""
    return f"n = {n:,} 字节、g = {g}、R = {R}"
