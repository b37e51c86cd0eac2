"""What chapter 5 asks a reader to count: what crosses a cut, what a step of ZeRO sends.

A wrong answer is told by the first value, or by what its bytes overlook.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from dlsys_code.book.exercises_architecture_counts import fault_of_count

Uses = Mapping[str, Sequence[str]]  # an operation -> those whose values it uses
Places = Mapping[str, int]  # an operation -> its rank
CHAIN = {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}
FORK = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": ["d", "a"]}
SKIPS = {"x": [], "y": ["x"], "z": ["y", "x"], "w": ["z", "x"], "v": ["w", "x", "y"]}
GRAPHS = [
    (CHAIN, {"a": 0, "b": 0, "c": 1, "d": 1}),
    (CHAIN, {"a": 0, "b": 0, "c": 0, "d": 0}),
    (FORK, {"a": 0, "b": 0, "c": 1, "d": 1, "e": 1}),
    (FORK, {"a": 0, "b": 1, "c": 2, "d": 0, "e": 2}),
    (SKIPS, {"x": 0, "y": 1, "z": 2, "w": 3, "v": 3}),
    (SKIPS, {"x": 1, "y": 0, "z": 1, "w": 0, "v": 1}),
]
STEPS = [  # stage, bytes of weights, ranks, micro-batches
    *((stage, 1200, p, 1) for p in (5, 2) for stage in range(4)),
    *((stage, 1200, p, m) for p, m in ((4, 3), (3, 8)) for stage in range(4)),
    (3, 1200, 1, 2),
]


def crossing(uses: Uses, rank_of: Places) -> set[tuple[str, int, int]]:
    """Return (value, source, destination) of what crosses."""
    pairs = {(value, rank_of[op]) for op, values in uses.items() for value in values}
    return {(value, rank_of[value], to) for value, to in pairs if to != rank_of[value]}


def fault_of_crossing(answer: object, uses: Uses, rank_of: Places) -> str:
    """Say which message is missing, sent twice or for nothing; "" for none."""
    try:
        found = Counter((value, source, to) for value, source, to in answer)
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要一列 (值, 从, 到)"
    right = crossing(uses, rank_of)
    for (value, source, to), times in sorted(found.items(), key=str):
        if (value, source, to) in right and times > 1:
            return f"{value} 从 {source} 到 {to} 发了 {times} 次：到了就都能用"
        if (value, to, source) in right:
            return f"{value} 在 rank {to}，是从 {to} 到 {source}，方向反了"
        if source == to:
            return f"{value} 不用发：做它的和用它的都在 rank {to}"
        if (value, source, to) not in right:
            return f"{value} 从 {source} 到 {to} 不用发：那里没有算子用它"
    for value, source, to in sorted(right - found.keys()):
        users = "、".join(o for o, v in uses.items() if value in v and rank_of[o] == to)
        return f"少了 {value} 从 {source} 到 {to}：{users} 要用"
    return ""


def shown_graph(uses: Uses, rank_of: Places) -> str:
    """Return a graph and its placement, for the reader."""
    return f"uses = {uses}\nrank_of = {rank_of}"


def fault_of_bytes(answer: object, stage: int, n: int, p: int, m: int) -> str:
    """Say what a count of a step's bytes overlooks; "" for the right one."""
    part = (p - 1) * n / p
    times = {0: 2, 1: 2, 2: m + 1, 3: 3 * m}[stage]
    near = {
        "少乘了 (p - 1)/p：自己的一份不用发": times * n,
        "要乘 (p - 1)/p，不是 p - 1：那是所有 rank 加起来的": times * (p - 1) * n,
    }
    if stage < 2:
        near["梯度先在本地累积，最后只归约一次"] = 2 * m * part
        near["m 个微批次的梯度加在一起再归约；全收集一次"] = (m + 1) * part
        near["归约散发之后还有一次全收集"] = part
    if stage == 2:
        near["第 2 阶段不留整份梯度：每个微批次都要归约散发"] = 2 * part
        near["全收集在更新之后，一步只有一次"] = 2 * m * part
        near["更新之后还有一次全收集"] = m * part
    if stage == 3:
        near["每个微批次都要重新收集权重"] = (m + 2) * part
        near["这是一个微批次的"] = 3 * part
        near["正向、反向各收集一次，再归约散发一次：三次"] = 2 * m * part
        near["更新之后不用再收集：下一步正向会收集"] = (3 * m + 1) * part
    return fault_of_count(answer, times * part, near)


def shown_step(stage: int, n: int, p: int, m: int) -> str:
    """Return a case of `stage_bytes`, for the reader."""
    return f"stage = {stage}、n = {n}、p = {p}、m = {m}"
