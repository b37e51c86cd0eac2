"""Ring attention: queries stay, keys and values travel past them.

A rank holds T/p tokens.  In each of p steps it lets its queries collect from the block
of keys and values that it has, while that block is already on its way to the right::

    forward    p - 1 moves of k, v          online softmax merges the blocks
    backward   p - 1 moves of k, v again    the scores are computed anew
               p moves of dk, dv            they follow their block, and go home

For n bytes of k and v together on one rank, each rank sends::

    forward (p - 1) n        backward (2 p - 1) n, for p > 1

The moves cost no time where computing on a block takes longer than moving it: work per
step falls with (T/p)^2, bytes with T/p only.  Many short steps lose.  Grouped-query
heads make n smaller.  Written out, the scores of a block are (T/p)^2 numbers of every
head for a moment; with the kernel of `online_softmax_fused` they never exist.

Source: H. Liu, M. Zaharia and P. Abbeel, "Ring attention with blockwise transformers
for near-infinite context", ICLR 2024.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.distributed import ProcessGroup

from dlsys_code.system.context_parallel import (
    Layout,
    Tile,
    check_fit,
    seen,
    tile_of,
    zigzag,
)
from dlsys_code.system.online_softmax import (
    Kernel,
    Upstream,
    merge_,
    nothing,
    wide,
    written_out,
)
from dlsys_code.world import compute


def ring_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    group: ProcessGroup,
    layout: Layout = zigzag,
    causal: bool = True,
    kernel: Kernel = written_out,
) -> Tensor:
    """Return what this rank's queries collect from the tokens of all ranks.

    q: (b, a, T/p, d).  k, v: (b, g, T/p, d), alike on every rank.  layout: which tokens
    these are.  kernel: what works on a block.  Returns (b, a, T/p, d).  Losses summed,
    as in `adjoint`.
    Errors: ValueError, before any message, for heads or tokens that cannot be shared.
    That shapes differ between ranks is not noticed: comparing them takes a message.
    """
    check_fit(q, k, v)
    p, r, T = group.size(), group.rank(), group.size() * q.size(2)
    held = [layout(T, p, source).to(q.device) for source in range(p)]
    tiles = [tile_of(seen(held[r], keys, causal=causal)) for keys in held]
    q = q.unflatten(1, (k.size(1), -1))  # (b, g, a/g, T/p, d)
    kv = torch.stack((k, v)).unsqueeze(3)  # (2, b, g, 1, T/p, d)
    return Ring.apply(q, kv, tiles, group, kernel).flatten(1, 2)  # (b, a, T/p, d)


class Ring(torch.autograd.Function):
    """Attention round the ring as one step of autograd."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        q: Tensor,
        kv: Tensor,
        tiles: Sequence[Tile],
        group: ProcessGroup,
        kernel: Kernel,
    ) -> Tensor:
        """Collect from every block; keep the output and the logarithm of the sums."""
        total = nothing(q)
        for source, block in travelling(kv, group):
            rows, keys, mask = tiles[source]
            with compute("attention"):
                k, v = block[..., keys, :]
                more = kernel.collect(q[..., rows, :], k, v, mask=mask)
                merge_(total.rows(rows), more)
        out = total.out.to(q.dtype)
        ctx.save_for_backward(q, kv, out, total.log_sum)
        ctx.tiles, ctx.group, ctx.kernel = tiles, group, kernel
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, out_gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Send the blocks round again, and their gradients after them."""
        q, kv, out, log_sum = ctx.saved_tensors
        above = Upstream(q, out, log_sum, out_gradient)
        dq, arrived = torch.zeros_like(wide(q)), partial(torch.zeros_like, kv)
        for source, block in travelling(kv, ctx.group):
            rows, keys, mask = ctx.tiles[source]
            with compute("gradients"):
                k, v = block[..., keys, :]
                more = ctx.kernel.gradients(above.rows(rows), k, v, mask=mask)
                dq[..., rows, :] += more[0]
            dkv = arrived()  # of this block, from the ranks that had it before
            dkv[..., keys, :] += torch.stack(more[1:]).sum(3, keepdim=True)
            arrived = start_shift(dkv, ctx.group)
        return dq.to(q.dtype), arrived(), None, None, None


def travelling(block: Tensor, group: ProcessGroup) -> Iterator[tuple[int, Tensor]]:
    """Yield the rank each block comes from, and the block; the own one first.

    While the caller computes on one block, the next is on its way.
    """
    p, r = group.size(), group.rank()
    for step in range(p - 1):
        arrived = start_shift(block, group)
        yield (r - step) % p, block
        block = arrived()
    yield (r + 1) % p, block


def start_shift(x: Tensor, group: ProcessGroup) -> Callable[[], Tensor]:
    """Begin to send `x` to the right; return what waits for that from the left.

    x: of one shape on every rank; must not change before that has been called.
    """
    p, r = group.size(), group.rank()
    if p == 1:
        return lambda: x  # its own neighbour
    outgoing = x.contiguous()
    arrived = torch.empty_like(outgoing)
    both = [
        dist.P2POp(dist.irecv, arrived, group=group, group_peer=(r - 1) % p),
        dist.P2POp(dist.isend, outgoing, group=group, group_peer=(r + 1) % p),
    ]
    under_way = dist.batch_isend_irecv(both)

    def wait() -> Tensor:
        for work in under_way:
            work.wait()
        return arrived

    return wait
