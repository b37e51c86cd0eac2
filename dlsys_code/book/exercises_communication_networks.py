"""What chapter 3 asks a reader of networks: rings, orders of ranks, fair shares.

Whoever answers wrongly is told which link is not there, is over-full or could carry
more, or how many messages leave their leaf.
"""

from collections.abc import Sequence

import networkx as nx

from dlsys_code.architecture.graph import Cable, endpoints
from dlsys_code.architecture.machines import cube_mesh
from dlsys_code.architecture.search import all_rings, hops
from dlsys_code.architecture.topology import torus
from dlsys_code.communication.plan import on_ranks
from dlsys_code.primitive import tree

LINK = Cable(bandwidth=25e9, kind="NVLink 2")
LEAVES = (  # of every rank
    [0, 1, 0, 1],
    [0, 0, 0],
    [0, 1, 2, 3, 0, 1, 2, 3],
    [2, 0, 1, 1, 0, 2, 2, 0, 1, 0],
)
Paths = Sequence[Sequence[int]]
CLOSE = 1e-6  # relative
FLOWS: tuple[tuple[Paths, Sequence[float]], ...] = (
    ([[0]], [3.0]),
    ([[0], [0], [0]], [6.0]),
    ([[0], [1], [0, 1]], [4.0, 10.0]),
    ([[0], [0], [0, 1], [1], [1, 2]], [6.0, 10.0, 3.0]),
    ([[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]], [1.0, 7.0, 5.0, 3.0]),
    ([[0, 1, 2, 3], [0], [1], [2], [3], [3]], [8.0, 6.0, 4.0, 6.0]),
)


def meshes() -> list[nx.Graph]:
    """Return graphs of devices and direct links; the last two have no ring."""
    whole, cut, hung = cube_mesh(LINK), cube_mesh(LINK), cube_mesh(LINK)
    cut.remove_edges_from([(0, 3), (5, 6)])
    hung.remove_edges_from([(0, 1), (0, 2), (0, 3)])  # 0 hangs on 4 alone
    between = nx.complete_bipartite_graph(3, 4)  # 3 devices cannot part 4 others
    return [whole, cut, torus((2, 4), LINK), torus((3, 3), LINK), hung, between]


def fault_of_ring(answer: object, links: nx.Graph) -> str:
    """Say what is wrong with a ring over all devices of `links`; [] says there is none.

    "" for a right answer.
    """
    try:
        ring = tuple(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列设备编号；没有环就返回 []"
    if not ring:
        return "返回了 []，其实有环" if all_rings(links) else ""
    if fault := fault_of_visit(ring, endpoints(links)):
        return fault
    missing = [(a, b) for a, b in hops(ring) if not links.has_edge(a, b)]
    if not missing:
        return ""
    a, b = missing[0]
    last = "（最后一个要回到第一个）" if (a, b) == (ring[-1], ring[0]) else ""
    return f"{list(ring)} 里 {a} 和 {b} 之间没有 NVLink{last}"


def shown_mesh(links: nx.Graph) -> str:
    """Return how large a graph is, for the reader."""
    return f"{len(links)} 个设备，{links.number_of_edges()} 对直连"


def fault_of_visit(ring: tuple, devices: list[int]) -> str:
    """Say which device a ring leaves out, or visits twice; "" for none."""
    for device in devices:
        if ring.count(device) != 1:
            return f"{list(ring)} 里 {device} 出现 {ring.count(device)} 次"
    strange = set(ring) - set(devices)
    return f"没有 {min(strange, key=str)}" if strange else ""


def fault_of_order(answer: object, leaf: list[int]) -> str:
    """Say how often an order leaves a leaf, if another one does so less; "" if none."""
    try:
        order = tuple(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列 rank"
    if fault := fault_of_visit(order, list(range(len(leaf)))):
        return fault
    crossings = sum(leaf[a] != leaf[b] for a, b in hops(order))
    leaves = len(set(leaf))
    least = leaves if leaves > 1 else 0
    if crossings == least:
        return ""
    return f"{list(order)} 一圈跨叶 {crossings} 次，{least} 次就够"


def all_racks() -> list[list[list[int]]]:
    """Return the ranks of equal racks, 2 or 4 of them, of each case."""
    counts = [(2, 1), (2, 2), (2, 4), (4, 2), (4, 4)]
    in_order = [
        [list(range(i * size, (i + 1) * size)) for i in range(racks)]
        for racks, size in counts
    ]
    return [*in_order, [[5, 0, 3, 6], [2, 7, 1, 4]]]


def fault_of_tree(answer: object, racks: list[list[int]]) -> str:
    """Say how many messages of a tree leave their rack, if fewer can; "" if not."""
    rack = {rank: i for i, ranks in enumerate(racks) for rank in ranks}
    try:
        order = tuple(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列 rank"
    if fault := fault_of_visit(order, sorted(rack)):
        return fault
    plan = on_ranks(order, tree.all_reduce_messages(len(order), 1, 4))
    across = sum(rack[m.source] != rack[m.destination] for m in plan)
    least = 2 * (len(racks) - 1)
    return f"{list(order)} 跨机架 {across} 条，{least} 条就够" if across > least else ""


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
