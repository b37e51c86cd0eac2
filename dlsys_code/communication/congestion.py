"""Incast, simulated: many senders want one port, and three ways to deal with it.

The same hosts and switches (see `pfc`) run in three ways::

    simulate(incast, t)                              a full buffer drops
    simulate(incast, t, pfc=True)                    links pause, nothing is dropped
    simulate(incast, t, pfc=True, dcqcn=Dcqcn())     senders slow down, see `dcqcn`

Every host that has begun always has more to send, at the rate of the line or at the one
that DCQCN allows.  Whether a packet is marked is drawn at random, with a seed.

Cost: time is steps x hosts; 10 ms of 9 hosts take about 0.2 s.

Source: Y. Zhu et al., "Congestion control for large-scale RDMA deployments", SIGCOMM
2015; R. Jain, D. Chiu and W. Hawe, "A quantitative measure of fairness and
discrimination for resource allocation in shared computer systems", DEC TR-301, 1984.
"""

from collections.abc import Sequence
from math import fsum
from random import Random

from dlsys_code.communication.dcqcn import Dcqcn, Sender, marked_share
from dlsys_code.communication.pfc import Incast, Run, Switches


def simulate(
    incast: Incast,
    duration_s: float,
    *,
    pfc: bool = False,
    dcqcn: Dcqcn | None = None,
    seed: int = 0,
) -> Run:
    """Return what happens in `duration_s`; which packets are marked depends on `seed`.

    Errors: ValueError for a duration without a step.
    """
    steps, draw = round(duration_s / incast.step_s), Random(seed).random
    if steps < 1:
        raise ValueError(f"{duration_s} s hold no step of {incast.step_s} s")
    switches = Switches(incast, pfc)
    flows = [Sender(incast.line, dcqcn) for _ in range(switches.hosts)] if dcqcn else []
    for step in range(steps):
        now_s = step * incast.step_s
        wanted = [flow.rate.current for flow in flows] or [incast.line] * switches.hosts
        rates = switches.send(now_s, wanted)
        switches.cross(rates)
        queue = fsum(switches.at_b[:-1])
        leaving = switches.leave()
        for host, flow in enumerate(flows):
            packets = leaving[host] / incast.packet_bytes
            if host < incast.senders and draw() < packets * marked_share(queue, dcqcn):
                flow.marked(now_s, incast.round_trip_s)
            flow.passes(now_s, rates[host] * incast.step_s)
        switches.pause()
    return switches.end()


def jain_index(shares: Sequence[float]) -> float:
    """Return 1 for equal shares and 1 / k when one of k has everything.

    Errors: ValueError where nobody has anything.
    """
    squares = sum(share * share for share in shares)
    if squares == 0:
        raise ValueError(f"{len(shares)} shares of nothing are neither fair nor unfair")
    return sum(shares) ** 2 / (len(shares) * squares)
