"""DCQCN: a sender slows down when a switch marks its packets, and speeds up by itself.

A switch marks packets with a probability that grows with its queue.  The receiver of a
marked packet returns a CNP (congestion notification packet), at most one per flow in 50
us.  With R_C the rate of a sender and R_T the rate to which it goes back::

    a CNP           R_T = R_C;  R_C = R_C (1 - alpha / 2);  alpha = (1 - g) alpha + g
    no CNP, 55 us   alpha = (1 - g) alpha
    a turn          R_T = R_T + {0, R_AI, i R_HAI};  R_C = (R_T + R_C) / 2

A turn comes every 55 us and every 10 MB.  The first F turns after a CNP only go back to
R_T (fast recovery), the next add R_AI, and R_HAI where both clocks have made F turns.
The paper's alpha is an estimate of congestion, from 0 to 1, not a latency; below it is
called `congestion`.

Cost: nothing on an idle path; a sender hears of a queue only a round trip later, so the
first burst of an incast is not prevented.  The parameters are to be tuned.

Source: Y. Zhu et al., "Congestion control for large-scale RDMA deployments", SIGCOMM
2015.
"""

from dataclasses import dataclass
from typing import NamedTuple

from dlsys_code.introduction.units import KB, MB, Mbit, us


@dataclass(frozen=True, kw_only=True)
class Dcqcn:
    """The parameters that the paper deploys at 40 Gbit/s; R_HAI is our choice.

    Errors: ValueError for thresholds out of order and for a parameter out of range.
    """

    mark_from: float = 5 * KB  # K_min: a shorter queue marks nothing
    mark_all_from: float = 200 * KB  # K_max: a longer queue marks every packet
    most_marked: float = 0.01  # P_max, just below K_max
    gain: float = 1 / 256  # g
    cnp_interval_s: float = 50 * us
    timer_s: float = 55 * us  # of the turns, and of alpha without a CNP
    byte_counter: float = 10 * MB
    fast_turns: int = 5  # F
    additive: float = 40 * Mbit  # R_AI [bytes/s]
    hyper: float = 400 * Mbit  # R_HAI [bytes/s]

    def __post_init__(self):
        if not 0 <= self.mark_from <= self.mark_all_from:
            raise ValueError(
                f"marking begins at {self.mark_from:g} bytes and is complete at "
                f"{self.mark_all_from:g} bytes: the first must be the smaller one"
            )
        if not (0 <= self.most_marked <= 1 and 0 < self.gain < 1):
            raise ValueError(
                f"a probability is from 0 to 1 and a gain between them, not "
                f"{self.most_marked:g} and {self.gain:g}"
            )
        if min(self.timer_s, self.cnp_interval_s, self.byte_counter) <= 0:
            raise ValueError(
                f"timers and the byte counter are above 0, not {self.timer_s:g} s, "
                f"{self.cnp_interval_s:g} s and {self.byte_counter:g} bytes"
            )


class Rate(NamedTuple):
    """What a sender knows of one flow."""

    current: float  # R_C [bytes/s]
    target: float  # R_T [bytes/s]
    congestion: float = 1.0  # the paper's alpha


def marked_share(queue: float, control: Dcqcn) -> float:
    """Return the probability that a packet is marked behind `queue` bytes."""
    if queue <= control.mark_from:
        return 0.0
    if queue > control.mark_all_from:
        return 1.0
    ramp = (queue - control.mark_from) / (control.mark_all_from - control.mark_from)
    return ramp * control.most_marked


def after_cnp(rate: Rate, gain: float) -> Rate:
    """Return the rate after a CNP: cut by half of the congestion that was known."""
    return Rate(
        current=rate.current * (1 - rate.congestion / 2),
        target=rate.current,
        congestion=(1 - gain) * rate.congestion + gain,
    )


def after_silence(rate: Rate, gain: float) -> Rate:
    """Return the rate after a timer without a CNP: less congestion, the same speed."""
    return rate._replace(congestion=(1 - gain) * rate.congestion)


def after_turn(
    rate: Rate, turns: tuple[int, int], *, line: float, control: Dcqcn
) -> Rate:
    """Return the rate after one more turn of the timer or of the byte counter.

    turns: of the timer and of the byte counter since the last CNP.  line: no flow is
    faster [bytes/s].
    """
    few, many = sorted(turns)
    gained = 0.0
    if few > control.fast_turns:
        gained = (few - control.fast_turns) * control.hyper
    elif many >= control.fast_turns:
        gained = control.additive
    target = min(rate.target + gained, line)
    return rate._replace(current=(rate.current + target) / 2, target=target)


class Sender:
    """One flow at its sender: the rate, and the clocks that change it."""

    def __init__(self, line: float, control: Dcqcn):
        self.rate = Rate(current=line, target=line)
        self._line, self._control = line, control
        self._cnp_at_s = self._next_cnp_s = None
        self._restart(0.0)

    def marked(self, now_s: float, round_trip_s: float) -> None:
        """Let the receiver see a marked packet: a CNP, unless one was just sent."""
        if self._next_cnp_s is None or now_s >= self._next_cnp_s:
            self._next_cnp_s = now_s + self._control.cnp_interval_s
            self._cnp_at_s = now_s + round_trip_s

    def passes(self, now_s: float, sent: float) -> None:
        """Let time go on to `now_s`, in which `sent` bytes have left."""
        control = self._control
        if self._cnp_at_s is not None and now_s >= self._cnp_at_s:
            self._cnp_at_s = None
            self.rate = after_cnp(self.rate, control.gain)
            self._restart(now_s)
            return
        self._bytes += sent
        if now_s >= self._timer_at_s:
            self._timer_at_s += control.timer_s
            self.rate = after_silence(self.rate, control.gain)
            self._turn(timer=1)
        if self._bytes >= control.byte_counter:
            self._bytes -= control.byte_counter
            self._turn(counter=1)

    def _turn(self, *, timer: int = 0, counter: int = 0) -> None:
        turned = (self._turns[0] + timer, self._turns[1] + counter)
        self._turns = turned
        self.rate = after_turn(
            self.rate, turned, line=self._line, control=self._control
        )

    def _restart(self, now_s: float) -> None:
        self._turns, self._bytes = (0, 0), 0.0
        self._timer_at_s = now_s + self._control.timer_s
