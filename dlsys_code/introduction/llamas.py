"""The Llama family: published models whose block is this book's, as sizes.

So the formulas of `budget` give their parameters to the last one, and hold for models
a hundred thousand times as large as the one that runs here.

Source: each model names its entry in the references, and where the numbers stand; what
is stored was read from the model's repository on Hugging Face.
"""

from dataclasses import dataclass
from functools import cache

from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.published import load


@dataclass(frozen=True, kw_only=True)
class Llama:
    """One model.  key: its entry in the references; where: in that work.

    billions: of parameters, as printed.  stored: numbers in the released checkpoint,
    where known; with stored_rates they hold the d / 2 rates of rotation of every layer.
    """

    name: str
    key: str
    where: str
    billions: str
    config: GPTConfig
    stored: int | None
    stored_rates: bool
    repository: str | None


@cache
def llamas() -> dict[str, Llama]:
    """Return the models by name, "Llama 3 8B" for one."""
    return {row["name"]: _llama(row) for row in load("models")}


def _llama(row: dict) -> Llama:
    sizes = {name: row[name] for name in GPTConfig.__annotations__ if name in row}
    rest = {name: value for name, value in row.items() if name not in sizes}
    return Llama(config=GPTConfig(**sizes, tied=False), **rest)
