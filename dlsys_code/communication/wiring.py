"""Which hosts, racks and cables an emulated cluster has, before any of it is made.

Two racks are wired to each other; more racks to a switch of their own::

    0  1     2  3     4  5     6  7      ranks
    host 0   host 1   host 2   host 3
        rack 0  ----------  rack 1       two racks of two hosts of two ranks

As a graph (`Plan.graph`) ranks are the numbers 0 .. N - 1, wired to their host by what
the host's own loopback can do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite

import networkx as nx

from dlsys_code.architecture.graph import Cable, connect, with_devices
from dlsys_code.communication.link import Link
from dlsys_code.communication.shaping import PAYLOAD_SHARE

MOST_HOSTS = 64
SPINE = "spine 0"
LOOPBACK = Link(latency_s=0.0, bandwidth=4e9)  # a guess, until it is measured


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A cable between two nodes, each with a device that is named after the other."""

    near: str
    far: str
    bandwidth: float  # bytes/s, of either direction

    def device(self, node: str) -> str:
        """Return the name of the device at one end."""
        other = self.far if node == self.near else self.near
        return "eth0" if node.startswith("host") else other.replace(" ", "")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a ping-pong says of each way that a message can go.

    host: between ranks of one host.  rack: between hosts of a rack.  spine: between
    racks.  crowd_s: what is added to the latency when all ranks send at once [s];
    crowd_s_per_byte: for each byte that each of them sends.
    """

    host: Link
    rack: Link
    spine: Link
    crowd_s: float = 0.0
    crowd_s_per_byte: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a cluster is wired.

    hosts: of a rack.  ranks: of a host.  host_bandwidth, spine_bandwidth: of the link
    of a host, and of a rack, in either direction [bytes/s].
    Errors: ValueError for a number that no cluster can have.
    """

    racks: int
    hosts: int
    ranks: int
    host_bandwidth: float
    spine_bandwidth: float

    def __post_init__(self):
        for name in ("racks", "hosts", "ranks"):
            n = getattr(self, name)
            if not isinstance(n, int) or isinstance(n, bool) or n < 1:
                raise ValueError(f"{name} is a whole number from 1 up, not {n!r}")
        if self.racks * self.hosts > MOST_HOSTS:
            raise ValueError(
                f"{self.racks} racks of {self.hosts} hosts are "
                f"{self.racks * self.hosts} hosts, and {MOST_HOSTS} are the most"
            )
        for name in ("host_bandwidth", "spine_bandwidth"):
            b = getattr(self, name)
            if not isinstance(b, int | float) or not 1000 <= b < inf or not isfinite(b):
                raise ValueError(f"{name} is at least 1000 bytes/s, not {b!r}")

    def host_names(self) -> list[str]:
        """Return all hosts, in the order of their ranks."""
        return [f"host {i}" for i in range(self.racks * self.hosts)]

    def rack_names(self) -> list[str]:
        """Return the racks, and the switch between them where there is one."""
        racks = [f"rack {i}" for i in range(self.racks)]
        return racks + [SPINE] * (self.racks > 2)

    def rack_of(self, host: int) -> str:
        """Return the rack of host number `host`."""
        return f"rack {host // self.hosts}"

    def ranks_of(self, host: int) -> range:
        """Return the ranks that live on host number `host`."""
        return range(host * self.ranks, (host + 1) * self.ranks)

    def wires(self) -> Iterator[Wire]:
        """Yield every cable."""
        for i, host in enumerate(self.host_names()):
            yield Wire(near=host, far=self.rack_of(i), bandwidth=self.host_bandwidth)
        racks = self.rack_names()[: self.racks]
        pairs = [(rack, SPINE) for rack in racks]
        if self.racks <= 2:
            pairs = list(zip(racks, racks[1:], strict=False))
        for near, far in pairs:
            yield Wire(near=near, far=far, bandwidth=self.spine_bandwidth)

    def graph(self, measured: Measured | None = None) -> nx.Graph:
        """Return the network that a simulation needs; bandwidth is that of payload.

        measured: what ping-pongs say; without it links have the bandwidth that they
        were given, less what framing takes, and no latency.
        """
        if measured is None:
            host = Cable(bandwidth=PAYLOAD_SHARE * self.host_bandwidth, kind="host")
            spine = Cable(bandwidth=PAYLOAD_SHARE * self.spine_bandwidth, kind="spine")
            inside = Cable(bandwidth=LOOPBACK.bandwidth, kind="loopback")
        else:
            inside, host, spine = self.cables(measured)
        hosts = len(self.host_names())
        network = with_devices([(r,) for r in range(hosts * self.ranks)])
        for i, name in enumerate(self.host_names()):
            network.add_node(name, kind="nic", tier=0)
            for rank in self.ranks_of(i):
                connect(network, rank, name, inside)
        for name in self.rack_names():
            network.add_node(name, kind="switch", tier=2 if name == SPINE else 1)
        for wire in self.wires():
            between_racks = wire.near.startswith("rack")
            connect(network, wire.near, wire.far, spine if between_racks else host)
        return network

    def cables(self, measured: Measured) -> tuple[Cable, Cable, Cable]:
        """Return the cables inside a host, to a host and between racks.

        A way inside a host has two cables, in a rack four, across as many more as lie
        between two racks; each kind shares what its way has more than the one before.
        """
        alphas = [link.latency_s for link in (measured.host, measured.rack)]
        crossings = 1 if self.racks <= 2 else 2
        extra = [
            alphas[0] / 2,
            max(0.0, alphas[1] - alphas[0]) / 2,
            max(0.0, measured.spine.latency_s - alphas[1]) / crossings,
        ]
        kinds = ("loopback", "host", "spine")
        links = (measured.host, measured.rack, measured.spine)
        inside, host, spine = (
            Cable(bandwidth=link.bandwidth, latency_s=latency_s, kind=kind)
            for link, latency_s, kind in zip(links, extra, kinds, strict=True)
        )
        return inside, host, spine
