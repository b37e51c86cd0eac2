"""Ranks that train one model must have one: compare what it is made of, then copy it.

An all-reduce adds what the ranks give it, element by element, whatever that is: two
models of different shapes end in a crash or wait for ever, and two of different weights
train apart without a word.  So before the first gradient::

    compare   names, shapes, what learns  every rank sees all, and all complain alike
    copy      weights and buffers         rank 0 gives, so that seeds may differ

Cost: once, some bytes for each parameter, and a broadcast of the n bytes of the model.

Source: S. Li et al., "PyTorch distributed: experiences on accelerating data parallel
training", PVLDB 13 (2020) 3005-3018.
"""

from collections.abc import Sequence
from itertools import zip_longest

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import ProcessGroup


def check_same_model(
    model: nn.Module, buckets: Sequence[int], group: ProcessGroup
) -> None:
    """Return when the model is built alike on every rank.

    buckets: how many gradients travel in each; alike too.
    Errors: as `check_alike`.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    lines = [
        f"{name} {tuple(x.shape)} of {x.dtype}, learning {x.requires_grad}"
        for name, x in named
    ]
    check_alike([*lines, f"buckets of {list(buckets)} gradients"], group)


def check_alike(lines: Sequence[str], group: ProcessGroup) -> None:
    """Return when every rank of the group has given the same lines.

    Errors, on every rank: ValueError with the first line that differs from rank 0's.
    """
    everyone: list[Sequence[str]] = [[]] * group.size()
    dist.all_gather_object(everyone, lines, group=group)
    for r, theirs in enumerate(everyone):
        for first, other in zip_longest(everyone[0], theirs, fillvalue="nothing"):
            if first != other:
                raise ValueError(f"rank {r} has {other} where rank 0 has {first}")


@torch.no_grad()
def copy_from_first_(model: nn.Module, group: ProcessGroup) -> None:
    """Give every rank the weights and buffers of rank 0 of the group."""
    for x in [*model.parameters(), *model.buffers()]:  # tied ones once
        values = x.contiguous()  # of a transposed weight a copy
        dist.broadcast(values, group=group, group_src=0)
        x.copy_(values)
