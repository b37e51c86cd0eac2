"""Data for p ranks: every sample of an epoch once, whatever p is.

An epoch is a permutation that follows from (seed, epoch) alone.  It is cut into
batches, and a batch into p parts that differ by at most one sample::

    order     7 2 9 | 0 4 1 | 8 5 3 | 6          10 samples, batches of 3
    p = 2     7 2   | 0 4   | 8 5   | 6          rank 0
                  9 |     1 |     3 |            rank 1, whose last part is empty

So a step reads the same samples on any number of ranks, and a run goes on from (epoch,
step) on another number.  Parts of different sizes must not count alike: a rank's mean
loss weighs p x own / whole, then the mean over the ranks is the batch's own::

    1/p  sum over ranks of  (p own / whole) x mean of own   =   sum of all / whole

torch's DistributedSampler makes parts equal instead: it repeats samples from the front
of the order, or with `drop_last` leaves the last ones out, and cuts the order before
the batches, at a stride of p.

Cost: the order, an integer for each sample, is drawn on every rank; nothing is sent.

Source: P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour",
arXiv:1706.02677 (2017), section 3 (divide by the whole batch; shuffle once for all).
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.distributed import ProcessGroup


class Part(NamedTuple):
    """What a rank reads of a batch, and what its mean loss weighs there."""

    samples: Sequence[int]
    weight: float


def order(samples: int, *, seed: int, epoch: int) -> list[int]:
    """Return the numbers below `samples`, shuffled anew in each epoch."""
    # Hashed, as in `tokens`: seed + epoch would make (0, 1) and (1, 0) one epoch.
    drawn = random.Random(f"{seed}/{epoch}").getrandbits(63)
    return torch.randperm(
        samples, generator=torch.Generator("cpu").manual_seed(drawn), device="cpu"
    ).tolist()


def batches(samples: int, batch: int, *, seed: int, epoch: int) -> Iterator[list[int]]:
    """Yield the samples of each step of an epoch; the last step may have fewer.

    Errors: ValueError for less than one sample or a batch below 1.
    """
    if samples < 1 or batch < 1:
        raise ValueError(f"{samples} samples cannot be read in batches of {batch}")
    numbers = order(samples, seed=seed, epoch=epoch)
    for at in range(0, samples, batch):
        yield numbers[at : at + batch]


def part_of(batch: Sequence[int], group: ProcessGroup) -> Part:
    """Return what this rank reads of a batch: consecutive samples, in rank order.

    A rank that is left without a sample reads the first one, which weighs nothing:
    models do not like empty batches, and the rank must come to every all-reduce.
    Errors: ValueError for a batch without samples.
    """
    return parts_of(batch, group.size())[group.rank()]


def parts_of(batch: Sequence[int], p: int) -> list[Part]:
    """Return the part of each of p ranks; the first have one sample more.

    Errors: ValueError for a batch without samples.
    """
    whole = len(batch)
    if not whole:
        raise ValueError(f"{p} ranks cannot share a batch without samples")
    ends = [r * (whole // p) + min(r, whole % p) for r in range(p + 1)]
    own = [batch[ends[r] : ends[r + 1]] for r in range(p)]
    return [Part(mine or batch[:1], p * len(mine) / whole) for mine in own]
