"""What chapter 2 asks a reader of rings: a plan of an all-reduce, rings side by side.

Any plan that is right is taken, wherever the chunks begin; any rings that share no
cable, if there are as many as the links have room for.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache

import networkx as nx

from dlsys_code.architecture.graph import Cable, endpoints
from dlsys_code.architecture.machines import cube_mesh
from dlsys_code.architecture.search import disjoint_rings, hops
from dlsys_code.architecture.topology import torus
from dlsys_code.book.exercises_communication_networks import fault_of_visit

LINK = Cable(bandwidth=25e9, kind="NVLink 2")


def fault_of_plan(answer: object, p: int) -> str:
    """Say which rank sends the wrong chunk first, and why; "" for a right plan.

    answer: the chunk that every rank sends, in every round.  A chunk that is to pass
    all ranks in p - 1 rounds must go on in every round, in both halves.
    """
    try:
        plan = [list(row) for row in answer]
    except TypeError:
        return f"返回了 {answer!r}，要一张表：每轮一行，每个 rank 一个块号"
    if len(plan) != 2 * (p - 1):
        return f"有 {len(plan)} 轮，要 2 × (p - 1) = {2 * (p - 1)} 轮"
    for k, row in enumerate(plan):
        if len(row) != p or not set(row) <= set(range(p)):
            return f"第 {k} 轮是 {row}，要 {p} 个 0 到 {p - 1} 的块号"
        if len(set(row)) < p:
            return f"第 {k} 轮是 {row}：有两个 rank 发同一块，另一块没有人发"
    return next((said for k in range(1, len(plan)) if (said := halt(plan, k, p))), "")


def halt(plan: list[list[int]], k: int, p: int) -> str:
    """Say which chunk does not go on in round k; "" where all do."""
    came = [plan[k - 1][(r - 1) % p] for r in range(p)]
    if plan[k] == came:
        return ""
    r = next(r for r in range(p) if plan[k][r] != came[r])
    said = (
        f"第 {k} 轮 rank {r} 发第 {plan[k][r]} 块，可是它上一轮收到的是第 {came[r]} 块"
    )
    if k == p - 1:
        return f"{said}：后一半从刚加完的那一块发起"
    if plan[k] == plan[k - 1]:
        return f"{said}：每轮都发同一块，部分和走不远"
    if plan[k] == [plan[k - 1][(r + 1) % p] for r in range(p)]:
        return f"{said}：方向反了，块要跟着消息从 r 走到 r + 1"
    return f"{said}：刚收到的要接着往下传"


def shown_plan(p: int) -> str:
    """Return a case of the plan for the reader."""
    return f"p = {p}"


def meshes() -> list[nx.Graph]:
    """Return graphs of devices and links with room for 3, 2, 2, 1 and no rings."""
    whole, cut, hung = cube_mesh(LINK), cube_mesh(LINK), cube_mesh(LINK)
    cut.remove_edges_from([(0, 3), (5, 6)])
    hung.remove_edges_from([(0, 1), (0, 2), (0, 3)])  # 0 hangs on 4 alone
    return [whole, torus((3, 3), LINK), torus((2, 4), LINK), cut, hung]


@cache
def most_rings(cables: frozenset[tuple[int, int, int]]) -> int:
    """Return how many rings the links have room for: (a, b, cables) of each."""
    links = nx.Graph()
    links.add_nodes_from(sorted({node for a, b, _ in cables for node in (a, b)}))
    for a, b, n in cables:
        links.add_edge(a, b, cables=n)
    return len(disjoint_rings(links))


def fault_of_rings(answer: object, links: nx.Graph) -> str:
    """Say what is wrong with rings side by side; "" for as many as there can be."""
    try:
        rings = [tuple(ring) for ring in answer]
    except TypeError:
        return f"返回了 {answer!r}，要一列环，一个环是一列设备编号"
    for ring in rings:
        if fault := fault_of_visit(ring, endpoints(links)):
            return fault
        for a, b in hops(ring):
            if not links.has_edge(a, b):
                return f"{list(ring)} 里 {a} 和 {b} 之间没有 NVLink"
    return fault_of_sharing(rings, links) or fault_of_few(rings, links)


def shown_links(links: nx.Graph) -> str:
    """Return how large a graph is, for the reader."""
    cables = sum(n for _, _, n in links.edges(data="cables"))
    return f"{len(links)} 个设备，{cables} 条 NVLink"


def fault_of_sharing(rings: Sequence[tuple], links: nx.Graph) -> str:
    """Say which cables the rings use more often than they are there; "" for none."""
    used = Counter(frozenset(hop) for ring in rings for hop in hops(ring))
    for pair, times in used.items():
        a, b = sorted(pair)
        if times > (there := links.edges[a, b]["cables"]):
            return f"{a} 和 {b} 之间有 {there} 条 NVLink，这些环走了 {times} 次"
    return ""


def fault_of_few(rings: Sequence[tuple], links: nx.Graph) -> str:
    """Say how many rings more there is room for; "" for none."""
    most = most_rings(frozenset(links.edges(data="cables")))
    if len(rings) < most:
        return f"找到 {len(rings)} 个，放得下 {most} 个互不争用的环"
    return ""
