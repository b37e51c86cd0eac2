"""A network as a graph: what stands in a cluster, and which cables join it.

A network is a `networkx.Graph`.  Its endpoints, one device and one rank each, are the
numbers 0 .. N - 1; all that only forwards has a name, "leaf 0" for one::

    node   kind        "device", "switch", "nvswitch", "cpu", "pcie" or "nic"
           tier        0 for devices, 1, 2, 3 for switches above, -1 for NVSwitches
           place       where a device stands: its coordinates, or (pod, leaf, slot)
    edge   cables      physical links side by side, each usable both ways at once
           bandwidth   [bytes/s] of all of them together, in one direction
           latency_s   [s] of one crossing
           kind        "NVLink 2" for one

Who builds one begins with `with_devices`, joins nodes with `connect`, and marks what
has a name with `with_tiers`.  `check` tells whether a plan can run on it.

Source: networkx, "Graph -- undirected graphs with self loops".
"""

from collections.abc import Sequence
from dataclasses import dataclass

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


def with_tiers(network: nx.Graph) -> nx.Graph:
    """Mark the kind and the tier of all but devices by their names; return the network.

    A node that is marked already keeps its marks.
    """
    for node, data in network.nodes(data=True):
        if isinstance(node, str) and not data:
            kind, tier = KINDS[node.split()[0]]
            data.update(kind=kind, tier=tier)
    return network


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
