"""Data parallel with overlap: a bucket's all-reduce starts while backward goes on.

`average_gradients` waits for the last gradient before it sends the first.  But backward
reaches the last layers first, and what is there can go.  A hook on each parameter moves
its gradient into a bucket; a complete bucket leaves, in the same order on all ranks::

    backward   | layer 3 | layer 2 | layer 1 | embedding |
    on the way           | bucket 0           |
                                   | bucket 1               | exposed |

Gradients are views of their bucket, so what comes back needs no copy, and several
backward passes add up in place: inside `no_sync` nothing is sent.

Cost for n bytes of gradients: each rank sends 2 (p - 1)/p n in a step, as before,
however many micro-batches add up first.  The buckets are the gradients, so there are n
bytes of both together, but there to stay from step to step.  What cannot be hidden is
the last bucket, complete only when backward ends.  Every rank still holds all weights,
gradients and optimizer states.

Sources: S. Li et al., "PyTorch distributed: experiences on accelerating data parallel
training", PVLDB 13 (2020) 3005-3018; A. Sergeev and M. Del Balso, "Horovod: fast and
easy distributed deep learning in TensorFlow", arXiv:1802.05799 (2018).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.system.buckets import FIRST_BYTES, LIMIT_BYTES, buckets_of
from dlsys_code.system.data_loading import part_of
from dlsys_code.system.same_model import check_same_model, copy_from_first_
from dlsys_code.world import compute

StartMean = Callable[[Tensor, ProcessGroup], Callable[[], object]]


def torch_start_mean(x: Tensor, group: ProcessGroup) -> Callable[[], object]:
    """Begin to replace `x` by its mean over all ranks; return what waits for that."""
    return dist.all_reduce(x, dist.ReduceOp.AVG, group=group, async_op=True).wait


class Bucket:
    """Gradients that travel together.

    memory: all of them in line.  places: each weight, and where in the memory its
    gradient is.  missing: how many are still to come in this backward.
    """

    def __init__(self, weights: Sequence[Tensor]):
        sizes = [weight.numel() for weight in weights]
        self.memory = weights[0].new_zeros(sum(sizes))
        parts = zip(weights, self.memory.split(sizes), strict=True)
        self.places = [(weight, part.view(weight.shape)) for weight, part in parts]
        self.missing = 0


def move_gradient_(weight: Tensor, place: Tensor) -> None:
    """Have the gradient of a weight live in `place`; zeros where there is none."""
    gradient = weight.grad
    if gradient is None:
        place.zero_()
    elif gradient is not place:
        place.copy_(gradient.to_dense())
    weight.grad = place


class DataParallel:
    """One model on every rank, its gradients averaged while they are made.

    model: built alike on every rank; it starts from the weights and buffers of rank 0.
    Call `backward` here instead of the loss's own.  limit_bytes, first_bytes: of
    `buckets_of`.  start_mean: sends a bucket.
    A weight that a rank did not use counts as zero there.  One that nobody used has a
    gradient of zero, not none, so AdamW still decays it.  Sparse gradients get dense.
    After a backward pass that fails, as it must on every rank, clear the gradients.
    Errors: ValueError, on every rank, as in `buckets_of` and `check_same_model`.
    RuntimeError for a backward pass that is not the one here, also that of a second
    wrapper of the model, and for one that makes a gradient twice, as checkpoints with
    `use_reentrant=True` may.
    """

    def __init__(
        self,
        model: nn.Module,
        group: ProcessGroup,
        *,
        limit_bytes: int = LIMIT_BYTES,
        first_bytes: int = FIRST_BYTES,
        start_mean: StartMean = torch_start_mean,
    ):
        shared_out = buckets_of(model, limit_bytes=limit_bytes, first_bytes=first_bytes)
        self.buckets = [Bucket(weights) for weights in shared_out]
        check_same_model(model, [len(bucket.places) for bucket in self.buckets], group)
        copy_from_first_(model, group)
        self.group, self.start_mean, self.quiet = group, start_mean, False
        self.waiting: list[Bucket] = []  # to be sent in this backward, the next first
        self.under_way: list[Callable[[], object]] = []
        for bucket in self.buckets:
            for weight, place in bucket.places:
                hook = partial(self.arrived, bucket, place)
                weight.register_post_accumulate_grad_hook(hook)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of this rank's loss; outside `no_sync`, average them."""
        self.waiting = [] if self.quiet else list(self.buckets)
        for bucket in self.buckets:
            bucket.missing = len(bucket.places)
        try:
            with compute("backward"):
                loss.backward()
            while self.waiting:  # for gradients that do not come
                self.send_next()
        finally:
            self.finish()

    def arrived(self, bucket: Bucket, place: Tensor, weight: Tensor) -> None:
        """Move a gradient into its bucket; send what is complete and next in turn."""
        if not bucket.missing:
            raise RuntimeError("a gradient twice, or outside of DataParallel.backward")
        move_gradient_(weight, place)
        bucket.missing -= 1
        while self.waiting and not self.waiting[0].missing:
            self.send_next()

    def send_next(self) -> None:
        """Send the first bucket that waits, with zeros for what is missing."""
        bucket = self.waiting.pop(0)
        if bucket.missing:
            for weight, place in bucket.places:
                move_gradient_(weight, place)
        bucket.missing = 0
        self.under_way.append(self.start_mean(bucket.memory, self.group))

    def finish(self) -> None:
        """Wait for what is on its way, after an error too: the next pass writes there.

        Then expect no gradient.
        """
        for wait in self.under_way:
            wait()
        self.under_way, self.waiting = [], []
        for bucket in self.buckets:
            bucket.missing = 0

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Let the backward passes inside add up on this rank alone."""
        before, self.quiet = self.quiet, True
        try:
            yield
        finally:
            self.quiet = before


def train(
    recipe: serial.Recipe, text: Tensor, group: ProcessGroup, *, steps: int
) -> Iterator[float]:
    """Yield the loss of this rank's part of each step; the batch's is their mean.

    As `average_gradients.train`, but any number of ranks shares any batch.
    """
    model = serial.fresh_model(recipe)
    parallel = DataParallel(model, group)
    optimizer = serial.adamw(model, recipe)
    mine = part_of(range(recipe.batch), group)
    for step in range(steps):
        inputs, targets = serial.batch(recipe, text, step, mine.samples)
        with compute("forward"):
            loss = mine.weight * serial.mean_loss(model, inputs, targets)
        value = serial.finite(loss, step)
        parallel.backward(loss)
        with compute("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        yield value
