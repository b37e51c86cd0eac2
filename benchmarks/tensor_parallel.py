"""A training step of tensor and of sequence parallelism, ours beside torch's DTensor.

Races them in pairs on two sizes of GPT, on 2 and 4 ranks, and prints the median ratio
of our time to torch's with its quartiles; below 1 is faster.  Takes under two minutes:

    python benchmarks/tensor_parallel.py
"""

from statistics import median

from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system.beside import Times, race, ratio
from dlsys_code.system.tensor_parallel_beside import contenders
from dlsys_code.world import World

WIDER = GPTConfig(
    vocabulary=2048, width=512, layers=2, heads=8, key_value_heads=4, hidden=1408
)
RECIPES = {  # name -> recipe, rounds
    "small": (Recipe(batch=4), 15),
    "wider": (Recipe(model=WIDER, batch=4), 9),
}


def raced(recipe: Recipe, tokens_shared: bool, rounds: int) -> Times:
    """Race on this rank."""
    return race(contenders(recipe, tokens_shared=tokens_shared), rounds=rounds)


def main() -> None:
    """Print one line for each number of ranks, model and way."""
    print("ranks  model  way       pairs  ours ms  torch ms  ratio [quartiles]")
    for ranks in (2, 4):
        for name, (recipe, rounds) in RECIPES.items():
            for way in ("tensor", "sequence"):
                with World(ranks, device="cpu") as world:  # a mesh of its own
                    times = world(
                        raced, recipe, way == "sequence", rounds, timeout_s=300
                    )[0]
                ours, torchs = (1e3 * median(times[x]) for x in ("ours", "torch"))
                print(
                    f"{ranks:>5}  {name}  {way:<8}  {rounds:>5}  {ours:>7.1f}  "
                    f"{torchs:>8.1f}  {ratio(times, 'ours', 'torch')}"
                )


if __name__ == "__main__":
    main()
