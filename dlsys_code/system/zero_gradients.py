"""ZeRO's stage 2: a gradient is reduced when it comes, and only a shard of it kept.

Backward reaches the last unit first.  When all gradients of a unit are there they are
reduced, and their memory is free for those of the unit before::

    backward   g of 3 | g of 2     | g of 1     | g of 0     |
    reduced           | 3          | 2          | 1          | 0
    held       3      | 2, a shard | 1, shards  | 0, shards  | all shards

Cost for n bytes of weights: each rank sends 2 (p - 1)/p n in a step, as in stage 1;
with m micro-batches (m + 1)(p - 1)/p n, for each of them is reduced by itself.  Beside
its shards a rank holds the gradients of the unit at hand, and of unit 0 as they come.

Source: S. Rajbhandari, J. Rasley, O. Ruwase and Y. He, "ZeRO: memory optimizations
toward training trillion parameter models", SC20, section 5.2.
"""

from functools import partial

from torch import Tensor

from dlsys_code.system.zero import OptimizerShards
from dlsys_code.system.zero_flat import Flat


class GradientShards(OptimizerShards):
    """ZeRO's stage 2: of a gradient nothing is kept but the shard.

    Units are reduced from the last to the first, on every rank, whenever their
    gradients come; those that wait for one that never comes, at the end of backward.
    A backward pass that fails, as it must on every rank, takes all gradients of its
    step along: begin the step anew.
    Errors: RuntimeError for a backward pass that is not the one here, and for one that
    makes a gradient twice, as checkpoints with `use_reentrant=True` may.
    """

    def attach(self) -> None:
        """Have every gradient counted when it comes."""
        self.missing: dict[Flat, int] = {}  # in this backward: gradients to come
        for flat in self.flats:
            for weight in flat.weights:
                weight.register_post_accumulate_grad_hook(partial(self.arrived, flat))

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of this rank's loss, reducing each unit on the way."""
        self.missing = {flat: len(flat.weights) for flat in self.flats}
        try:
            loss.backward()
            while self.missing:
                self.reduce_last()
        except BaseException:
            self.forget()
            raise

    def step(self) -> None:
        """Update the weights by the mean gradient of all ranks, and forget it."""
        self.update()

    def forget(self) -> None:
        """Drop the gradients of this step, those that are shards already too."""
        self.missing = {}
        for weight in [*self.model.parameters(), *self.shards]:
            weight.grad = None

    def arrived(self, flat: Flat, _: Tensor) -> None:
        """Count a gradient of a unit; reduce what is complete and next in turn."""
        if flat not in self.missing:
            raise RuntimeError("a gradient twice, or outside of this stage's backward")
        self.missing[flat] -= 1
        while self.missing and next(reversed(self.missing.values())) == 0:
            self.reduce_last()

    def reduce_last(self) -> None:
        """Reduce the last unit that is not reduced yet."""
        flat, _ = self.missing.popitem()
        self.reduce(flat)
