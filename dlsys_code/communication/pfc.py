"""PFC: two switches in a row and a short port; full buffers drop, or links pause.

Hosts on switch A send through one uplink to ports of switch B.  Some want the same
port; one more, the victim, wants a port of its own::

    host 0 .. k-1  ->                          -> port 0  (all k want it)
                       switch A  ->  switch B
    host k, victim ->                          -> port 1  (nobody else does)

The uplink carries the line rates of all hosts together, so only port 0 is ever short.
A full buffer drops.  With PFC (priority flow control) a switch that holds more than
X_OFF bytes tells the links into it to pause, and below X_ON to go on::

    without PFC   bytes are lost; a receiver that misses a packet throws the rest of the
                  window away, and the sender goes back to it (go-back-N)
    with PFC      nothing is lost, and whoever shares a paused link waits as well

Bytes flow as a fluid in steps of 1 us, and a pause acts one step later.  Left out:
packets (a queue mixes its flows), acknowledgements, timeouts, priorities, unequal
hashing, and loops of switches, so that no deadlock can form.

Sums are rounded once (`fsum`), so that a run is the same in every version of Python.

Cost: PFC needs a buffer beyond X_OFF for what arrives before a pause acts.

Sources: IEEE 802.1Qbb-2011 (PFC); D. Bertsekas and R. Gallager, Data Networks, 2nd ed.,
1992, section 2.4 (go-back-N).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum

from dlsys_code.introduction.units import KB, Gbit, us


@dataclass(frozen=True, kw_only=True)
class Incast:
    """The hosts and the switches.

    Errors: ValueError for a number that is out of range, and for a buffer that cannot
    hold what arrives before a pause acts.
    """

    senders: int = 8  # k
    line: float = 40 * Gbit  # of every host and of every port [bytes/s]
    buffer: float = 1000 * KB  # of each switch, for these flows
    pause_above: float = 500 * KB  # X_OFF
    resume_below: float = 450 * KB  # X_ON
    stagger_s: float = 0.0  # host i begins i times this late; the victim at 0
    round_trip_s: float = 8 * us
    step_s: float = 1 * us
    packet_bytes: int = 1000

    def __post_init__(self):
        if self.senders < 1 or self.line <= 0:
            raise ValueError(
                f"an incast needs a sender and a line rate above 0, not {self.senders} "
                f"senders and {self.line:g} bytes/s"
            )
        if min(self.step_s, self.packet_bytes) <= 0:
            raise ValueError(
                f"a step and a packet are above 0, not {self.step_s:g} s and "
                f"{self.packet_bytes} bytes"
            )
        if self.stagger_s < 0 or self.round_trip_s < 0:
            raise ValueError(
                f"a delay is at least 0 s, not {self.stagger_s:g} s between two hosts "
                f"and {self.round_trip_s:g} s for a round trip"
            )
        if not 0 <= self.resume_below <= self.pause_above:
            raise ValueError(
                f"a link pauses above {self.pause_above:g} bytes and goes on below "
                f"{self.resume_below:g}: the second must be the smaller one"
            )
        if self.pause_above + self.headroom > self.buffer:
            raise ValueError(
                f"{self.buffer:g} bytes of buffer do not hold X_OFF = "
                f"{self.pause_above:g} and the {self.headroom:g} bytes that arrive "
                "before a pause acts"
            )

    @property
    def uplink(self) -> float:
        """The rate between the switches: no host has to share it [bytes/s]."""
        return (self.senders + 1) * self.line

    @property
    def headroom(self) -> float:
        """What arrives while a pause is on its way: two steps [bytes]."""
        return 2 * self.uplink * self.step_s

    def begins_s(self, host: int) -> float:
        """When a host begins to send; the victim begins at 0 [s]."""
        return host * self.stagger_s if host < self.senders else 0.0


@dataclass(kw_only=True)
class Run:
    """What happened; the victim is the last host of every list."""

    queue: list[float] = field(default_factory=list)  # at port 0 in every step [bytes]
    at_a: list[float] = field(default_factory=list)  # in switch A in every step [bytes]
    rates: list[list[float]] = field(default_factory=list)  # then of hosts [bytes/s]
    paused: list[bool] = field(default_factory=list)  # in every step: the hosts
    sent: list[float]  # by each host [bytes], so the next four
    delivered: list[float]
    useful: list[float]  # of the delivered: not thrown away by go-back-N
    dropped: list[float]
    held: list[float]  # by the switches at the end


class Switches:
    """The bytes of each host in both switches, and who has to pause."""

    def __init__(self, incast: Incast, pfc: bool):
        self.incast, self.pfc, self.hosts = incast, pfc, incast.senders + 1
        self.at_a, self.at_b, self.useful = ([0.0] * self.hosts for _ in range(3))
        self.hosts_pause = self.uplink_pauses = False
        counted = ("sent", "delivered", "useful", "dropped", "held")
        self.run = Run(**{name: [0.0] * self.hosts for name in counted})

    def send(self, now_s: float, wanted: Sequence[float]) -> list[float]:
        """Hosts put bytes into switch A, unless it told them to pause."""
        rates = [
            0.0 if self.hosts_pause or now_s < self.incast.begins_s(host) else rate
            for host, rate in enumerate(wanted)
        ]
        for host, rate in enumerate(rates):
            self.at_a[host] += rate * self.incast.step_s
            self.run.sent[host] += rate * self.incast.step_s
        self.run.rates.append(rates)
        self.run.paused.append(self.hosts_pause)
        self.run.at_a.append(fsum(self.at_a))
        return rates

    def cross(self, rates: Sequence[float]) -> None:
        """The uplink carries bytes to switch B, which drops what it cannot hold."""
        incast = self.incast
        most = 0.0 if self.uplink_pauses else incast.uplink * incast.step_s
        crossing = taken(self.at_a, most)
        room = incast.buffer - fsum(self.at_b[:-1])
        kept = taken(crossing[:-1], room) + crossing[-1:]
        for host in range(self.hosts):
            self.at_a[host] -= crossing[host]
            self.at_b[host] += kept[host]
            self.run.dropped[host] += crossing[host] - kept[host]
            loss = 1 - kept[host] / crossing[host] if crossing[host] else 0.0
            window = rates[host] * incast.round_trip_s / incast.packet_bytes
            self.useful[host] = useful_share(loss, window)

    def leave(self) -> list[float]:
        """Each port sends what a line carries; port 1 serves only the victim."""
        most = self.incast.line * self.incast.step_s
        leaving = taken(self.at_b[:-1], most) + taken(self.at_b[-1:], most)
        for host, left in enumerate(leaving):
            self.at_b[host] -= left
            self.run.delivered[host] += left
            self.run.useful[host] += left * self.useful[host]
        self.run.queue.append(fsum(self.at_b[:-1]))
        return leaving

    def pause(self) -> None:
        """Each switch tells the links into it to pause, or to go on, one step later."""
        if self.pfc:
            held_a, held_b = fsum(self.at_a), fsum(self.at_b)
            self.hosts_pause = has_to_pause(self.hosts_pause, held_a, self.incast)
            self.uplink_pauses = has_to_pause(self.uplink_pauses, held_b, self.incast)

    def end(self) -> Run:
        """Return what happened, and what has not arrived."""
        self.run.held = [a + b for a, b in zip(self.at_a, self.at_b, strict=True)]
        return self.run


def taken(waiting: Sequence[float], most: float) -> list[float]:
    """Return what leaves of each flow when at most `most` bytes do, in proportion."""
    total = fsum(waiting)
    if total <= most:
        return [*waiting]
    return [flow * (most / total) for flow in waiting]


def has_to_pause(paused: bool, held: float, incast: Incast) -> bool:
    """Return whether the links into a switch with `held` bytes pause next."""
    return held > (incast.resume_below if paused else incast.pause_above)


def useful_share(loss: float, window_packets: float) -> float:
    """Return the share of the delivered packets that go-back-N keeps.

    After a lost packet a whole window is sent again: 1 / (1 - loss + loss x window).
    """
    return 1 / (1 - loss + loss * max(window_packets, 1.0))
