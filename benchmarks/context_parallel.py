"""How long a training step takes when ranks share its sequences, in five ways.

Races whole steps of two GPTs on 2 and 4 ranks, and prints for each way the median of
its times in a round over those of Ulysses in the same round, with quartiles, and its
median time.  On as many GPUs torch's own races too; it has no path for a CPU.  Under
two minutes:

    python benchmarks/context_parallel.py
"""

from statistics import median

import torch

from dlsys_code.introduction import tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.introduction.units import ms
from dlsys_code.system.beside import Times, race, ratio
from dlsys_code.system.context_parallel_beside import contenders
from dlsys_code.world import World

ROUNDS = 12
WIDE = GPTConfig(width=384, heads=12, key_value_heads=4, hidden=1024, layers=2)
RECIPES = {
    "small, T = 1,024": Recipe(batch=1, sequence=1024),
    "wide,  T =   512": Recipe(batch=1, sequence=512, model=WIDE),
}


def times_of(recipe: Recipe, rounds: int) -> Times:
    """Return the times of this rank's race."""
    return race(contenders(recipe, tokens.documentation()), rounds=rounds)


def main() -> None:
    """Print the tables."""
    print(f"{ROUNDS} rounds; ratios to Ulysses in the same round: median [quartiles]")
    for p in (2, 4):
        with World(p) as world:
            for name, recipe in RECIPES.items():
                times = world(times_of, recipe, ROUNDS, timeout_s=300.0)[0]
                for way in times:
                    print(
                        f"{p} ranks  {name}  {way:<16}  "
                        f"{ratio(times, way, 'Ulysses')!s:>18}"
                        f"  {median(times[way]) / ms:7.1f} ms",
                        flush=True,
                    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
