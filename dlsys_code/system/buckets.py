"""Which gradients travel together: buckets, filled from the last parameter back.

One call for each gradient pays its start many times over; one call for all waits for
the last of them.  A bucket is between the two.  Backward reaches the last layer first,
so the parameters are taken in reverse order, and a bucket is closed as soon as it holds
its limit::

    parameters    a     b     c     d     e     f          in the order of the model
    buckets                         |  1: f e |            first_bytes, small
                  |     2: d c b    |                      limit_bytes
                  3: a                                     what is left

The first bucket has a small limit of its own: then something is on its way early.  A
bucket has one dtype and one device, for it is one tensor in the end.

Cost: for n bytes about n / limit_bytes calls, each with a start; a parameter is never
cut, so a bucket holds less than its limit and one parameter together.

Source: S. Li et al., "PyTorch distributed: experiences on accelerating data parallel
training", PVLDB 13 (2020) 3005-3018, section 3.2.2.  Rule and limits are those of
DistributedDataParallel.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from dlsys_code.introduction.units import MiB

FIRST_BYTES = 1 * MiB
LIMIT_BYTES = 25 * MiB
Kind = tuple[torch.dtype, torch.device]  # of a tensor


def buckets_of(
    model: nn.Module, *, limit_bytes: int = LIMIT_BYTES, first_bytes: int = FIRST_BYTES
) -> list[list[Tensor]]:
    """Return the parameters of a model by bucket, in the order in which they travel.

    Tied parameters are in one bucket, once; frozen ones in none.
    Errors: ValueError for a limit below 1 byte.
    """
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    return filled(learning[::-1], limit_bytes=limit_bytes, first_bytes=first_bytes)


def filled(
    tensors: Iterable[Tensor], *, limit_bytes: int, first_bytes: int
) -> list[list[Tensor]]:
    """Return the tensors in buckets, in their order; buckets by their first tensor.

    first_bytes: the limit of the first bucket of each dtype and device.
    Errors: ValueError for a limit below 1 byte.
    """
    if limit_bytes < 1 or first_bytes < 1:
        raise ValueError(
            f"a bucket holds at least 1 byte, not {limit_bytes}, the first "
            f"{first_bytes}"
        )
    buckets: list[list[Tensor]] = []
    opened: dict[Kind, list[Tensor]] = {}
    limits: dict[Kind, int] = defaultdict(lambda: first_bytes)
    for x in tensors:
        kind = x.dtype, x.device
        if kind not in opened:
            opened[kind] = []
            buckets.append(opened[kind])
        opened[kind].append(x)
        if bytes_of(opened[kind]) >= limits[kind]:
            del opened[kind]
            limits[kind] = limit_bytes
    return buckets


def bytes_of(tensors: Sequence[Tensor]) -> int:
    """Return the bytes of some tensors together."""
    return sum(x.nbytes for x in tensors)
