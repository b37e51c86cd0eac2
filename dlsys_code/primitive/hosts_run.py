"""Five all-reduces on an emulated cluster, predicted and measured: live or stored.

Where this machine can have a cluster the run is made now; elsewhere it is the one that
is stored with the package, and says so.  Two racks of two hosts of two ranks, hosts at
1 Gbit/s, racks joined by 100 Mbit/s.

Source: `dlsys_code/data/hosts_run.json`, written by `benchmarks/hosts_model.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from dlsys_code.communication.hosts import EmulatedCluster, hurry, why_not
from dlsys_code.communication.link import Link
from dlsys_code.communication.wiring import Measured, Plan
from dlsys_code.introduction.published import load
from dlsys_code.introduction.units import Gbit, KiB, Mbit, MiB
from dlsys_code.primitive.racks import RACERS
from dlsys_code.primitive.racks_model import predict
from dlsys_code.primitive.racks_race import calibrate, race
from dlsys_code.world import World

SIZES = (16 * KiB, 64 * KiB, 256 * KiB, MiB)
EIGHT = Plan(racks=2, hosts=2, ranks=2, host_bandwidth=Gbit, spine_bandwidth=100 * Mbit)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One algorithm at one size.  times_s: of every run, from barrier to last end."""

    name: str
    size: int  # bytes
    predicted_s: float
    times_s: Sequence[float]

    @property
    def measured_s(self) -> float:
        """The median of the runs [s]."""
        return median(self.times_s)

    @property
    def error(self) -> float:
        """Measured over predicted, less 1."""
        return self.measured_s / self.predicted_s - 1

    @property
    def spread(self) -> float:
        """Slowest less fastest run, in parts of the median."""
        return (max(self.times_s) - min(self.times_s)) / self.measured_s


@dataclass(frozen=True, kw_only=True)
class Run:
    """All algorithms at all sizes.  source: "live" or "stored run"."""

    source: str
    measured: Measured
    rows: Sequence[Row]

    def row(self, name: str, size: int) -> Row:
        """Return one algorithm at one size.

        Errors: ValueError when the run has none such.
        """
        for row in self.rows:
            if (row.name, row.size) == (name, size):
                return row
        raise ValueError(f"this run has no {name!r} of {size} bytes")


def cluster_of_eight() -> EmulatedCluster:
    """Return the cluster of this run.  Errors: RuntimeError where it cannot be."""
    return EmulatedCluster(**vars(EIGHT))


def run_on(
    cluster: EmulatedCluster,
    world: World,
    *,
    sizes: Sequence[int] = SIZES,
    repeats: int = 3,
) -> Run:
    """Measure the links, predict, and run everything."""
    world(hurry)
    measured = calibrate(world, cluster.plan)
    times = race(world, cluster.plan, sizes, repeats)
    rows = [
        Row(
            name=name,
            size=size,
            predicted_s=predict(name, cluster.plan, measured, size),
            times_s=times[name][size],
        )
        for name in RACERS
        for size in sizes
    ]
    return Run(source="live", measured=measured, rows=rows)


def stored() -> Run:
    """Return the run that is stored with the package."""
    kept = load("hosts_run")
    links = {way: Link(**link) for way, link in kept["links"].items()}
    return Run(
        source="stored run",
        measured=Measured(
            **links,
            crowd_s=kept["crowd_s"],
            crowd_s_per_byte=kept["crowd_s_per_byte"],
        ),
        rows=[Row(**row) for row in kept["rows"]],
    )


def live_or_stored(sizes: Sequence[int] = SIZES, repeats: int = 3) -> Run:
    """Return a run made now where that is possible, the stored one elsewhere."""
    if why_not() is not None:
        return stored()
    with cluster_of_eight() as cluster, World(8, hosts=cluster) as world:
        return run_on(cluster, world, sizes=sizes, repeats=repeats)
