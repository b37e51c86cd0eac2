"""A step with sharded model states, ours against torch's own, on this machine.

"ratio" is the median over the rounds of our time divided by torch's in the same round,
with the quartiles; see `dlsys_code.system.beside`.  Takes less than two minutes:

    python benchmarks/zero.py
"""

from functools import partial
from statistics import median

from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system.beside import Contender, Times, race, ratio
from dlsys_code.system.zero_beside import fully_sharded, ours, zero_redundancy
from dlsys_code.system.zero_gradients import GradientShards
from dlsys_code.system.zero_weights import WeightShards
from dlsys_code.world import World

RANKS = [2, 4]
RECIPES = {
    "small": Recipe(),
    "wide": Recipe(model=GPTConfig(width=384, hidden=1024), sequence=64),
}
PAIRS = [
    ("stage 1", "ZeroRedundancyOptimizer"),
    ("stage 2", "fully_shard"),
    ("stage 3", "fully_shard"),
]
ROUNDS = 12


def contenders(recipe: Recipe) -> dict[str, Contender]:
    """Return our three stages and torch's two."""
    return {
        "stage 1": partial(ours, recipe=recipe),
        "stage 2": partial(ours, recipe=recipe, shards=GradientShards),
        "stage 3": partial(ours, recipe=recipe, shards=WeightShards),
        "ZeroRedundancyOptimizer": partial(zero_redundancy, recipe=recipe),
        "fully_shard": partial(fully_sharded, recipe=recipe),
    }


def report(times: Times) -> list[str]:
    """Return a line for each pair."""
    return [
        f"  {own:<8}{median(times[own]) * 1e3:>7.0f} ms   {other:<24}"
        f"{median(times[other]) * 1e3:>6.0f} ms   ratio {ratio(times, own, other)}"
        for own, other in PAIRS
    ]


def main() -> None:
    """Print a table for each model and number of ranks."""
    for p in RANKS:
        with World(p, device="cpu") as world:
            for name, recipe in RECIPES.items():
                raced = partial(race, rounds=ROUNDS)
                times = world(raced, contenders(recipe), timeout_s=300)[0]
                print(f"{p} ranks, {name} GPT, {ROUNDS} pairs", flush=True)
                print(*report(times), sep="\n", flush=True)


if __name__ == "__main__":
    main()
