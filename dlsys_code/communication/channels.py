"""Channels: how many rings and trees NCCL lays over the links that it found.

One ring uses one link out of every GPU.  To use all of them NCCL searches the machine's
graph for channels that can run side by side, all of the same speed: it tries a speed,
lays channels until a link is full, and keeps what moves the most bytes.  Behind
NVSwitches every GPU reaches every other at full speed, so the search is a division::

    A100   12 links of 20 GB/s   240 GB/s = 6 x 40, cut into 12 channels of 20 GB/s
    H100   18 links of 20.6      6 x 60 of 370.8 GB/s, cut into 12 channels of 30

20 GB/s is what NCCL expects of a link that is sold as 25.

Source: NVIDIA, NCCL, src/graph/search.cc, `ncclTopoCompute`, `ncclTopoDupChannels`.
"""

from dataclasses import dataclass

from dlsys_code.communication.tuning import NEWEST, constant, row
from dlsys_code.introduction.units import GB

GIVES_UP = 0.49  # of the highest speed for which there is a channel
CUT_FROM = 25 * GB  # channels so fast are cut in two
KEPT_BELOW, KEPT_ABOVE = 50 * GB, 4  # but on a newer GPU, slower than this if so many


@dataclass(frozen=True, kw_only=True)
class Communicator:
    """What NCCL knows before it chooses: who takes part, and the channels it found.

    channel_bandwidth: of one channel, in one direction [bytes/s].  medium: inside a
    node, "NVLink" or "PCIe".  cpu: "intel" or "amd", counts between nodes only.
    Errors: ValueError for fewer than 2 ranks, no channel, or a name without constants.
    """

    ranks_per_node: int
    nodes: int = 1
    channels: int
    channel_bandwidth: float
    architecture: str = "ampere"
    medium: str = "NVLink"
    cpu: str = "intel"
    release: str = NEWEST

    def __post_init__(self):
        if self.nodes < 1 or self.ranks_per_node < 1 or self.ranks < 2:
            raise ValueError(
                "a collective needs at least 2 ranks, not "
                f"{self.nodes} nodes of {self.ranks_per_node}"
            )
        if self.channels < 1 or not self.channel_bandwidth > 0:
            raise ValueError(
                "a communicator needs a channel of more than 0 B/s, not "
                f"{self.channels} of {self.channel_bandwidth} B/s"
            )
        self.constant("LL limit, 1 node", self.architecture)
        if self.nodes > 1:
            self.constant("network post", self.cpu)
        self.constant(f"step latency of ring over {self.medium}", "LL")

    @property
    def ranks(self) -> int:
        """How many take part, on all nodes together."""
        return self.nodes * self.ranks_per_node

    @property
    def wire(self) -> float:
        """What a rank can send over all its channels [bytes/s]."""
        return self.channels * self.channel_bandwidth

    @property
    def scale(self) -> str:
        """The column of the tables that go by the number of nodes."""
        return {1: "1 node", 2: "2 nodes"}.get(self.nodes, "more")

    def constant(self, name: str, column: str) -> float:
        """Return a constant of this communicator's release of NCCL."""
        return constant(name, column, self.release)


def behind_nvswitch(
    ranks: int, *, links: int = 12, architecture: str = "ampere", release: str = NEWEST
) -> Communicator:
    """Return what the search finds on one node whose GPUs all hang on NVSwitches.

    links: NVLinks of one GPU, by default of an A100.  Of speeds that move as much the
    highest is kept.
    Errors: ValueError without links, for an architecture without speeds, or as of
    `Communicator`.
    """
    if links < 1:
        raise ValueError(f"a GPU behind NVSwitches has at least 1 link, not {links}")
    of_a_gpu = links * constant("NVLink", architecture)
    speeds = [
        speed * GB for speed in row(f"speeds tried, {architecture}").values.values()
    ]
    fits = [speed for speed in speeds if speed <= of_a_gpu]
    tried = [speed for speed in fits if speed > GIVES_UP * fits[0]]
    speed = max(tried, key=lambda speed: of_a_gpu // speed * speed)
    channels = int(of_a_gpu // speed)
    newer = architecture not in ("volta", "ampere")
    kept = newer and speed < KEPT_BELOW and channels > KEPT_ABOVE
    pieces = 2 if speed >= CUT_FROM and not kept else 1
    return Communicator(
        ranks_per_node=ranks,
        channels=pieces * channels,
        channel_bandwidth=speed / pieces,
        architecture=architecture,
        release=release,
    )
