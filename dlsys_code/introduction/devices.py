"""Devices that models are trained on, as their makers describe them.

The rate is the makers' peak for products of float16 or bfloat16 matrices without
sparsity; what a training run reaches is a part of it, often 30 to 50 %.  A device must
do `flops_per_byte` FLOPs with every byte that it reads, or its memory is what it waits
for.  GB are 10^9 bytes, as in the makers' tables.

Source: each device names its entry in the references, and where the numbers stand.
"""

from dataclasses import dataclass
from functools import cache

from dlsys_code.introduction.published import load, named


@dataclass(frozen=True, kw_only=True)
class Device:
    """One accelerator.  key: its entry in the references; where: in that work."""

    name: str
    year: int  # of announcement
    peak: float  # FLOP/s, 16 bits, dense
    memory_bytes: int
    bandwidth: float  # bytes/s, of its memory
    key: str
    where: str
    url: str | None

    @property
    def flops_per_byte(self) -> float:
        """FLOPs that the device can do while it reads one byte."""
        return self.peak / self.bandwidth


@cache
def devices() -> tuple[Device, ...]:
    """Return all devices of the table, the oldest first."""
    return tuple(Device(**row) for row in load("devices"))


def device(name: str) -> Device:
    """Return the device of that name, "A100 80GB" for one.

    Errors: ValueError when the table has none.
    """
    return named("device", {row.name: row for row in devices()}, name)
