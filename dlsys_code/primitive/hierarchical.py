"""All-reduce on two levels: most bytes stay inside, few cross the slow links.

Ranks that are close (one node, one rack) form an inner group; the ranks with the same
number in every inner group form an outer group.  Two nodes of four ranks::

    inner groups   [0 1 2 3] [4 5 6 7]         fast links
    outer groups   [0 4] [1 5] [2 6] [3 7]     slow links

    1  reduce-scatter inside   rank i of a node holds chunk i, summed over its node
    2  all-reduce across       chunk i, summed over all nodes
    3  all-gather inside       all chunks

For n bytes, a ranks in a node and b nodes, with rings on both levels::

    sent inside    2 (a - 1)/a n          in 2 (a - 1) rounds
    sent across    2 (b - 1)/b n / a      in 2 (b - 1) rounds, by each rank

A flat ring has 2 (a b - 1) rounds, and where it leaves a node 2 (a b - 1)/(a b) n
bytes go over one link; here a links share less.  On equal links there is no gain but
in rounds.

Gradients do not flow through this function.

Source: M. Cho, U. Finkler, D. Kung and H. Hunter, "BlueConnect: decomposing all-reduce
for deep learning on heterogeneous network hierarchy", SysML (Palo Alto, 2019).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import ring_chunk
from dlsys_code.communication.plan import in_turn, on_ranks
from dlsys_code.primitive import ring
from dlsys_code.world.trace import Message


@torch.no_grad()
def all_reduce(x: Tensor, inner: ProcessGroup, outer: ProcessGroup) -> Tensor:
    """Return the sum of `x` over all ranks, bit for bit the same on each of them.

    x: any shape and dtype, alike on every rank, unchanged.  inner: the ranks close to
    this one, as many in every such group.  outer: one rank of each inner group, with
    this one's number there.  Returns: same shape.
    """
    a, count = inner.size(), x.numel()
    flat = F.pad(x.reshape(count), (0, -count % a))  # (a * k,) with k = ceil(count / a)
    chunk = ring.reduce_scatter(flat.view(a, -1), inner)  # (k,)
    total = ring.all_gather(ring.all_reduce(chunk, outer), inner)  # (a, k)
    return total.view(-1)[:count].view(x.shape)


def all_reduce_messages(
    nodes: Sequence[Sequence[int]], count: int, item: int
) -> list[Message]:
    """Return the messages of `all_reduce` for `count` elements of `item` bytes.

    nodes: the ranks of every inner group, as many in each.
    Errors: ValueError when the inner groups differ in size.
    """
    a, b = len(nodes[0]), len(nodes)
    across = list(zip(*nodes, strict=True))  # rank i of every node
    chunk = ring_chunk(a, count)
    return in_turn(
        side_by_side(nodes, ring.reduce_scatter_messages(a, count, item)),
        side_by_side(across, ring.all_reduce_messages(b, chunk, item)),
        side_by_side(nodes, ring.all_gather_messages(a, count, item)),
    )


def side_by_side(
    groups: Sequence[Sequence[int]], plan: Sequence[Message]
) -> list[Message]:
    """Return the plan that every group carries out at the same time as the others."""
    return sorted(message for ranks in groups for message in on_ranks(ranks, plan))
