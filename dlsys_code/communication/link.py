"""The alpha-beta model of a link: a message costs a start and its bytes.

A message of n bytes takes::

    time = alpha + beta n      alpha [s]       latency: what an empty message costs
                               beta [s/byte]   inverse bandwidth

Small messages pay for alpha and large ones for beta; at n_1/2 = alpha / beta bytes the
two are equal, and the link delivers half of its bandwidth.

Source: R. W. Hockney, "The communication challenge for MPP: Intel Paragon and Meiko
CS-2", Parallel Computing 20 (1994) 389-398.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Link:
    """One direction of a link.

    Errors: ValueError when the latency is negative or the bandwidth not positive.
    """

    latency_s: float
    bandwidth: float  # bytes/s

    def __post_init__(self):
        if self.latency_s < 0 or self.bandwidth <= 0:
            raise ValueError(
                "a link needs a latency of at least 0 s and a bandwidth above 0 B/s, "
                f"not {self.latency_s} s and {self.bandwidth} B/s"
            )

    @property
    def seconds_per_byte(self) -> float:
        """Beta, the inverse of the bandwidth [s/byte]."""
        return 1 / self.bandwidth

    @property
    def half_bandwidth_bytes(self) -> float:
        """n_1/2, the message for which start and bytes cost the same [bytes]."""
        return self.latency_s * self.bandwidth


def transfer_time_s(message_bytes: int, link: Link) -> float:
    """Return alpha + beta n, the time of one message over an idle link [s]."""
    return link.latency_s + link.seconds_per_byte * message_bytes
