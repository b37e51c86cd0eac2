"""What it takes to give a virtual cable the bandwidth of a real one.

A token bucket lets a frame pass when it holds as many tokens as the frame has bytes;
tokens come at the bandwidth of the link, and at most `burst` of them are kept.  After a
pause a full bucket lets that many bytes pass at once, so it is kept at two frames, the
least with which none is lost.  Behind it is a queue, longer than all that is ever under
way: nothing is dropped, so TCP never slows down.

Bandwidth counts whole frames, as it does on a real wire.  A frame of 9,014 bytes
carries 8,948 bytes of a message, and each is acknowledged by frames of 66 bytes the
other way, so the bandwidth that a program sees is below what it was given by::

    payload share = (MTU - 52) / (MTU + 14)     52 = 20 IP + 20 TCP + 12 time stamp
                                                14 = Ethernet

Source: Linux man pages, tc-tbf(8), ip-route(8); RFC 7323 (the time stamp of TCP).
"""

MTU = 9000  # bytes of a packet: "jumbo" frames, as networks of clusters use them
ETHERNET = 14  # bytes before a packet in what the kernel counts
TCP_IP = 20 + 20 + 12  # bytes of a packet that are not the message's
FRAME = MTU + ETHERNET
QUEUE = 1 << 28  # bytes
WINDOW = 1 << 23  # bytes that may be under way before anything is acknowledged


def payload_share() -> float:
    """Return the part of a link's bandwidth that carries messages."""
    return (MTU - TCP_IP) / FRAME


def frames(message_bytes: int) -> int:
    """Return how many frames carry a message of that many bytes, at least."""
    return -(-message_bytes // (MTU - TCP_IP))


def token_bucket(device: str, bandwidth: float) -> str:
    """Return the line for `tc -batch` that shapes what leaves through a device.

    bandwidth: bytes/s.
    """
    return (
        f"qdisc replace dev {device} root tbf rate {round(8 * bandwidth)}bit "
        f"burst {2 * FRAME} limit {QUEUE}"
    )


def open_window(subnet: str, device: str) -> str:
    """Return the line for `ip -batch` by which TCP starts at full speed.

    Without it a connection begins with 10 packets, and again after each pause.
    """
    packets = WINDOW // MTU
    return (
        f"route replace {subnet} dev {device} "
        f"initcwnd {packets} initrwnd {packets} congctl reno"
    )
