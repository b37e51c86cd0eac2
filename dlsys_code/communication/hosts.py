"""A cluster of hosts on one machine: real processes, real sockets, shaped links.

Every host is a network namespace with one port, `eth0`; every rack is one with a
switch, to which its hosts are wired.  Two racks are wired to each other, more to a
switch of their own::

    0  1     2  3     4  5     6  7      ranks
    host 0   host 1   host 2   host 3
        rack 0  ----------  rack 1       two racks of two hosts of two ranks

`World(8, hosts=cluster)` puts every rank into its host before it joins the others; then
gloo knows no other network.  Ranks of one host talk over its own loopback.

A link has the bandwidth that it is given, in either direction, see `shaping`.  Latency
is not given: a kernel without netem cannot delay a packet.  It is what the kernel takes
for its work, tens of microseconds, and is measured, as on a real network.

Nothing of a cluster outlives this process: see `namespaces`.

Source: B. Lantz, B. Heller and N. McKeown, "A network in a laptop: rapid prototyping
for software-defined networks", HotNets (2010).
"""

import json
import os
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from math import inf

import networkx as nx

from dlsys_code.communication import namespaces, shaping
from dlsys_code.communication.link import Link
from dlsys_code.communication.namespaces import Namespace

MOST_HOSTS = 64
SUBNET = "10.77.0"  # of this cluster; other clusters may have the same


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
