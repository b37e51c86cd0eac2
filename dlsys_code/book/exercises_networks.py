"""Exercises on networks: counts of fat-trees, and orders of the devices on a ring.

Whoever answers wrongly is told which link is not there, or how often the ring leaves
its leaf.
"""

import networkx as nx

from dlsys_code.architecture.machines import cube_mesh
from dlsys_code.architecture.search import all_rings, hops
from dlsys_code.architecture.topology import Cable, endpoints, torus
from dlsys_code.book.exercises import Exercise, Puzzle, Question

LINK = Cable(bandwidth=25e9, kind="NVLink 2")
LEAVES = (  # of every rank
    [0, 1, 0, 1],
    [0, 0, 0],
    [0, 1, 2, 3, 0, 1, 2, 3],
    [2, 0, 1, 1, 0, 2, 2, 0, 1, 0],
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


def fault_of_visit(ring: tuple, devices: list[int]) -> str:
    """Say which device a ring leaves out, or visits twice; "" for none."""
    for device in devices:
        if ring.count(device) != 1:
            return f"{list(ring)} 里设备 {device} 出现 {ring.count(device)} 次"
    strange = set(ring) - set(devices)
    return f"没有设备 {min(strange, key=str)}" if strange else ""


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


EXERCISES: dict[str, Exercise] = {
    "fat_tree_devices": Question(
        value=48**3 / 4,
        unit="台",
        near={
            48**2 / 2: "这是两层的；三层还要乘 k / 2",
            48**3 / 2: "每台叶交换机只有一半端口向下",
            48**3: "每一层都有一半端口向上，不能全拿来接主机",
            48**2 / 4: "这是核心交换机的台数",
        },
        hints=[
            "k 个 pod，每个 pod 有 k / 2 台叶交换机。",
            "每台叶交换机有 k / 2 个口向下。三个数乘起来。",
        ],
    ),
    "leaf_ratio": Question(
        value=3.0,
        unit="比 1",
        near={
            4.0: "这是上下行的总带宽除以上行；收敛比是下行比上行",
            1 / 3: "倒了：下行在前，上行在后",
            0.75: "这是下行占总带宽的比例",
            6.0: "上行端口的速率是下行的两倍，要比带宽，不比端口数",
        },
        hints=[
            "收敛比 = 下行带宽 / 上行带宽。",
            "48 × 400，除以 8 × 800。",
        ],
    ),
    "fewest_crossings": Puzzle(
        cases=lambda: [(leaf,) for leaf in LEAVES],
        fault=fault_of_order,
        shown=lambda leaf: f"leaf = {leaf}",
        hints=[
            "同一台叶交换机下的 rank 排在一起，一圈跨几次？",
            "按 `leaf[rank]` 排序。",
        ],
    ),
    "ring_on_links": Puzzle(
        cases=lambda: [(links,) for links in meshes()],
        fault=fault_of_ring,
        shown=lambda links: f"{len(links)} 个设备，{links.number_of_edges()} 对直连",
        hints=[
            "从设备 0 出发，每次走到一个没去过的邻居；走不下去就退回一步。",
            "写成递归：`path` 已经走过；长度够了还要看最后一个能不能回到 `path[0]`。",
            "邻居是 `links[path[-1]]`；一条路都走不通时返回 `[]`。",
        ],
    ),
}
