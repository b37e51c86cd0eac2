"""NVLS: the switch adds, and a bus bandwidth above the wire's means no miracle.

NVSwitches from the third generation on can add what several GPUs send, and copy what
one sends to all.  Each of p ranks then asks the switch for the sum of its own p-th of n
bytes, and sends this sum to all::

                      a rank sends             p = 2      4       8
    ring              2 (p - 1) / p n          1.00 n   1.50 n  1.75 n
    in the switch     n + n / p                1.50 n   1.25 n  1.13 n

nccl-tests cannot know which one ran: busbw is algbw times the ring's factor.  So it
shows the wire's speed times 2 (p - 1) / (p + 1): more than the wire from p = 4 on, less
at p = 2, where the ring is better.

Sources: B. Klenk et al., "An in-network architecture for accelerating shared-memory
multiprocessor collectives", ISCA 2020; NVIDIA, NCCL, `nvlsEfficiency` in `tuning`.
"""

from dataclasses import dataclass
from functools import cache

from dlsys_code.communication.nccl import bus_factor
from dlsys_code.communication.tuning import constant
from dlsys_code.introduction.published import load


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The bus bandwidth of the largest messages [bytes/s], as someone measured it."""

    ranks: int
    busbw: float
    key: str
    where: str
    url: str


@cache
def peaks() -> tuple[Peak, ...]:
    """Return the published peaks of NVLS on H100s, the fewest ranks first."""
    return tuple(Peak(**entry) for entry in load("nccl_in_switch"))


def sent_share(p: int) -> float:
    """Return 1 + 1 / p: what a rank sends of each byte that the switch all-reduces.

    Errors: ValueError when p is less than 1.
    """
    if p < 1:
        raise ValueError(f"a group has at least 1 rank, not {p}")
    return 1 + 1 / p


def bus_speed_in_switch(
    p: int, *, links: int = 18, architecture: str = "hopper"
) -> float:
    """Return the busbw that NVLS can show on GPUs with so many NVLinks [bytes/s].

    Errors: ValueError for an architecture without constants, or p less than 1.
    """
    efficiency = constant("NVLS efficiency", architecture)
    wire = links * constant("NVLink", architecture)
    return efficiency * wire * bus_factor(p) / sent_share(p)
