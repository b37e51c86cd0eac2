"""Networks as graphs: what stands in a cluster, and which cables join it.

A network is a `networkx.Graph`.  Its endpoints, one device and one rank each, are the
numbers 0 .. N - 1; all that only forwards has a name, "leaf 0" for one::

    node   kind        "device", "switch", "nvswitch", "cpu", "pcie" or "nic"
           tier        0 for devices, 1, 2, 3 for switches above, -1 for NVSwitches
           place       where a device stands: its coordinates, or (pod, leaf, slot)
    edge   cables      physical links side by side, each usable both ways at once
           bandwidth   [bytes/s] of all of them together, in one direction
           latency_s   [s] of one crossing
           kind        "NVLink 2" for one

Direct networks have links between devices only, in the others every device hangs on a
switch.  With N devices, k ports on a switch and a torus of D dimensions::

                      devices   switches    cables
    ring              N         0           N
    torus             N         0           D N
    2-level fat-tree  k^2 / 2   3 k / 2     k^2         half of k^2 above the leaves
    3-level fat-tree  k^3 / 4   5 k^2 / 4   3 k^3 / 4   a third on every level

Sources: Al-Fares, A. Loukissas and A. Vahdat, "A scalable, commodity data center
network architecture", SIGCOMM 2008; W. J. Dally and B. Towles, "Principles and
practices of interconnection networks", Morgan Kaufmann 2004.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import networkx as nx

KINDS = {  # first word of a name -> kind, tier
    "nvswitch": ("nvswitch", -1),
    "nic": ("nic", 0),
    "pcie": ("pcie", 1),
    "cpu": ("cpu", 2),
    "router": ("switch", 1),
    "leaf": ("switch", 1),
    "spine": ("switch", 2),
    "core": ("switch", 3),
}


@dataclass(frozen=True, kw_only=True)
class Cable:
    """One physical link, both ways at once.

    Errors: ValueError when the latency is negative or the bandwidth not positive.
    """

    bandwidth: float  # bytes/s, in one direction
    latency_s: float = 0.0
    kind: str = "cable"

    def __post_init__(self):
        if self.latency_s < 0 or not self.bandwidth > 0:
            raise ValueError(
                "a cable needs a latency of at least 0 s and a bandwidth above 0 B/s, "
                f"not {self.latency_s} s and {self.bandwidth} B/s"
            )


def with_devices(places: Sequence[tuple[int, ...]]) -> nx.Graph:
    """Return a network of devices 0, 1, 2 ... at these places, without any cable."""
    network = nx.Graph()
    for rank, place in enumerate(places):
        network.add_node(rank, kind="device", tier=0, place=place)
    return network


def connect(
    network: nx.Graph, a: int | str, b: int | str, cable: Cable, *, cables: int = 1
) -> None:
    """Join two nodes by cables of one kind, beside those that are there already.

    Errors: ValueError for no cable at all, or one of another kind than is there.
    """
    if cables < 1:
        raise ValueError(f"{a} and {b} cannot be joined by {cables} cables")
    present = network.get_edge_data(a, b, {"cables": 0, "kind": cable.kind})
    if present["kind"] != cable.kind:
        raise ValueError(
            f"{a} and {b} are joined by {present['kind']}, not {cable.kind}"
        )
    together = present["cables"] + cables
    network.add_edge(
        a,
        b,
        cables=together,
        bandwidth=together * cable.bandwidth,
        latency_s=cable.latency_s,
        kind=cable.kind,
    )


def endpoints(network: nx.Graph) -> list[int]:
    """Return the devices of a network: 0 .. N - 1."""
    return sorted(node for node in network if isinstance(node, int))


def check(network: nx.Graph) -> None:
    """Refuse a network over which no plan can run.

    Errors: ValueError when it has no devices or numbers them with gaps, when a link
    has no bandwidth, or when some devices cannot reach the others.
    """
    devices = endpoints(network)
    if not devices or devices != list(range(len(devices))):
        raise ValueError(f"devices are numbered 0 .. N - 1, not {devices[:8]}")
    for a, b, link in network.edges(data=True):
        if not link["bandwidth"] > 0 or link["latency_s"] < 0:
            raise ValueError(
                f"the link {a} - {b} has {link['bandwidth']} B/s "
                f"and a latency of {link['latency_s']} s"
            )
    reached = nx.node_connected_component(network, 0)
    lost = [device for device in devices if device not in reached]
    if lost:
        raise ValueError(
            f"device 0 reaches {len(devices) - len(lost)} of {len(devices)} devices, "
            f"not {lost[:8]}"
        )


def ring(devices: int, cable: Cable) -> nx.Graph:
    """Return a ring; two devices are joined by two cables.

    Errors: ValueError for fewer than 2 devices.
    """
    return torus((devices,), cable)


def torus(shape: Sequence[int], cable: Cable) -> nx.Graph:
    """Return a torus: every device has two cables in every dimension.

    shape: the devices along each dimension.  Ranks count the last one fastest.
    Errors: ValueError for a dimension of fewer than 2 devices.
    """
    if not shape or min(shape) < 2:
        raise ValueError(f"a torus has at least 2 devices a dimension, not {shape}")
    places = list(product(*map(range, shape)))
    rank = {place: r for r, place in enumerate(places)}
    network = with_devices(places)
    for place in places:
        for axis, length in enumerate(shape):
            further = (*place[:axis], (place[axis] + 1) % length, *place[axis + 1 :])
            connect(network, rank[place], rank[further], cable)
    return network


def spine_leaf(
    *,
    leaves: int,
    spines: int,
    devices_per_leaf: int,
    cable: Cable,
    uplink: Cable | None = None,
    cables: int = 1,
) -> nx.Graph:
    """Return two levels of switches: every leaf is joined to every spine.

    uplink: the cables between switches, like `cable` where it is not given; cables: so
    many side by side.  A leaf is oversubscribed by devices_per_leaf / (spines cables).
    Errors: ValueError for a number below 1.
    """
    if min(leaves, spines, devices_per_leaf, cables) < 1:
        raise ValueError(
            f"{leaves} leaves, {spines} spines, {devices_per_leaf} devices a leaf "
            f"and {cables} cables do not make a network"
        )
    network = with_devices(list(product(range(leaves), range(devices_per_leaf))))
    for rank, (leaf, _) in list(network.nodes(data="place")):
        connect(network, rank, f"leaf {leaf}", cable)
    for leaf, spine in product(range(leaves), range(spines)):
        connect(
            network, f"leaf {leaf}", f"spine {spine}", uplink or cable, cables=cables
        )
    return with_tiers(network)


def fat_tree(
    radix: int,
    cable: Cable,
    *,
    levels: int = 3,
    oversubscription: int | Fraction = 1,
    uplink: Cable | None = None,
) -> nx.Graph:
    """Return the largest fat-tree of switches with `radix` ports.

    oversubscription: ports of a leaf to its devices over ports to the spines; the
    levels above are not oversubscribed.  uplink: the cables between switches.  A leaf
    is an edge switch of the paper, a spine an aggregation switch where there are cores.
    Errors: ValueError for other than 2 or 3 levels, an odd radix, and ports that cannot
    be shared in this proportion.
    """
    down = radix * Fraction(oversubscription) / (Fraction(oversubscription) + 1)
    if radix < 2 or radix % 2 or down.denominator != 1 or not 0 < down < radix:
        raise ValueError(
            f"the {radix} ports of a switch cannot be shared {oversubscription} to 1: "
            "a fat-tree needs an even number, and whole ports on both sides"
        )
    if levels not in (2, 3):
        raise ValueError(f"a fat-tree has 2 or 3 levels here, not {levels}")
    down, up, half = int(down), radix - int(down), radix // 2
    if levels == 2:
        return spine_leaf(
            leaves=radix,
            spines=up,
            devices_per_leaf=down,
            cable=cable,
            uplink=uplink,
        )
    network = with_devices(list(product(range(radix), range(half), range(down))))
    for rank, (pod, leaf, _) in list(network.nodes(data="place")):
        connect(network, rank, f"leaf {pod * half + leaf}", cable)
    for pod, spine, port in product(range(radix), range(up), range(half)):
        above = f"spine {pod * up + spine}"
        connect(network, f"leaf {pod * half + port}", above, uplink or cable)
        connect(network, above, f"core {spine * half + port}", uplink or cable)
    return with_tiers(network)


def with_tiers(network: nx.Graph) -> nx.Graph:
    """Mark the kind and the tier of all but devices by their names; return the network.

    A node that is marked already keeps its marks.
    """
    for node, data in network.nodes(data=True):
        if isinstance(node, str) and not data:
            kind, tier = KINDS[node.split()[0]]
            data.update(kind=kind, tier=tier)
    return network
