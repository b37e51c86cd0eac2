"""A step of data parallelism beside DistributedDataParallel's: time, in shuffled pairs.

The same recipe on the same parts of the batch, on 2 and 4 ranks, for the small GPT and
a wider one.  "ours" and "after" (`average_gradients`) are compared with torch's step of
the same round; "torch again" is a second copy of torch's own and shows the noise.
Prints medians of the slowest rank's time, and of the ratios with their quartiles.
Takes under two minutes:

    python benchmarks/data_parallel.py
"""

from collections.abc import Iterator
from statistics import median

from torch import Tensor

from dlsys_code.introduction import tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system.beside import Times, race, ratio
from dlsys_code.system.data_parallel_beside import contender, contenders, torchs
from dlsys_code.world import World

ROUNDS = 30
RECIPES = {
    "small GPT": Recipe(batch=8, sequence=64),
    "wide GPT": Recipe(
        model=GPTConfig(width=384, heads=8, hidden=1024), batch=4, sequence=32
    ),
}


def measure(recipe: Recipe, text: Tensor) -> Times:
    """Race all of them on this rank."""
    again = contender(recipe, text, torchs)
    every = contenders(recipe, text) | {"torch again": again}
    return race(every, rounds=ROUNDS)


def report(name: str, ranks: int, times: Times) -> Iterator[str]:
    """Yield one line for every contender."""
    for who, seconds in times.items():
        compared = ratio(times, who, "torch")
        yield (
            f"{name:<10} {ranks:>5}  {who:<12} {compared.rounds:>5} "
            f"{median(seconds) * 1e3:>8.1f}  {compared}"
        )


def main() -> None:
    """Print the table."""
    text = tokens.documentation()
    print("model      ranks  step         pairs  ms/step  over torch's [quartiles]")
    for name, recipe in RECIPES.items():
        for ranks in (2, 4):
            with World(ranks, device="cpu") as world:
                times = world(measure, recipe, text, timeout_s=300)[0]
            print(*report(name, ranks, times), sep="\n", flush=True)


if __name__ == "__main__":
    main()
