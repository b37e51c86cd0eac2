"""How well links measured by ping-pong predict all-reduces on an emulated cluster.

Prints algorithm, size, predicted and measured time, error and spread; with --store the
run becomes the one that the book shows where no cluster can be made.  Takes about 20 s
on a quiet machine, and needs root or user namespaces:

    python benchmarks/hosts_model.py [--store]
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import dlsys_code
from dlsys_code.communication.hosts import why_not
from dlsys_code.introduction.units import show_bytes
from dlsys_code.primitive.hosts_run import SIZES, Run, cluster_of_eight, run_on
from dlsys_code.world import World

REPEATS = 5
STORED = Path(dlsys_code.__file__).parent / "data" / "hosts_run.json"


def contents(run: Run) -> dict:
    """Return a run as it is stored."""
    measured = asdict(run.measured)
    return {
        "crowd_s": measured.pop("crowd_s"),
        "crowd_s_per_byte": measured.pop("crowd_s_per_byte"),
        "links": measured,
        "rows": [asdict(row) for row in run.rows],
    }


def main() -> None:
    """Run, print, and store if asked to."""
    if (reason := why_not()) is not None:
        sys.exit(reason)
    with cluster_of_eight() as cluster, World(8, hosts=cluster) as world:
        run = run_on(cluster, world, sizes=SIZES, repeats=REPEATS)
    print(run.measured)
    for row in run.rows:
        print(
            f"{row.name:13} {show_bytes(row.size):>8} "
            f"{row.predicted_s * 1e3:8.2f} ms {row.measured_s * 1e3:8.2f} ms "
            f"{row.error:+7.1%} {row.spread:5.0%}"
        )
    if "--store" in sys.argv:
        STORED.write_text(json.dumps(contents(run), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
