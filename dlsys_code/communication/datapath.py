"""The way of one message as a list of steps: who moves the bytes, and who is disturbed.

A step copies bytes with the CPU, moves them with a DMA engine, carries them over a wire
or a bus, or moves nothing and costs time: a system call, a context switch, an
interrupt, a transport protocol run by the CPU.  What RDMA promises are three counts
that are 0::

    zero copy        copies by the CPU
    kernel bypass    system calls, context switches and interrupts
    CPU offload      ends whose CPU runs the transport protocol

Cost of a copy of n bytes by the CPU: n bytes read and n written.  The paths are those
of one message that fits into the buffers, to a receiver that already waits: asleep in a
socket's receive, or polling in RDMA and in shared memory.  Left out: acknowledgements,
interrupts of the sender's NIC (coalesced), what was paid once at the start (connecting,
registering and pinning memory), and copies that a kernel makes for its own reasons.

Sources: Linux kernel documentation, networking/msg_zerocopy; NVIDIA, GPUDirect RDMA;
R. Recio et al., RFC 5040, 2007.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

COPY, DMA, WIRE = "copy", "DMA", "wire"  # these move bytes, those below do not
CALL, SWITCH, INTERRUPT = "system call", "context switch", "interrupt"
TRANSPORT, POST = "transport protocol", "user-space request"


class Step(NamedTuple):
    """One step.  by: who does it.  source, target: from where to where, of bytes."""

    kind: str
    by: str
    source: str = ""
    target: str = ""


Path = tuple[Step, ...]
GPU, USER, PINNED = "GPU memory", "user memory", "pinned memory"
SOCKET, NIC, SHARED = "socket buffer", "NIC", "shared memory"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a path costs per message, at both ends together."""

    cpu_copies: int
    dma_transfers: int
    system_calls: int
    context_switches: int
    interrupts: int
    cpu_transports: int  # ends whose CPU runs the transport protocol
    user_requests: int  # of the program to a device or a peer, without the kernel

    @property
    def zero_copy(self) -> bool:
        """Whether the CPU copies nothing."""
        return self.cpu_copies == 0

    @property
    def kernel_bypass(self) -> bool:
        """Whether the kernel never runs."""
        return self.system_calls + self.context_switches + self.interrupts == 0

    @property
    def cpu_offload(self) -> bool:
        """Whether no CPU runs a transport protocol."""
        return self.cpu_transports == 0

    def cpu_bytes(self, n: int) -> int:
        """Return what the CPUs read and write for a message of n bytes."""
        return 2 * n * self.cpu_copies

    def copy_time_s(self, n: int, copy_bandwidth: float) -> float:
        """Return how long the CPUs copy, one after the other [s].

        copy_bandwidth: bytes that one core copies in a second.
        Errors: ValueError when it is not positive or n is negative.
        """
        if n < 0 or copy_bandwidth <= 0:
            raise ValueError(f"{n} bytes cannot be copied at {copy_bandwidth} bytes/s")
        return n * self.cpu_copies / copy_bandwidth


def count(path: Sequence[Step]) -> Counts:
    """Return what the steps of a path add up to."""
    kinds = Counter(step.kind for step in path)
    return Counts(
        cpu_copies=kinds[COPY],
        dma_transfers=kinds[DMA],
        system_calls=kinds[CALL],
        context_switches=kinds[SWITCH],
        interrupts=kinds[INTERRUPT],
        cpu_transports=sum(s.kind == TRANSPORT and s.by == "CPU" for s in path),
        user_requests=kinds[POST],
    )


def tcp(memory: str = USER, *, zero_copy_send: bool = False) -> Path:
    """Return the path of TCP between two hosts, from and to `memory` of the hosts.

    zero_copy_send: with MSG_ZEROCOPY the NIC reads the pages of the program itself, and
    one more call, if not fewer, fetches the notice that they are free again.
    """
    call, ran = Step(CALL, "CPU"), Step(TRANSPORT, "CPU")
    plain = (Step(COPY, "CPU", memory, SOCKET), ran, Step(DMA, "NIC", SOCKET, NIC))
    pinned = (ran, Step(DMA, "NIC", memory, NIC), call)
    return (
        call,
        *(pinned if zero_copy_send else plain),
        Step(WIRE, "NIC", NIC, NIC),
        Step(DMA, "NIC", NIC, SOCKET),
        Step(INTERRUPT, "NIC"),
        ran,
        Step(SWITCH, "CPU"),  # the receiver slept
        call,
        Step(COPY, "CPU", SOCKET, memory),
    )


def rdma(memory: str = PINNED) -> Path:
    """Return the path of an RDMA write from `memory` to `memory` of another host.

    The program writes the request into a queue of the NIC, which runs the transport and
    reports the end in another queue; no program acts at the other end.
    """
    return (
        Step(POST, "CPU"),
        Step(TRANSPORT, "NIC"),
        Step(DMA, "NIC", memory, NIC),
        Step(WIRE, "NIC", NIC, NIC),
        Step(TRANSPORT, "NIC"),
        Step(DMA, "NIC", NIC, memory),
    )


def staged(path: Path, *, pageable: bool = False) -> Path:
    """Return a path between two GPUs that goes through the memory of the hosts.

    pageable: the program's buffer is not pinned, so the GPU's DMA engine cannot reach
    it, and the CPU copies between it and a pinned one.
    """
    request = Step(POST, "CPU")
    down, up = Step(DMA, "GPU", GPU, PINNED), Step(DMA, "GPU", PINNED, GPU)
    if pageable:
        to_user = (Step(COPY, "CPU", PINNED, USER),)
        to_pinned = (Step(COPY, "CPU", USER, PINNED),)
    else:
        to_user = to_pinned = ()
    return (request, down, *to_user, *path, *to_pinned, request, up)


def paths() -> dict[str, Path]:
    """Return the paths by name: first between two hosts, then within one."""
    call, request = Step(CALL, "CPU"), Step(POST, "CPU")
    loopback = (
        call,
        Step(COPY, "CPU", USER, SOCKET),
        Step(TRANSPORT, "CPU"),
        Step(SWITCH, "CPU"),
        call,
        Step(COPY, "CPU", SOCKET, USER),
    )
    mailbox = (
        Step(COPY, "CPU", USER, SHARED),
        request,
        Step(COPY, "CPU", SHARED, USER),
    )
    return {
        "TCP": tcp(),
        "TCP, MSG_ZEROCOPY": tcp(zero_copy_send=True),
        "TCP, GPU, pageable": staged(tcp(), pageable=True),
        "TCP, GPU, pinned": staged(tcp(PINNED)),
        "RDMA": rdma(),
        "RDMA, GPU, staged": staged(rdma()),
        "GPUDirect RDMA": rdma(GPU),
        "loopback TCP": loopback,
        "shared memory": mailbox,
        "GPUDirect P2P": (request, Step(DMA, "GPU", GPU, GPU)),
    }


def moves(path: Sequence[Step]) -> list[Step]:
    """Return the steps that move bytes, in order."""
    return [step for step in path if step.source]
