"""A barrier by dissemination: no rank leaves before all have arrived.

In round i a rank signals to the one 2^i places on and waits for the one 2^i places
back.  Whoever signals has heard of 2^i ranks, itself among them::

    round 0   each rank has heard from 1 before it
    round 1                        from 3 before it
    round 2                        from 7 before it

After ceil(log2 p) rounds every rank has heard of all, for any p and without a root.
With latency alpha [s]::

    time = ceil(log2 p) alpha

Source: D. Hensgen, R. Finkel and U. Manber, "Two algorithms for barrier
synchronization", Int. J. Parallel Programming 17 (1988) 1-17.
"""

import torch
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import tree_rounds
from dlsys_code.world.control import collective, nothing
from dlsys_code.world.point_to_point import shift
from dlsys_code.world.trace import Message


@collective(nothing)
def barrier(group: ProcessGroup, *, device: str = "cpu") -> None:
    """Return when every rank of the group has called it.

    device: where the group's messages live; "cuda" for NCCL.
    """
    signal = torch.zeros(1, dtype=torch.uint8, device=device)  # none could carry less
    for step in range(tree_rounds(group.size())):
        shift(signal, group, by=2**step)


def barrier_messages(p: int) -> list[Message]:
    """Return the messages of `barrier`, one byte each."""
    return [
        Message(step, r, (r + 2**step) % p, 1)
        for step in range(tree_rounds(p))
        for r in range(p)
    ]
