"""From the text of `nvidia-smi topo -m` to a graph: what a library finds out first.

The matrix says for every pair what lies between, the nearest first::

    NV#    # NVLinks, side by side
    PIX    one PCIe switch
    PXB    several PCIe switches, but no CPU
    PHB    a PCIe host bridge, so the CPU       NODE   several bridges of one CPU
    SYS    the link between CPUs                SOC    its older name

PIX is closer than PXB, and so on: pairs that are close join first, and each joint is a
switch or a CPU of the tree.  An NV# hides what lies between two devices on PCIe; it
follows from what they have in common, a NIC for one, else they count as far apart.
Affinities to cores and to memory are not read.

Source: NVIDIA, manual of nvidia-smi, "topo".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import networkx as nx

from dlsys_code.architecture.graph import Cable, connect, with_devices, with_tiers
from dlsys_code.introduction.published import load, named

JOINTS = (("pcie", {"PIX"}), ("pcie", {"PXB"}), ("cpu", {"PHB", "NODE"}))
ENTRY = re.compile(r"X|NV\d+|PIX|PXB|PHB|NODE|SYS|SOC")
Matrix = Mapping[tuple[str, str], str]


@dataclass(frozen=True, kw_only=True)
class Capture:
    """What somebody's machine said.  key, where and url: who published it, and where.

    nvlinks: how many a device of this machine has, which the matrix does not say.
    """

    name: str
    nvlinks: int
    key: str
    where: str
    url: str
    lines: Sequence[str]

    @property
    def text(self) -> str:
        """The output of `nvidia-smi topo -m`, as it was printed."""
        return "\n".join(self.lines)


@cache
def captures() -> tuple[Capture, ...]:
    """Return all captures of the table."""
    return tuple(Capture(**row) for row in load("topologies"))


def capture(name: str) -> Capture:
    """Return the capture of that name, "DGX-1" for one.

    Errors: ValueError when the table has none.
    """
    return named("capture", {row.name: row for row in captures()}, name)


def read_matrix(text: str) -> tuple[list[str], Matrix]:
    """Return the names of the columns, and the entry of every pair.

    Errors: ValueError when there is no matrix, or when it is not whole and symmetric.
    """
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).split() for line in text.splitlines()]
    headers = [words for words in lines if words[:1] == ["GPU0"] and "X" not in words]
    if not headers:
        raise ValueError("no line begins with GPU0 and names the columns")
    header = headers[0]
    affinities = [i for i, word in enumerate(header) if word in ("CPU", "NUMA")]
    names = header[: min(affinities, default=len(header))]
    rows = {words[0]: words[1 : len(names) + 1] for words in lines if words[1:]}
    matrix = {}
    for a in names:
        entries = rows.get(a, [])
        if len(entries) < len(names) or not all(map(ENTRY.fullmatch, entries)):
            raise ValueError(f"row {a} needs {len(names)} entries, not {entries}")
        matrix |= {(a, b): entry for b, entry in zip(names, entries, strict=True)}
    for a, b in combinations(names, 2):
        if matrix[a, b] != matrix[b, a]:
            raise ValueError(f"{a} to {b} is {matrix[a, b]}, back it is {matrix[b, a]}")
    return names, matrix


def detect(
    text: str, *, nvlinks: int, nvlink: Cable, pcie: Cable, between_cpus: Cable
) -> nx.Graph:
    """Return the graph of a machine, from the output of `nvidia-smi topo -m`.

    nvlinks: how many every device has.  Where the entries of a row add up to more, they
    lead to a switch.
    Errors: ValueError for a matrix that cannot be read, and for NVLinks that cannot be.
    """
    names, matrix = read_matrix(text)
    gpus = [name for name in names if name.startswith("GPU")]
    nodes = {gpu: rank for rank, gpu in enumerate(gpus)}
    nodes |= _numbered([name for name in names if name not in nodes])
    network = with_devices([(rank,) for rank in range(len(gpus))])
    _join_nvlinks(network, gpus, matrix, nvlinks, nvlink)
    cpus = _join_pcie(network, nodes, matrix, pcie)
    for one, other in combinations(cpus, 2):
        connect(network, one, other, between_cpus)
    return with_tiers(network)


def _numbered(nics: list[str]) -> dict[str, str]:
    """Return the nodes of NICs: "mlx5_2" is NIC 2, if no other ends in a 2."""
    digits = [re.search(r"\d+$", name) for name in nics]
    numbers = [int(found.group()) if found else None for found in digits]
    if None in numbers or len(set(numbers)) < len(nics):
        numbers = list(range(len(nics)))
    return {name: f"nic {i}" for name, i in zip(nics, numbers, strict=True)}


def _join_nvlinks(
    network: nx.Graph, gpus: list[str], matrix: Matrix, nvlinks: int, nvlink: Cable
) -> None:
    bundles = {
        (a, b): int(matrix[gpus[a], gpus[b]][2:])
        for a, b in combinations(range(len(gpus)), 2)
        if matrix[gpus[a], gpus[b]].startswith("NV")
    }
    for rank, gpu in enumerate(gpus):
        linked = [n for pair, n in bundles.items() if rank in pair]
        if sum(linked) > nvlinks and set(linked) != {nvlinks}:
            raise ValueError(f"{gpu} has {nvlinks} NVLinks, not {linked}")
        if sum(linked) > nvlinks:
            connect(network, rank, "nvswitch 0", nvlink, cables=nvlinks)
    if "nvswitch 0" in network:
        return
    for (a, b), links in bundles.items():
        connect(network, a, b, nvlink, cables=links)


def _join_pcie(
    network: nx.Graph, nodes: Mapping[str, int | str], matrix: Matrix, pcie: Cable
) -> list[str]:
    """Join what is close by switches, then by CPUs; return the CPUs."""
    tops = {frozenset([name]): node for name, node in nodes.items()}
    made = {"pcie": 0, "cpu": 0}
    for kind, entries in JOINTS:
        for cluster in _clusters(tops, matrix, entries):
            if len(cluster) == 1 and kind == "pcie":
                continue
            above = f"{kind} {made[kind]}"
            made[kind] += 1
            for part in cluster:
                connect(network, tops.pop(part), above, pcie)
            tops[frozenset().union(*cluster)] = above
    return list(tops.values())


def _clusters(
    tops: Mapping[frozenset[str], int | str], matrix: Matrix, entries: set[str]
) -> list[list[frozenset[str]]]:
    """Return the parts of the tree that one of the entries brings together."""
    near = nx.Graph()
    near.add_nodes_from(tops)
    near.add_edges_from(
        (one, other)
        for one, other in combinations(tops, 2)
        if any(matrix[a, b] in entries for a in one for b in other)
    )
    order = list(tops)
    return [sorted(c, key=order.index) for c in nx.connected_components(near)]
