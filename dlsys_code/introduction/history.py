"""Models of twelve years, with their parameters and what their training took.

Where authors give FLOPs, these are taken; else they are computed, where tokens are
known, by the rule of 6 FLOPs per parameter and token (module `budget`), with the active
parameters of a mixture of experts.  The two agree within a factor of 2 where both are
known; T5 is that far off, because a token of an encoder-decoder meets half of it.

Source: each model names its entries in the references, and where the numbers stand.
"""

from dataclasses import dataclass
from functools import cache

from dlsys_code.introduction.budget import six_per_parameter
from dlsys_code.introduction.published import load, named


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model.  year: in which it was made public.  active: parameters per token.

    key and where: of the parameters; flops_key and flops_where: of the FLOPs.
    """

    name: str
    year: int
    parameters: float
    key: str
    where: str
    active: float | None = None
    tokens: float | None = None
    tokens_where: str | None = None
    published_flops: float | None = None
    flops_key: str | None = None
    flops_where: str | None = None

    @property
    def computed_flops(self) -> float | None:
        """6 x active parameters x tokens, or None where the tokens are not known."""
        if self.tokens is None:
            return None
        return six_per_parameter(self.active or self.parameters) * self.tokens

    @property
    def flops(self) -> float | None:
        """The FLOPs of the training: published, else computed, else None."""
        return self.published_flops or self.computed_flops


@cache
def models() -> tuple[Model, ...]:
    """Return all models of the table, the oldest first."""
    return tuple(Model(**row) for row in load("history"))


def model(name: str) -> Model:
    """Return the model of that name, "GPT-3" for one.

    Errors: ValueError when the table has none.
    """
    return named("model", {row.name: row for row in models()}, name)
