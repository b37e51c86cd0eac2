"""Links of training machines, from memory to Ethernet, each with its source.

Two traps lie between a number in print and the time of a message::

    bits or bytes    400 Gbit/s = 50 GB/s               networks count bits, buses bytes
    one way or both  NVLink 4: 900 GB/s = 2 x 450 GB/s  a message travels one way

So a row keeps the number as it was printed, and how many directions that counts;
`bandwidth` is always bytes/s of one direction.  Where the lanes are known, it can be
computed, too::

    bandwidth = links x lanes x rate of a lane x payload / coded bits / 8

128b/130b sends 128 bits of payload in 130; the four-level signals of 50 Gbit/s and more
pay for correcting errors: 256/257 (transcoding) x 514/544 (Reed-Solomon) = 16/17.  What
a program reaches lies below all of these: headers, flow control and software come on
top.

Source: each row names its entries in the references, and where the numbers stand.
"""

from dataclasses import dataclass
from functools import cache

from dlsys_code.communication.link import Link
from dlsys_code.introduction.published import load, named
from dlsys_code.introduction.units import GB, TB, Gbit

UNITS = {"Gbit/s": Gbit, "Tbit/s": TB / 8, "GB/s": GB, "TB/s": TB}  # bytes/s


def rate(printed: str) -> float:
    """Return the bytes/s that "400 Gbit/s", "900 GB/s" or "3.35 TB/s" says.

    Errors: ValueError for anything else.
    """
    digits, _, unit = printed.partition(" ")
    try:
        return float(digits.replace(",", "")) * UNITS[unit]
    except (KeyError, ValueError):
        names = ", ".join(UNITS)
        raise ValueError(
            f"a rate is a number and one of {names}, not {printed!r}"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Wire:
    """The lanes of one link, in one direction.  code: payload bits, and bits sent."""

    lanes: int
    rate: float  # bit/s of one lane, on the wire
    code: tuple[int, int]
    key: str
    where: str
    url: str | None

    @property
    def bandwidth(self) -> float:
        """Bytes of payload per second."""
        payload, coded = self.code
        return self.lanes * self.rate * payload / coded / 8


@dataclass(frozen=True, kw_only=True)
class Interconnect:
    """One generation of links, as `of` has them: one device, one port or one switch.

    printed: as in the source, for all its links together; directions: how many of them
    that number counts.  duplex: both directions at once; a memory bus reads or writes.
    latency_s: of a small message over one hop, software included.
    """

    name: str
    kind: str
    year: int  # of the standard, or of the device
    of: str
    printed: str
    directions: int
    duplex: bool
    links: int
    key: str
    where: str
    url: str | None
    wire: Wire | None = None
    latency_s: float | None = None
    latency_key: str | None = None
    latency_where: str | None = None
    latency_url: str | None = None

    @property
    def bandwidth(self) -> float:
        """Bytes/s in one direction, all links together."""
        return rate(self.printed) / self.directions

    @property
    def computed(self) -> float | None:
        """The bandwidth by its lanes, None where they are not known."""
        return None if self.wire is None else self.links * self.wire.bandwidth

    @property
    def both_directions(self) -> float:
        """Bytes/s that can be under way at once, as makers like to count."""
        return self.bandwidth * (2 if self.duplex else 1)

    @property
    def per_link(self) -> float:
        """Bytes/s of one link (one cable, one port) in one direction."""
        return self.bandwidth / self.links

    def priced(self) -> Link:
        """Return alpha and beta of one hop.

        Errors: ValueError when nobody has published a latency.
        """
        if self.latency_s is None:
            raise ValueError(f"no latency of {self.name} is published here")
        return Link(latency_s=self.latency_s, bandwidth=self.bandwidth)


@cache
def links() -> tuple[Interconnect, ...]:
    """Return all rows, family by family, the oldest first in each."""
    return tuple(_row(**row) for row in load("links"))


def link(name: str) -> Interconnect:
    """Return the row of that name, "NVLink 4" for one.

    Errors: ValueError when there is none, with the names that there are.
    """
    return named("link", {row.name: row for row in links()}, name)


def of_kind(kind: str) -> tuple[Interconnect, ...]:
    """Return the generations of one family, "PCIe" for one, the oldest first.

    Errors: ValueError when there is none, with the families that there are.
    """
    families: dict[str, tuple[Interconnect, ...]] = {}
    for row in links():
        families[row.kind] = (*families.get(row.kind, ()), row)
    return named("kind of link", families, kind)


def _row(wire: dict | None = None, **row: object) -> Interconnect:
    if wire is not None:
        row["wire"] = Wire(**{**wire, "code": tuple(wire["code"])})
    return Interconnect(**row)
