"""What training keeps of every parameter: weight, gradient and optimizer states.

AdamW has two moments, and mixed precision a float32 copy of the weights besides::

    bytes per parameter    weight   gradient   optimizer           total
    float32                4        4          8  (two moments)    16
    mixed precision        2        2          12 (and the copy)   16

Ranks that train the same model on other samples hold the same states.  ZeRO shares
them out among the dp ranks, stage by stage::

    stage   shared out                          each rank holds
    0       nothing                             w + g + o
    1       optimizer                           w + g + o / dp
    2       optimizer, gradients                w + (g + o) / dp
    3       optimizer, gradients, weights       (w + g + o) / dp

Counted to a fraction of a byte; where dp does not divide, real shares are rounded up.

Source: S. Rajbhandari, J. Rasley, O. Ruwase and Y. He, "ZeRO: memory optimizations
toward training trillion parameter models", SC20, section 3.1 and Table 1.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class States:
    """Bytes by kind: of one parameter, or of all that a rank holds."""

    weights: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        """The bytes of all three kinds."""
        return self.weights + self.gradients + self.optimizer


FLOAT32 = States(weights=4, gradients=4, optimizer=8)
MIXED = States(weights=2, gradients=2, optimizer=12)


def model_states(
    parameters: float, *, each: States = MIXED, dp: int = 1, stage: int = 0
) -> States:
    """Return the bytes that one rank holds.

    parameters: of the model.  each: bytes of one parameter.  dp: ranks that share the
    states.  stage: of ZeRO, 0 to 3.
    Errors: ValueError when there is no such stage, or no rank.
    """
    if stage not in range(4) or dp < 1:
        raise ValueError(
            f"ZeRO has stages 0 to 3 and at least 1 rank, not {stage} and {dp}"
        )
    return States(
        weights=parameters * each.weights / (dp if stage >= 3 else 1),
        gradients=parameters * each.gradients / (dp if stage >= 2 else 1),
        optimizer=parameters * each.optimizer / (dp if stage >= 1 else 1),
    )


def largest_model(
    memory_bytes: float, *, each: States = MIXED, dp: int = 1, stage: int = 0
) -> float:
    """Return the parameters whose states alone fill the memory of each of dp ranks.

    Activations and buffers need room too, so a model that trains is smaller.
    Errors: as `model_states`.
    """
    return memory_bytes / model_states(1, each=each, dp=dp, stage=stage).total
