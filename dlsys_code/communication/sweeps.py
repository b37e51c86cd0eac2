"""Published sweeps of all-reduce on one node of A100s, to hold a model against.

nccl-tests runs one collective at one size after another and prints how long each took;
which algorithm and protocol ran it does not print.  One sweep doubles the size from 32
KiB to 16 GiB; the others, of one project on 2 to 8 GPUs, take every MiB up to 32, so
fine that a change of protocol can be seen.  Releases of NCCL are not given.

Sources: S. Bekman, "Machine Learning Engineering", network/README.md (2024); J. Bang et
al., "vTrain", MICRO 2024, the tables of its repository.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from dlsys_code.communication.nccl import bus_factor
from dlsys_code.introduction.published import load, named
from dlsys_code.introduction.units import MiB, us


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One sweep.  rows: size [bytes] and time [s].  key, where, url: its source."""

    name: str
    ranks: int
    rows: tuple[tuple[int, float], ...]
    key: str
    where: str
    url: str

    @property
    def fine(self) -> bool:
        """Whether it has every MiB up to 32 MiB, as its first rows."""
        return [n for n, _ in self.rows[:32]] == [i * MiB for i in range(1, 33)]


@cache
def sweeps() -> dict[str, Sweep]:
    """Return all sweeps by their names."""
    read = {}
    for entry in load("nccl_sweeps"):
        rows = tuple((size, time * us) for size, time in entry["rows"])
        read[entry["name"]] = Sweep(**entry | {"rows": rows})
    return read


def sweep(name: str) -> Sweep:
    """Return one sweep.

    Errors: ValueError when there is none of that name.
    """
    return named("sweep", sweeps(), name)


def bus_speed(n: int, ranks: int, time_s: float) -> float:
    """Return busbw as nccl-tests prints it for an all-reduce [bytes/s].

    Errors: ValueError when the time is not positive.
    """
    if not time_s > 0:
        raise ValueError(f"a collective takes more than 0 s, not {time_s} s")
    return n / time_s * bus_factor(ranks)


def errors(sweep: Sweep, guess_s: Callable[[int], float]) -> list[tuple[int, float]]:
    """Return each size and by which part of the measured time a guess is off.

    guess_s: from bytes to seconds.  Below 0 the guess was too fast.
    """
    return [(n, guess_s(n) / time_s - 1) for n, time_s in sweep.rows]
