"""What exchanging the gradients of a step takes: two questions, five answers, priced.

Who holds the weights, and in which pattern do messages move?  On hosts of 8 devices
whose network ports meet in one switch, every message of n bytes inside a host takes
alpha' + beta' n, and alpha + beta n between two hosts.  For p ranks on M = p / 8 hosts,
with the rounds of `cost` and the plans of `architecture.traffic` and `primitive`::

    one server apart     2 p (alpha + beta n)
    server on rank 0     2 (p - 8) (alpha + beta n) + 2 x 7 (alpha' + beta' n)
    servers on all       2 (p - 1) (alpha + beta n / p)
    ring                 2 (p - 1) (alpha + beta n / p)
    two levels           2 x 7 (alpha' + beta' n / 8) + 2 (M - 1) (alpha + beta n / p)

With 8 ranks or fewer all but the first stay inside a host.  A server meets its workers
one after the other, in both directions: a message waits for its receiver, as with a
rendezvous of `timeline`.  Adding and computing take no time, and nothing overlaps.

Sources: E. Chan, M. Heimlich, A. Purkayastha and R. van de Geijn, Concurrency and
Computation: Practice and Experience 19 (2007) 1749-1783; M. Li et al., "Scaling
distributed machine learning with the parameter server", OSDI 2014.
"""

from dataclasses import dataclass

import networkx as nx

from dlsys_code.architecture.graph import Cable, connect, with_devices, with_tiers
from dlsys_code.communication.cost import ring_all_reduce
from dlsys_code.communication.formulas import hierarchical_all_reduce
from dlsys_code.communication.link import Link, transfer_time_s


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """Hosts of `size` devices.  near: a way inside a host.  far: one between hosts.

    Errors: ValueError for hosts without devices.
    """

    near: Link
    far: Link
    size: int = 8

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"a host has at least 1 device, not {self.size}")

    def inside(self, p: int) -> int:
        """Return how many of p ranks share the host of rank 0.

        Errors: ValueError when there is no rank, or a host that is not full.
        """
        if p < 1 or (p > self.size and p % self.size):
            raise ValueError(f"{p} ranks do not fill hosts of {self.size} devices")
        return min(p, self.size)

    def slowest(self, p: int) -> Link:
        """Return the way that decides how long a round of p ranks takes."""
        return self.near if self.inside(p) == p else self.far

    def network(self, p: int) -> nx.Graph:
        """Return the hosts of p ranks, and one more with a device, p, by itself."""
        self.inside(p)
        inside = Cable(
            bandwidth=self.near.bandwidth,
            latency_s=self.near.latency_s / 2,
            kind="NVLink",
        )
        port = Cable(
            bandwidth=self.far.bandwidth,
            latency_s=self.far.latency_s / 4,
            kind="network",
        )
        network = with_devices([divmod(rank, self.size) for rank in range(p + 1)])
        for rank in range(p + 1):
            connect(network, rank, f"nic {rank}", port)
            connect(network, f"nic {rank}", "leaf 0", port)
            if rank < p:
                connect(network, rank, f"nvswitch {rank // self.size}", inside)
        return with_tiers(network)


def one_server(p: int, count: int, item: int, hosts: Hosts) -> float:
    """Return the time for a server on a host of its own and p workers [s]."""
    hosts.inside(p)
    return 2 * p * transfer_time_s(count * item, hosts.far)


def server_on_rank_0(p: int, count: int, item: int, hosts: Hosts) -> float:
    """Return the time for p workers of which rank 0 is the server, too [s]."""
    mates, n = hosts.inside(p), count * item
    near_s, far_s = (transfer_time_s(n, link) for link in (hosts.near, hosts.far))
    return 2 * (mates - 1) * near_s + 2 * (p - mates) * far_s


def sharded(p: int, count: int, item: int, hosts: Hosts) -> float:
    """Return the time for p workers that all serve an equal range: that of a ring [s].

    A worker meets p - 1 servers and a server p - 1 workers, for 1/p of the bytes each.
    """
    return ring(p, count, item, hosts)


def ring(p: int, count: int, item: int, hosts: Hosts) -> float:
    """Return the time of one ring through all ranks, host by host [s]."""
    slowest = hosts.slowest(p)
    return ring_all_reduce(p, count, item).time_s(slowest)


def two_levels(p: int, count: int, item: int, hosts: Hosts) -> float:
    """Return the time of rings inside all hosts, across, and inside again [s]."""
    inside = hosts.inside(p)
    near, far = hierarchical_all_reduce(inside, p // inside, count, item)
    return near.time_s(hosts.near) + far.time_s(hosts.far)
