"""ZeRO's stage 3: the weights of a unit are there while they are used, and no longer.

A rank keeps its shards.  Hooks gather a unit before its forward pass, again before its
backward pass, and free it after each; while a unit computes, the next one is coming::

    forward    gather 0 1     gather 2       gather 3
                      use 1   free 1 use 2   free 2 use 3   free 3 0
    backward   gather 0 3     gather 2       gather 1
                      use 3   free 3 use 2   free 2 use 1   free 1 0

Unit 0 is what is in no block, here embedding and head: it is used first and last.

Cost for n bytes of weights: each rank sends 3 (p - 1)/p n in a step, a gather more than
in stages 1 and 2: nobody keeps the updated weights, so there is no gather after the
update.  At most three units are there at once, unit 0, the one in use and the next, if
each runs once forward, and backward in reverse order; one backward pass after two
forward passes may keep them all.  With m micro-batches all of it is sent m times.

Sources: S. Rajbhandari, J. Rasley, O. Ruwase and Y. He, "ZeRO: memory optimizations
toward training trillion parameter models", SC20, section 7; Y. Zhao et al., "PyTorch
FSDP: experiences on scaling fully sharded data parallel", PVLDB 16 (2023) 3848-3860.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import Tensor

from dlsys_code.system.zero_flat import Flat
from dlsys_code.system.zero_gradients import GradientShards


class WeightShards(GradientShards):
    """ZeRO's stage 3: of weights, gradients and states a rank keeps its shards.

    As `GradientShards`.  Every rank runs all units, in the order given, and each
    returns one tensor; checkpoints may compute it anew in the backward pass.  Outside
    its passes the weights of a unit are empty, so that reading them is an error.
    """

    def attach(self) -> None:
        """Give the shards memory of their own, and gather units around their passes."""
        super().attach()
        self.waits: dict[Flat, Callable[[], object]] = {}  # of units here or coming
        after = dict(pairwise(self.flats))
        outer = [flat for flat in self.flats if flat.unit is self.model]
        inner = [flat for flat in self.flats if flat.unit is not self.model]
        before = dict(pairwise([*outer, *reversed(inner)]))
        for flat in self.flats:
            flat.shard.data = flat.shard.detach().clone()
            flat.free()
            unit, used = flat.unit, partial(self.use, flat, before.get(flat))
            unit.register_forward_pre_hook(partial(self.use, flat, after.get(flat)))
            unit.register_forward_hook(partial(self.used, flat, used))

    def use(self, flat: Flat, following: Flat | None, *_: object) -> None:
        """Wait for the weights of a unit, and have the following one's come.

        A unit that backward computes anew is followed by one that is reduced already.
        """
        self.fetch(flat)
        self.waits[flat]()
        if following and (not self.missing or following in self.missing):
            self.fetch(following)

    def fetch(self, flat: Flat) -> None:
        """Begin to gather a unit, unless it is here or coming."""
        if flat not in self.waits:
            flat.lend()
            self.waits[flat] = self.gather(flat)

    def used(
        self, flat: Flat, again: Callable[[Tensor], None], *passed: object
    ) -> None:
        """Free a unit after its forward pass; its output's gradient calls it again."""
        if flat in self.missing:  # computed anew by backward, which goes on to use it
            return
        *_, output = passed
        self.free(flat)
        if output.requires_grad:
            output.register_hook(again)

    def free(self, flat: Flat) -> None:
        """Give back the memory of the weights of a unit."""
        if flat in self.waits:
            self.waits.pop(flat)()
            flat.free()

    def reduce(self, flat: Flat) -> None:
        """Turn the gradients of a unit into this rank's shard, and free the unit."""
        super().reduce(flat)
        self.free(flat)

    def publish(self) -> None:
        """Leave the updated shards where they are: the next pass gathers them.

        A pass that did not finish may have left units behind, which are old now.
        """
        for flat in self.flats:
            self.free(flat)
