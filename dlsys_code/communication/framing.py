"""RDMA on four wires: which headers a packet carries, and what is left for the data.

All but iWARP share InfiniBand's transport header (BTH) and differ in what carries it::

    InfiniBand   LRH | BTH | payload | ICRC VCRC
    RoCE v1      Ethernet, type 0x8915 | GRH | BTH | payload | ICRC | FCS
    RoCE v2      Ethernet | IPv4 | UDP, port 4791 | BTH | payload | ICRC | FCS
    iWARP        Ethernet | IPv4 | TCP | MPA DDP/RDMAP | payload | CRC | FCS

Cost of a packet: its headers, and on Ethernet the preamble and the gap behind it.  A
message of n bytes takes ceil(n / payload) packets.  Counted are the packets of a long
write; the RETH (16 bytes, only in the first of a message), VLAN tags, acknowledgements,
MPA's optional markers and the coding of the wire are left out.

Sources: InfiniBand Trade Association, Architecture Specification, volume 1, annexes A16
(RoCE, 2010) and A17 (RoCE v2, 2014), sizes as in Linux, include/rdma/ib_pack.h; IEEE
802.3; RFC 768, 791, 7323 and 9293; iWARP: RFC 5040, 5041 and 5044.
"""

from collections.abc import Callable
from dataclasses import dataclass

ETHERNET = {"preamble": 8, "Ethernet": 14, "FCS": 4, "gap": 12}
IPV4, UDP, TCP = {"IPv4": 20}, {"UDP": 8}, {"TCP": 20, "TCP timestamps": 12}
IB_TRANSPORT = {"BTH": 12, "ICRC": 4}
IWARP = {"MPA length": 2, "DDP and RDMAP": 14, "MPA CRC": 4}


def infiniband_size(room: int) -> int:
    """Return the largest of InfiniBand's payloads that fits, 0 for none [bytes]."""
    return max((n for n in (256, 512, 1024, 2048, 4096) if n <= room), default=0)


def whole_words(room: int) -> int:
    """Return the largest payload that MPA need not pad to 4 bytes."""
    return room - room % 4


def any_size(room: int) -> int:
    """Return all of the room."""
    return room


@dataclass(frozen=True, kw_only=True)
class Framing:
    """What surrounds the payload of one packet.

    headers: bytes by name.  routed_by: what routes it from one network to the next, ""
    for nothing.  lossless: what keeps buffers from overflowing, "" where the transport
    can repair a loss cheaply.  largest: the payload that is sent where so many bytes
    have room.
    """

    name: str
    headers: dict[str, int]
    routed_by: str
    lossless: str
    largest: Callable[[int], int] = infiniband_size

    @property
    def overhead(self) -> int:
        """Bytes on the wire beside the payload of a packet."""
        return sum(self.headers.values())

    def payload(self, mtu: int) -> int:
        """Return the largest payload that fits into an Ethernet MTU [bytes].

        InfiniBand itself has an MTU of its own, which counts the payload alone.
        Errors: ValueError when nothing fits.
        """
        frame = sum(ETHERNET.values())
        inside = self.overhead - frame if "Ethernet" in self.headers else 0
        fits = self.largest(mtu - inside)
        if fits <= 0:
            raise ValueError(f"an MTU of {mtu} bytes leaves {self.name} no payload")
        return fits

    def wire_bytes(self, n: int, mtu: int) -> int:
        """Return what a message of n bytes puts on the wire.

        Errors: ValueError when n is negative or nothing fits into the MTU.
        """
        if n < 0:
            raise ValueError(f"a message has at least 0 bytes, not {n}")
        return n + -(-n // self.payload(mtu)) * self.overhead

    def efficiency(self, mtu: int) -> float:
        """Return what share of all bytes on the wire is payload, in a long message."""
        full = self.payload(mtu)
        return full / (full + self.overhead)


def framings() -> tuple[Framing, ...]:
    """Return the four ways to carry RDMA, and plain TCP."""
    return (
        Framing(
            name="InfiniBand",
            headers={"LRH": 8} | IB_TRANSPORT | {"VCRC": 2},
            routed_by="GRH (+40 bytes)",
            lossless="credits",
        ),
        Framing(
            name="RoCE v1",
            headers=ETHERNET | {"GRH": 40} | IB_TRANSPORT,
            routed_by="",
            lossless="PFC",
        ),
        Framing(
            name="RoCE v2",
            headers=ETHERNET | IPV4 | UDP | IB_TRANSPORT,
            routed_by="IP",
            lossless="PFC",
        ),
        Framing(
            name="iWARP",
            headers=ETHERNET | IPV4 | TCP | IWARP,
            routed_by="IP",
            lossless="",
            largest=whole_words,
        ),
        Framing(
            name="TCP",
            headers=ETHERNET | IPV4 | TCP,
            routed_by="IP",
            lossless="",
            largest=any_size,
        ),
    )
