"""What the blocks of a rank keep for the backward pass, measured in three ways.

One forward pass through the blocks of a share, under `memory.watch`; what lives after
it, less weights, output, and the cosines and sines that all blocks have in common, is
what `sequence_parallel_activations` counts::

    tensor        all-reduce at both ends           every rank keeps all tokens
    sequence      reduce-scatter, all-gather        T / p tokens, and the gathered
    regathered    gathered again on the way back    T / p tokens

The collectives are rings of messages: gloo's threads let go of the tensors of a call a
little after the call is over, and who looks too early counts them.

Source: module `sequence_parallel_activations`.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.introduction.gpt import GPT, GPTConfig, rotations
from dlsys_code.introduction.memory import watch
from dlsys_code.primitive import ring
from dlsys_code.system.sequence_parallel import sharded
from dlsys_code.system.sequence_parallel_regather import Regather
from dlsys_code.system.tensor_parallel import MakeEnds, TensorParallelGPT, replicated

WAYS = ("tensor", "sequence", "regathered")


def gather_by_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the tokens of all ranks, (b, T, h).  x: (b, T / p, h)."""
    parts = ring.all_gather(x.flatten(), group)  # (p, k)
    return torch.cat([part.view(x.shape) for part in parts], 1)


def sum_by_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the sum of this rank's tokens, (b, T / p, h).  x: (b, T, h)."""
    parts = x.chunk(group.size(), 1)
    chunks = torch.stack([part.flatten() for part in parts])  # (p, k)
    return ring.reduce_scatter(chunks, group).view(parts[0].shape)


def by_ring(way: str) -> tuple[MakeEnds, AbstractContextManager]:
    """Return ends whose collectives are rings, and a context for the forward pass."""
    if way == "tensor":
        return partial(replicated, all_reduce=ring.all_reduce), nullcontext()
    again = Regather(gather_by_ring)
    gather = again if way == "regathered" else gather_by_ring
    ends = partial(sharded, all_gather=gather, reduce_scatter=sum_by_ring)
    return ends, again.keeping()


def kept_bytes(config: GPTConfig, batch: int, T: int, way: str) -> int:
    """Return what the blocks of this rank of a World keep, in float32.

    batch: samples of T tokens.  way: one of `WAYS`.
    """
    tp = dist.group.WORLD
    ends, keeping = by_ring(way)
    model = TensorParallelGPT(GPT(config), tp, ends=ends)
    mine = T if way == "tensor" else T // tp.size()
    with watch(model) as memory, keeping:
        x = torch.ones(batch, mine, config.width, requires_grad=True)
        cosine, sine = rotations(T, config, x)
        for block in model.blocks:
            x = block(x, cosine, sine)
        live = memory.now.total - memory.now.weights
    return live - sum(y.nbytes for y in (cosine, sine, x))  # x: the blocks' output
