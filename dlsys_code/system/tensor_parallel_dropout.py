"""Dropout right under parallelism: what a rank drops depends on the place only.

Where all ranks hold the same stream, all must drop the same, or they go on with
different values and no error.  Where each holds a share, each must drop as it would
have in one process.  Both hold if every rank draws for all b T h places from one
generator, seeded alike, and then takes those that it has::

    between branches, tensor      all places           the same mask on every rank
                      sequence    its T / p tokens     another part of one mask

So the run is the serial one for any p.  Drawing costs what it does in one process, and
is not shared; of the mask a rank keeps its part, 1 byte a place.  Megatron-LM draws
less: ranks have one generator in common and one of their own, and another run for
each p.

Sources: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
overfitting", JMLR 15 (2014) 1929-1958; M. Shoeybi et al., "Megatron-LM: training
multi-billion parameter language models using model parallelism", arXiv:1909.08053
(2019), appendix B.2.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.distributed import ProcessGroup

from dlsys_code.system.tensor_parallel import Ends

Part = Callable[[Tensor, ProcessGroup], Tensor]


def all_tokens(x: Tensor, tp: ProcessGroup) -> Tensor:
    """Return what a rank has under `tensor_parallel`: all of x, (b, T, h)."""
    return x


def own_tokens(x: Tensor, tp: ProcessGroup) -> Tensor:
    """Return what it has under `sequence_parallel`, (b, T / p, h).  x: (b, T, h)."""
    return x.chunk(tp.size(), 1)[tp.rank()]


def dropping(
    ends: Ends, tp: ProcessGroup, *, rate: float, draw: Generator, part: Part
) -> Ends:
    """Return ends that drop a share of what every branch, and the embedding, adds.

    draw: seeded alike on every rank.  part: `all_tokens` or `own_tokens`.
    Errors: ValueError unless 0 <= rate < 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout needs a rate from 0 to below 1, not {rate}")

    def leave(x: Tensor) -> Tensor:  # (b, T, h), a part of the sum
        drop = torch.rand(x.shape, generator=draw, device=x.device) < rate
        mine = part(drop, tp).clone()  # a view would keep the whole mask
        return ends.leave(x).masked_fill(mine, 0) / (1 - rate)

    return Ends(enter=ends.enter, leave=leave)
