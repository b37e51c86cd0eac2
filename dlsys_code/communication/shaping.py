"""What gives a virtual cable the bandwidth of a real one, and nothing else.

A token bucket lets a frame pass when it holds as many tokens as the frame has bytes;
tokens come at the bandwidth of the link, and at most `burst` of them are kept.  What
made messages slower than alpha + beta n, and how it is kept away::

    a full bucket lets `burst` bytes pass at once      burst of a frame, or of 0.1 ms
    TCP starts slowly, and again after each pause      a window of 8 MiB from the start
    a full queue drops frames, TCP slows down          a queue longer than all windows
    "you may send" and acknowledgements wait behind    frames below 256 bytes go first
    a whole message that goes the same way
    frames overtaken by small ones count as lost       no SACK, patience for 300 frames

The fourth matters to a ring across a slow link: without it 1 MiB on eight ranks took
1.1 times as long, and 1.2 times where a send began before its receive.  What is left
belongs to the link: bandwidth counts whole frames, as on a real wire.  A frame of 9,014
bytes carries 8,948 bytes of a message, so a program sees::

    payload share = (MTU - 52) / (MTU + 14)     52 = 20 IP + 20 TCP + 12 time stamp
                                                14 = Ethernet

and acknowledgements of 66 bytes go the other way.

Source: Linux man pages, tc-tbf(8), tc-htb(8), ip-route(8), tcp(7); RFC 7323 (the time
stamp of TCP).
"""

MTU = 9000  # bytes of a packet: "jumbo" frames, fewer for the machine to handle
ETHERNET = 14  # bytes before a packet in what the kernel counts
TCP_IP = 20 + 20 + 12  # bytes of a packet that are not the message's
FRAME = MTU + ETHERNET
BURST_S = 1e-4  # what a full bucket lets pass at once, of a fast link
QUEUE = 1 << 28  # bytes
WINDOW = 1 << 23  # bytes that may be under way before anything is acknowledged
PAYLOAD_SHARE = (MTU - TCP_IP) / FRAME  # of a bandwidth, what carries messages
PATIENCE = {
    "tcp_sack": 0,
    "tcp_reordering": 300,
    "tcp_early_retrans": 0,
    "tcp_slow_start_after_idle": 0,
}
# Inside the bucket: two classes, never short of tokens, of which the first goes first.
SMALL_FIRST = """\
qdisc replace dev {device} parent 1:1 handle 2: htb default 2
class replace dev {device} parent 2: classid 2:1 htb rate 40gbit prio 0 quantum {FRAME}
class replace dev {device} parent 2: classid 2:2 htb rate 40gbit prio 1 quantum {FRAME}
qdisc replace dev {device} parent 2:1 bfifo limit {QUEUE}
qdisc replace dev {device} parent 2:2 bfifo limit {QUEUE}
filter replace dev {device} parent 2: protocol ip prio 1 u32 \
match u16 0 0xff00 at 2 flowid 2:1
"""  # u32 looks at the length of the packet, the two bytes after the first two of IP


def shaped(device: str, bandwidth: float) -> str:
    """Return the lines for `tc -batch` that shape what leaves through a device.

    bandwidth: bytes/s.
    """
    bucket = (
        f"qdisc replace dev {device} root handle 1: tbf rate {round(8 * bandwidth)}bit "
        f"burst {burst(bandwidth)} limit {QUEUE}\n"
    )
    return bucket + SMALL_FIRST.format(device=device, FRAME=FRAME, QUEUE=QUEUE)


def burst(bandwidth: float) -> int:
    """Return the tokens that a full bucket holds, a frame and some at least [bytes].

    With less, frames would be lost to rounding; fast links get more, or the kernel
    would have to wake up for every frame.
    """
    return max(FRAME * 11 // 10, round(bandwidth * BURST_S))


def open_window(subnet: str, device: str) -> str:
    """Return the line for `ip -batch` by which TCP starts at full speed."""
    packets = WINDOW // MTU
    return (
        f"route replace {subnet} dev {device} "
        f"initcwnd {packets} initrwnd {packets} congctl reno\n"
    )


def patient() -> str:
    """Return the line for `sh` by which TCP takes an overtaken frame for no loss.

    A container may forbid it; then some messages are sent twice.
    """
    settings = (f"echo {n} > {name}" for name, n in PATIENCE.items())
    return f"cd /proc/sys/net/ipv4; exec 2>/dev/null; {'; '.join(settings)}; true"


def frames_bytes(message_bytes: int) -> int:
    """Return the bytes of the frames that carry a message, at least."""
    frames = -(-message_bytes // (MTU - TCP_IP))
    return message_bytes + frames * (FRAME - MTU + TCP_IP)
