"""The constants with which NCCL guesses times before it moves a byte.

NCCL measured its kernels once, on its makers' machines, and carries the results along
as tables.  A row of ours is one line of them, by its name::

    constant("base latency of ring", "LL")                    6.6 us
    constant("step latency of ring over NVLink", "Simple")    3.4 us
    constant("limit of a tree channel, ampere", "1 node")     24 GB/s

Rows differ between releases of NCCL.  2.30 is the newest here; of 2.20, before the
tables were rewritten, there is what counts on one node.

Source: NVIDIA, NCCL, src/graph/tuning.cc, topo.h and search.cc; each row names the file
and the table in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from dlsys_code.introduction.published import load, named
from dlsys_code.introduction.units import GB, us

NEWEST = "2.30"
UNITS = {"us": us, "GB/s": GB, "1": 1}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.  values: by column.  key, where, url: its source."""

    name: str
    releases: tuple[str, ...]
    unit: str
    values: Mapping[str, float]
    key: str
    where: str
    url: str


@cache
def rows(release: str = NEWEST) -> Mapping[str, Row]:
    """Return the rows of one release of NCCL by their names.

    Errors: ValueError for a release without rows, with those that there are.
    """
    every = [Row(**row) for row in load("nccl_tuning")]
    known = {release: release for row in every for release in row.releases}
    named("release of NCCL", known, release)
    return {row.name: row for row in every if release in row.releases}


def row(name: str, release: str = NEWEST) -> Row:
    """Return one row.

    Errors: ValueError when the release has none of that name, with those it has.
    """
    return named("row", rows(release), name)


def constant(name: str, column: str, release: str = NEWEST) -> float:
    """Return one constant, in seconds, bytes per second or without a unit.

    Errors: ValueError for a row or a column that is not there.
    """
    found = row(name, release)
    return named(f"column of {name!r}", found.values, column) * UNITS[found.unit]
