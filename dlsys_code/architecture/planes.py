"""The network planes of a cluster: one host, several networks, each for its own bytes.

A host has ports in networks that share nothing, not even a switch.  The names differ by
vendor, the split does not::

    what goes over it              NVIDIA                 Ascend
    gradients, weights             compute fabric         parameter plane
    samples, checkpoints           storage fabric         storage plane
    jobs, heartbeats, logs         in-band management     service plane
    power, consoles                out-of-band management

All are wired alike here: the i-th port of a host hangs on the i-th leaf of its unit, so
that a host with two ports survives the loss of a switch, and with eight it has eight
rails.  With p ports a host, u units and s spines a plane has::

    u p leaves    s spines    hosts p + u p s cables side by side

What separate planes cost is counted in ports, switches and cables; what they buy is
that no checkpoint stands before a gradient, and that a host can be reached when its
other networks are down.

Sources: NVIDIA, "DGX SuperPOD: reference architecture", network fabrics; Huawei,
"MindCluster 7.3", cluster scheduling, network planning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import networkx as nx

from dlsys_code.architecture.graph import Cable, connect, with_devices, with_tiers


@dataclass(frozen=True, kw_only=True)
class Plane:
    """How every host hangs on one network.

    Errors: ValueError for a number below 1 (of spines: below 0).
    """

    ports: int  # of one host
    cable: Cable  # of one port, and between switches
    hosts_per_unit: int  # that share leaves
    spines: int = 0
    cables: int = 1  # side by side between a leaf and a spine

    def __post_init__(self):
        if min(self.ports, self.hosts_per_unit, self.spines + 1, self.cables) < 1:
            raise ValueError(
                f"{self.ports} ports, units of {self.hosts_per_unit} hosts, "
                f"{self.spines} spines and {self.cables} cables make no plane"
            )

    @property
    def bandwidth_per_host(self) -> float:
        """What one host sends over this plane at most [bytes/s]."""
        return self.ports * self.cable.bandwidth


def wire(plane: Plane, hosts: int) -> nx.Graph:
    """Return the network of one plane; its endpoints 0, 1, 2 ... are the hosts.

    Errors: ValueError for hosts that do not fill their units, and for several units
    without a spine between them.
    """
    units, rest = divmod(hosts, plane.hosts_per_unit)
    if hosts < 1 or rest:
        raise ValueError(f"{hosts} hosts do not fill units of {plane.hosts_per_unit}")
    if units > 1 and not plane.spines:
        raise ValueError(f"{units} units need a spine between them")
    network = with_devices([(host,) for host in range(hosts)])
    for host, port in product(range(hosts), range(plane.ports)):
        leaf = host // plane.hosts_per_unit * plane.ports + port
        connect(network, host, f"leaf {leaf}", plane.cable)
    for leaf, spine in product(range(units * plane.ports), range(plane.spines)):
        ends = f"leaf {leaf}", f"spine {spine}"
        connect(network, *ends, plane.cable, cables=plane.cables)
    return with_tiers(network)


def planes(plan: Mapping[str, Plane], hosts: int) -> dict[str, nx.Graph]:
    """Return the network of every plane by its name; host r is r in all of them.

    Errors: as `wire`.
    """
    return {name: wire(plane, hosts) for name, plane in plan.items()}


def ports(network: nx.Graph, host: int) -> int:
    """Return how many ports a host has in a plane, counted on its network."""
    return sum(network.edges[link]["cables"] for link in network.edges(host))
