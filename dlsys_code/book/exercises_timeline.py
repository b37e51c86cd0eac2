"""Exercises on shared links: fair shares, hashes that meet, an oversubscribed exchange.

Whoever shares unfairly is told which link is over-full, or which flow could still grow.
"""

from collections.abc import Sequence

from dlsys_code.book.exercises import Exercise, Puzzle, Question

Paths = Sequence[Sequence[int]]
CLOSE = 1e-6  # relative
CASES: tuple[tuple[Paths, Sequence[float]], ...] = (
    ([[0]], [3.0]),
    ([[0], [0], [0]], [6.0]),
    ([[0], [1], [0, 1]], [4.0, 10.0]),
    ([[0], [0], [0, 1], [1], [1, 2]], [6.0, 10.0, 3.0]),
    ([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]], [1.0, 7.0, 5.0, 3.0]),
    ([[0, 1, 2, 3], [0], [1], [2], [3], [3]], [8.0, 6.0, 4.0, 6.0]),
)


def fault_of_shares(answer: object, paths: Paths, capacities: Sequence[float]) -> str:
    """Say what is wrong with the rates of flows; "" for max-min fair ones.

    paths: the links of every flow.  capacities: of every link.
    """
    try:
        rates = [float(rate) for rate in answer]
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要一列速率，每条流一个"
    if len(rates) != len(paths):
        return f"有 {len(paths)} 条流，返回了 {len(rates)} 个速率"
    on = [
        [f for f, path in enumerate(paths) if link in path]
        for link in range(len(capacities))
    ]
    for link, flows in enumerate(on):
        used = sum(rates[flow] for flow in flows)
        if used > capacities[link] * (1 + CLOSE):
            return f"链路 {link} 容量 {capacities[link]:g}，走了 {used:.4g}"
    for flow, path in enumerate(paths):
        if not any(stopped(flow, rates, on[link], capacities[link]) for link in path):
            return (
                f"流 {flow} 的速率 {rates[flow]:.4g} 还能再大：它的链路里，"
                "没有一条是满的、又没有别的流比它快"
            )
    return ""


def stopped(
    flow: int, rates: Sequence[float], flows: Sequence[int], capacity: float
) -> bool:
    """Return whether a link with these flows is full and none of them is faster."""
    full = sum(rates[other] for other in flows) >= capacity * (1 - CLOSE)
    return full and rates[flow] >= max(rates[f] for f in flows) * (1 - CLOSE)


EXERCISES: dict[str, Exercise] = {
    "fair_share": Question(
        value=4.0,
        unit="GB/s",
        near={
            10 / 3: "c 在链路 0 上已经被卡住，用不完三分之一",
            5.0: "这是没有 c 的时候；c 还占着链路 1 的一份",
            8.0: "这是链路 1 给 c 之后剩下的，d 和 e 两条流还要分",
            2.0: "这是 a、b、c 在链路 0 上的一份；d 不走链路 0",
        },
        hints=[
            "先找最早满的链路：容量除以流的条数，哪条最小？",
            "链路 0 先满，c 停在 2。链路 1 剩下多少，还有几条流在长？",
        ],
    ),
    "mean_slowdown": Question(
        value=2.125,
        unit="倍",
        near={
            1.0: "平均每条路一条流，但这一步要等最挤的那条路",
            1.75: "这是随便挑一条流、它那条路上平均的条数；这一步要等最慢的一条",
            4.0: "这是全撞在一条路上，只占 4/256",
            2.0: "这是最常见的一种；三条、四条撞在一起的也要算",
        },
        hints=[
            "共 4^4 = 256 种；数出最挤的路上有 1、2、3、4 条流的各有几种。",
            "1 条：4! = 24 种；4 条：4 种；3 条：4 × 4 × 3 = 48 种；其余是 2 条。",
        ],
    ),
    "exchange_4_to_1": Question(
        value=32 * 992 / 8 / 1023,
        unit="倍",
        near={
            4.0: "给同一台叶上 31 块卡的那些不出叶，不走上行线",
            32 * 992 / 1023: "8 条上行线一起走",
            992 / 1023: "这是出叶的比例；还要看 32 块卡挤几条上行线",
        },
        hints=[
            "不争用时，最忙的是每块卡自己的线：1,023 份。",
            "一台叶出去 32 × 992 份，8 条上行线分担；和 1,023 比。",
        ],
    ),
    "fair_shares": Puzzle(
        cases=lambda: CASES,
        fault=fault_of_shares,
        shown=lambda paths, capacities: f"paths = {paths}、capacities = {capacities}",
        hints=[
            "所有流从 0 一起长；每条链路在多大的速率上满？取最小的一个。",
            "满了的链路上，流都停在这个速率；别的链路减去它们占的，再来一轮。",
            "一条链路的满点是 (容量 - 停下的流占的) / 还在长的流数；没有流在长就跳过。",
        ],
    ),
}
