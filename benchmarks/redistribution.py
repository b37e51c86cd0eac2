"""Redistribution beside torch's DTensor: ratio of times, and bytes that a rank sends.

    python benchmarks/redistribution.py
    torchrun --nproc-per-node 8 benchmarks/redistribution.py    on 8 devices

In each round both do the same redistribution of a float32 tensor, in shuffled order; a
sample is the slowest rank's time.  Bytes of torch's are those of its calls on the CPU.
"""

import logging
from functools import partial
from itertools import product
from math import prod

from dlsys_code.system.beside import race, ratio
from dlsys_code.system.layouts import layout
from dlsys_code.system.redistribution import cheapest, total
from dlsys_code.system.redistribution_beside import contenders
from dlsys_code.world import World
from dlsys_code.world.device import running_job

ROUNDS = 30
SHAPES = [(64, 64), (1024, 1024)]  # 16 KiB and 4 MiB
CASES = [
    ((2,), "S0", "R"),
    ((2,), "P", "S0"),
    ((2,), "S0", "S1"),
    ((4,), "S0", "R"),
    ((4,), "P", "S0"),
    ((4,), "S0", "S1"),
    ((2, 2), "P P", "R R"),
    ((2, 2), "S0 S0", "R S0"),
    ((2, 2), "R P", "R R"),
    ((2, 2), "S0 S1", "S1 S0"),
    ((2, 4), "P P", "R R"),
    ((2, 4), "S0 S0", "R S0"),
    ((2, 4), "R P", "R R"),
    ((2, 8), "P P", "R R"),
    ((2, 8), "S0 S0", "R S0"),
    ((2, 8), "R P", "R R"),
]
RANKS = (2, 4)  # where no job of torchrun says how many


def program(shape, ends, sizes):
    """Race on this rank."""
    logging.disable(logging.WARNING)
    return race(contenders(shape, ends, sizes), rounds=ROUNDS)


def main() -> None:
    """Race all cases for as many ranks as there are, and print the ratios."""
    job = running_job()
    worlds = {p: World(p) for p in ((job.ranks,) if job else RANKS)}
    lines = [f"{ROUNDS} pairs each; ratio ours / DTensor: median [quartiles]"]
    for shape, (sizes, source, target) in product(SHAPES, CASES):
        if prod(sizes) not in worlds:
            continue
        ends = layout(source), layout(target)
        run = partial(program, shape, ends, sizes)
        found = ratio(worlds[prod(sizes)](run)[0], "ours", "DTensor")
        sent = total(cheapest(shape, *ends, sizes, item=4)).bytes_sent
        case = f"{source} -> {target} on {sizes}"
        lines.append(f"{str(shape):14}{case:26}{found!s:22}{sent:>10,} bytes")
    if job is None or job.rank == 0:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
