"""The same ring all-reduce over sockets and over shared memory, against gloo's own.

"ratio" is the median over the rounds of the time divided by gloo's in the same round,
with the quartiles; see `dlsys_code.book.memory_race`.  Takes about a minute:

    python benchmarks/shared_memory_ring.py
"""

from collections.abc import Iterator
from statistics import median

from dlsys_code.book.memory_race import Times, race, ratios
from dlsys_code.communication.shared_memory import shared_memory
from dlsys_code.introduction.units import KiB, MiB, show_bytes
from dlsys_code.world import World

RANKS = [2, 4, 8]
SIZES = [64 * KiB, 256 * KiB, MiB, 4 * MiB, 16 * MiB]
ROUNDS, LIMIT_S = 60, 3.0  # of each size; whichever comes first


def report(ranks: int, size: int, times: Times) -> Iterator[str]:
    """Yield one line for every contender."""
    for name, seconds in times.items():
        low, middle, high = ratios(times, name)
        yield (
            f"{ranks:>5}  {show_bytes(size):>8}  {name:<18}"
            f"{median(seconds) * 1e6:>9.0f}  {middle:>6.2f}  [{low:.2f}, {high:.2f}]"
            f"  {len(seconds):>6}"
        )


def main() -> None:
    """Print the table."""
    print("ranks      size  contender           us/call   ratio  quartiles   rounds")
    for ranks in RANKS:
        with World(ranks, device="cpu", transport=shared_memory) as world:
            for size in SIZES:
                times = world(race, size, ROUNDS, LIMIT_S, timeout_s=300)[0]
                print(*report(ranks, size, times), sep="\n", flush=True)


if __name__ == "__main__":
    main()
