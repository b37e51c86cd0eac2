"""Loss scaling: move the gradients to where half precision has numbers.

A number of fp16 is zero or at least 2^-24, and at most 65504; a gradient can be
smaller.  The gradient of a multiple is the multiple of the gradient, so::

    g = gradient of (scale x loss) / scale        the division in float32

is the same gradient, and on its way back it was `scale` times further from zero.  Which
scale is right changes as the model learns, so it is found by trial::

    some gradient infinite or not a number    skip the update, scale = scale / 2
    no such gradient `interval` times         scale = scale x 2

With powers of two, multiplication and division are exact wherever nothing underflows or
overflows.  The cost is one look at every gradient, and the steps that are skipped.

Source: P. Micikevicius et al., "Mixed precision training", ICLR 2018.
"""

from dataclasses import dataclass

from torch import nn


@dataclass(kw_only=True)
class LossScale:
    """A scale that follows the gradients; the defaults are those of torch's GradScaler.

    interval: good steps in a row before the scale grows.  good_steps: so many now.
    Errors: ValueError for a scale or a factor that is not positive, or interval < 1.
    """

    value: float = 2.0**16
    growth: float = 2.0
    backoff: float = 0.5
    interval: int = 2000
    good_steps: int = 0

    def __post_init__(self):
        if min(self.value, self.growth, self.backoff) <= 0 or self.interval < 1:
            raise ValueError(f"{self} has a part that is not positive")

    def update(self, finite: bool) -> None:
        """Go on to the next step.  finite: whether all gradients of this one were."""
        self.good_steps = self.good_steps + 1 if finite else 0
        if not finite:
            self.value *= self.backoff
        elif self.good_steps == self.interval:
            self.value *= self.growth
            self.good_steps = 0


def constant(value: float) -> LossScale:
    """Return a scale that stays as it is; 1 is no scaling."""
    return LossScale(value=value, growth=1.0, backoff=1.0)


def all_finite(model: nn.Module) -> bool:
    """Return whether no gradient of the model is infinite or not a number."""
    gradients = (parameter.grad for parameter in model.parameters())
    return all(bool(g.isfinite().all()) for g in gradients if g is not None)
