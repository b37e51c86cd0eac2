"""How NCCL chooses: two algorithms, three protocols, six guesses, and the least wins.

Once the channels are known, NCCL asks no clock how long an all-reduce of n bytes takes
on p ranks of M nodes.  It adds up::

    time     alpha_0 + inside alpha_1 + across alpha_2 + sent n beta

             inside           across       sent
    ring     2 (p - M)        2 (M - 1)    2 (p - 1) / p
    tree     2 (p / M - 1)    2 log2(M)    2

    alpha_0   what the start takes     alpha_1, alpha_2   a step inside a node, across
    1 / beta  channels x bandwidth of one x the protocol's share, at most its limit

The constants depend on the algorithm and on the protocol, so there are six guesses.
With LL a flag travels beside every 4 bytes, with LL128 beside every 120, and no other
message has to say that they are there; Simple sends a block and then says so.  A step
is shortest with LL, a byte is cheapest with Simple.  The guesses have to rank the six,
not to say when a run will end.

Left out: NVLS, CollNet and PAT; channels of another speed across nodes than inside;
that few bytes run on few channels.

Sources: NVIDIA, NCCL, src/graph/tuning.cc, `ncclTopoTuneModel`, `ncclTopoGetAlgoTime`;
Z. Hu et al., "Demystifying NCCL", arXiv:2507.04786 (2025), on the protocols.
"""

from bisect import bisect_left
from math import inf
from typing import NamedTuple

from dlsys_code.communication.channels import Communicator

ALGORITHMS, PROTOCOLS = ("tree", "ring"), ("LL", "LL128", "Simple")
SMALLEST, LARGEST = 2**6, 2**28  # bytes, of the columns of the tree's correction
KERNELS, LEAST = 2, 64  # blocks on each channel; bytes of each that make a plateau
MARKS = 16  # sizes looked at in every doubling


class Choice(NamedTuple):
    """One guess: what NCCL could run, and how long it thinks that this takes [s]."""

    algorithm: str
    protocol: str
    time_s: float


def steps(algorithm: str, comm: Communicator) -> tuple[int, int]:
    """Return how many steps follow one another inside nodes, and across them."""
    if algorithm == "tree":
        return 2 * (comm.ranks_per_node - 1), 2 * (comm.nodes.bit_length() - 1)
    return 2 * (comm.ranks - comm.nodes), 2 * (comm.nodes - 1)


def latency_s(algorithm: str, protocol: str, comm: Communicator) -> float:
    """Return NCCL's guess for an all-reduce without bytes [s]."""
    inside, across = steps(algorithm, comm)
    base = comm.constant(f"base latency of {algorithm}", protocol)
    step = comm.constant(f"step latency of {algorithm} over {comm.medium}", protocol)
    if comm.nodes == 1:
        return base + inside * step
    if algorithm == "ring":  # whose every step waits for a post to the network
        posts = comm.constant("network posts of a step", protocol)
        step = max(step, posts * comm.constant("network post", comm.cpu))
    exposed = comm.ranks_per_node == 1  # no other rank of the node hides the network
    kind = "tree" if exposed else algorithm
    crossing = comm.constant(f"step latency of {kind} over network", protocol)
    return base + inside * step + across * crossing


def wire_speed(algorithm: str, protocol: str, comm: Communicator) -> float:
    """Return 1 / beta, the bytes that a rank sends per second [bytes/s]."""
    shares = f"share of {algorithm}, {'1 node' if comm.nodes == 1 else 'more'}"
    speed = comm.wire
    if algorithm == "tree":
        name = f"limit of a tree channel, {comm.architecture}"
        most = comm.channels * comm.constant(name, comm.scale)
        speed = min(speed * comm.constant(shares, "all"), most)
    most = protocol_limit(algorithm, protocol, comm)
    return min(speed * comm.constant(shares, protocol), most)


def protocol_limit(algorithm: str, protocol: str, comm: Communicator) -> float:
    """Return what a protocol sends at most, on however fast a wire [bytes/s]."""
    if protocol == "LL":  # across nodes it is the CPU that counts
        kind = comm.architecture if comm.nodes == 1 else comm.cpu
        return comm.constant(f"LL limit, {comm.scale}", kind)
    if protocol == "LL128":
        name = f"LL128 limit of a {algorithm} channel, {comm.architecture}"
        return comm.channels * comm.constant(name, comm.scale)
    return inf


def bandwidth(algorithm: str, protocol: str, comm: Communicator) -> float:
    """Return how many bytes are all-reduced per second [bytes/s]."""
    speed = wire_speed(algorithm, protocol, comm)
    return speed / 2 if algorithm == "tree" else speed / bus_factor(comm.ranks)


def bus_factor(p: int) -> float:
    """Return 2 (p - 1) / p: what a rank of a ring sends of each byte all-reduced.

    Errors: ValueError when p is less than 1.
    """
    if p < 1:
        raise ValueError(f"a group has at least 1 rank, not {p}")
    return 2 * (p - 1) / p


def time_s(n: int, algorithm: str, protocol: str, comm: Communicator) -> float:
    """Return NCCL's guess for an all-reduce of n bytes [s].

    Errors: ValueError for a negative n, or an unknown algorithm or protocol.
    """
    if n < 0:
        raise ValueError(f"a message has at least 0 bytes, not {n}")
    if algorithm not in ALGORITHMS or protocol not in PROTOCOLS:
        raise ValueError(
            f"{algorithm!r} with {protocol!r} is none of {', '.join(ALGORITHMS)} "
            f"with {', '.join(PROTOCOLS)}"
        )
    latency = latency_s(algorithm, protocol, comm)
    speed = bandwidth(algorithm, protocol, comm)
    if algorithm == "tree":
        return latency + n / (speed * tree_correction(n, protocol, comm))
    blocks = KERNELS * comm.channels * comm.ranks
    if protocol == "Simple" and comm.nodes > 1 and n // blocks >= LEAST:
        latency *= comm.constant("plateau of ring", comm.architecture)
    return latency + n / speed


def tree_correction(n: int, protocol: str, comm: Communicator) -> float:
    """Return the part of its bandwidth that a tree reaches at n bytes."""
    if n >= 2 * LARGEST:
        return 1.0
    column = 1 << (max(n, SMALLEST).bit_length() - 1)  # a power of two
    return comm.constant(f"tree correction, {protocol}", str(column))


def guesses(n: int, comm: Communicator) -> list[Choice]:
    """Return every guess for n bytes, the least first.  LL128 needs NVLink.

    Errors: ValueError for a negative n.
    """
    every = [
        Choice(algorithm, protocol, time_s(n, algorithm, protocol, comm))
        for algorithm in ALGORITHMS
        for protocol in PROTOCOLS
        if protocol != "LL128" or comm.medium == "NVLink"
    ]
    return sorted(every, key=lambda choice: choice.time_s)


def choose(n: int, comm: Communicator) -> Choice:
    """Return what NCCL runs for an all-reduce of n bytes: the least of its guesses.

    Errors: ValueError for a negative n.
    """
    return guesses(n, comm)[0]


def switches(comm: Communicator, *, low: int, high: int) -> list[tuple[int, Choice]]:
    """Return (n, choice) at `low` bytes, and wherever the choice changes up to `high`.

    Errors: ValueError when the sizes are not 0 < low < high.
    """
    if not 0 < low < high:
        raise ValueError(f"sizes go from more than 0 bytes upward, not {low} to {high}")
    doublings = (high // low).bit_length()
    marks = [int(low * 2 ** (i / MARKS)) for i in range(1, MARKS * doublings + 1)]
    found = [(low, choose(low, comm))]
    before = low
    for mark in [n for n in marks if n < high] + [high]:
        while choose(mark, comm)[:2] != (last := found[-1][1][:2]):
            sizes = range(before, mark + 1)
            n = sizes[
                bisect_left(sizes, True, key=lambda n: choose(n, comm)[:2] != last)
            ]
            found.append((n, choose(n, comm)))
            before = n
        before = mark
    return found
