"""A cluster of hosts on one machine: real processes, real sockets, shaped links.

Every host is a network namespace with one port, `eth0`; every rack is one with a
switch, to which its hosts are wired: `wiring` says how, `cabling` does it.
`World(8, hosts=cluster)` puts every rank into its host before it joins the others; then
gloo knows no other network.  Ranks of one host talk over its own loopback.

A link has the bandwidth that it is given, in either direction, see `shaping`.  Latency
is not given: a kernel without netem cannot delay a packet.  It is what the kernel takes
for its work, some 0.1 ms, and is measured, as on a real network.

Nothing of a cluster outlives this process, however it ends: see `namespaces`.  Eight
hosts are made in 0.2 s.

Source: B. Lantz, B. Heller and N. McKeown, "A network in a laptop: rapid prototyping
for software-defined networks", HotNets (2010).
"""

import json
import os
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import networkx as nx

from dlsys_code.communication import namespaces
from dlsys_code.communication.cabling import address, lay
from dlsys_code.communication.namespaces import Namespace
from dlsys_code.communication.wiring import Measured, Plan, Wire


@dataclass(frozen=True, kw_only=True)
class EmulatedHost:
    """One host.  name: "host 3".  rack: "rack 1".  ranks: that live here."""

    name: str
    number: int
    rack: str
    ranks: range
    address: str
    network: Namespace

    def enter(self, rank: int) -> dict[str, str]:
        """Move the calling process in here; return what torchrun would tell it."""
        self.network.enter()
        return {
            "GLOO_SOCKET_IFNAME": "eth0",
            "GROUP_RANK": str(self.number),
            "LOCAL_RANK": str(self.ranks.index(rank)),
            "LOCAL_WORLD_SIZE": str(len(self.ranks)),
        }


class EmulatedCluster(Sequence):
    """Racks of hosts of ranks; as a sequence, the host of every rank.

    hosts: of a rack.  ranks: of a host.  host_bandwidth, spine_bandwidth: of the link
    of each host, and of each rack, in either direction [bytes/s].
    Errors: ValueError for a number that no cluster can have; RuntimeError where this
    machine cannot have any, with the reason: see `why_not`.
    """

    def __init__(
        self,
        *,
        racks: int,
        hosts: int,
        ranks: int,
        host_bandwidth: float,
        spine_bandwidth: float,
    ):
        self.plan = Plan(
            racks=racks,
            hosts=hosts,
            ranks=ranks,
            host_bandwidth=host_bandwidth,
            spine_bandwidth=spine_bandwidth,
        )
        names = [*self.plan.host_names(), *self.plan.rack_names()]
        files = ExitStack()
        self._finalizer = weakref.finalize(self, files.close)
        try:
            made = namespaces.make(len(names), files)
            self._networks = dict(zip(names, made, strict=True))
            self._wires = {frozenset((w.near, w.far)): w for w in self.plan.wires()}
            lay(list(self._wires.values()), self._networks)
        except BaseException:
            self.close()
            raise
        self.hosts = tuple(
            EmulatedHost(
                name=name,
                number=i,
                rack=self.plan.rack_of(i),
                ranks=self.plan.ranks_of(i),
                address=address(i),
                network=self._networks[name],
            )
            for i, name in enumerate(self.plan.host_names())
        )

    def __len__(self) -> int:
        return len(self.hosts) * self.plan.ranks

    def __getitem__(self, rank: int) -> EmulatedHost:
        return self.hosts[range(len(self))[rank] // self.plan.ranks]

    def __enter__(self) -> "EmulatedCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the cluster: it ends with the last rank that lives in it."""
        self._finalizer()

    @property
    def network(self) -> nx.Graph:
        """The cluster as a graph, with bandwidths as they were given."""
        return self.plan.graph()

    def measured_network(self, measured: Measured) -> nx.Graph:
        """Return the cluster as a graph, with links as they were measured."""
        return self.plan.graph(measured)

    def cut(self, a: str, b: str) -> None:
        """Cut the cable between two nodes, "rack 0" and "rack 1" for example.

        Nobody is told, as with a real cable: messages wait.
        Errors: ValueError when there is no such cable.
        """
        self._set(a, b, "down")

    def mend(self, a: str, b: str) -> None:
        """Join two nodes again.

        Errors: ValueError when there is no such cable.
        """
        self._set(a, b, "up")

    def carried(self, a: str, b: str) -> int:
        """Return the bytes of all frames that node a has sent to its neighbour b.

        Errors: ValueError when there is no cable between them.
        """
        asked = ["tc", "-s", "-j", "qdisc", "show", "dev", self._wire(a, b).device(a)]
        (root,) = (
            row for row in json.loads(self._networks[a].run(*asked)) if row.get("root")
        )
        return root["bytes"]

    def _set(self, a: str, b: str, state: str) -> None:
        wire = self._wire(a, b)
        # At the switch: a host whose own port is down knows it, and drops its routes.
        node = wire.far
        command = ("ip", "link", "set", "dev", wire.device(node), state)
        self._networks[node].run(*command)

    def _wire(self, a: str, b: str) -> Wire:
        if frozenset((a, b)) not in self._wires:
            raise ValueError(f"there is no cable between {a!r} and {b!r}")
        return self._wires[frozenset((a, b))]


def hurry() -> bool:
    """Let the threads of this rank run as soon as they are woken; say if they may.

    A host of its own has a core for every rank.  Here they share some, and a thread
    that is woken waits for the time slices of others, milliseconds in all, unless it
    has real-time priority.  Root may give it; who ends the ranks still gets a turn.
    """
    try:
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


def why_not() -> str | None:
    """Return why this machine cannot have a cluster, in one line; None if it can."""
    return namespaces.why_not()
