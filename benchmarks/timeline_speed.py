"""How long it takes to simulate an all-reduce over 1,024 devices, every message of it.

Runs a flat ring and two levels on one core, on a fat-tree of 16-port switches and on
two levels of switches with half the cables above the leaves, and prints seconds and
what was simulated; about 30 s in all.  With --drift each of them runs with hashed
routes, too: where hashes meet, the ranks drift apart, and there is more to simulate;
that takes some minutes:

    python benchmarks/timeline_speed.py [--drift]
"""

import sys
import time
from collections.abc import Iterator

from dlsys_code.architecture.graph import Cable
from dlsys_code.architecture.topology import fat_tree, spine_leaf
from dlsys_code.communication.routing import ecmp, spray
from dlsys_code.communication.timeline import simulate
from dlsys_code.introduction.units import MB, Gbit, ms, us
from dlsys_code.primitive import hierarchical, ring

DEVICES, HOST = 1024, 8
BYTES = 100 * MB
CABLE = Cable(bandwidth=200 * Gbit, latency_s=1 * us)


def rows(drift: bool) -> Iterator[tuple[str, str, str, int, float, float]]:
    """Yield network, plan, route, messages, seconds to simulate, simulated time."""
    networks = {
        "fat-tree": fat_tree(16, CABLE),
        "2 : 1": spine_leaf(
            leaves=DEVICES // HOST, spines=HOST // 2, devices_per_leaf=HOST, cable=CABLE
        ),
    }
    hosts = [list(range(r, r + HOST)) for r in range(0, DEVICES, HOST)]
    count = BYTES // 4
    plans = {
        "flat ring": ring.all_reduce_messages(DEVICES, count, 4),
        "two levels": hierarchical.all_reduce_messages(hosts, count, 4),
    }
    routes = {"spray": spray, "ecmp": ecmp(0)} if drift else {"spray": spray}
    for net, network in networks.items():
        for name, plan in plans.items():
            for how, route in routes.items():
                begin = time.perf_counter()
                finish_s = simulate(plan, network, route=route).finish_s
                took_s = time.perf_counter() - begin
                yield net, name, how, len(plan), took_s, finish_s


def main() -> None:
    """Print the table."""
    print("network   plan        route   messages  seconds  simulated [ms]")
    for net, plan, how, messages, took_s, finish_s in rows("--drift" in sys.argv[1:]):
        print(
            f"{net:<8}  {plan:<10}  {how:<5}  {messages:>9,}  {took_s:>7.1f}"
            f"  {finish_s / ms:>13.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
