"""Online softmax: attention over a few keys at a time, exact in the end.

A softmax needs the sum over all its scores z.  Attention over a block of keys keeps the
logarithm of its own sum, and two blocks become one without their scores::

    block     l = log sum_j exp(z_j)          o = sum_j exp(z_j - l) v_j
    merged    l = log(exp(l_1) + exp(l_2))    o = exp(l_1 - l) o_1 + exp(l_2 - l) o_2

With the final l, each block's share of the gradients needs no other block::

    w_j = exp(z_j - l)    dz_j = w_j (do . v_j - do . o)

Costs one number per query and head besides the output, and no (T, T) matrix; backward
computes the scores anew.  What is collected is in float32 at least: a logarithm above 8
with the 8 bits of bfloat16 is off by up to 1/32, and with it every weight.

Sources: M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax",
arXiv:1805.02867 (2018); T. Dao et al., "FlashAttention: fast and memory-efficient exact
attention with IO-awareness", NeurIPS 2022.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Collected(NamedTuple):
    """What queries have collected so far.  out: (..., T, d).  log_sum: (..., T, 1)."""

    out: Tensor
    log_sum: Tensor

    def rows(self, some: slice) -> "Collected":
        """Return the same of some of the queries, in the same memory."""
        return Collected(*(x[..., some, :] for x in self))


def wide(x: Tensor) -> Tensor:
    """Return `x` in float32, or as it is if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def nothing(q: Tensor) -> Collected:
    """Return what queries `q`, (..., T, d), have collected before the first block."""
    out = torch.zeros_like(wide(q))
    return Collected(out, torch.full_like(out[..., :1], -torch.inf))


def scores_of(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Return the scores (..., m, n), -inf where `mask` (m, n) is false."""
    scores = q @ k.mT * q.size(-1) ** -0.5
    return scores.masked_fill(~mask, -torch.inf)


def collect(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Collected:
    """Return what queries q (..., m, d) collect from one block k, v (..., n, d)."""
    q, k, v = map(wide, (q, k, v))
    scores = scores_of(q, k, mask)  # (..., m, n)
    log_sum = scores.logsumexp(-1, keepdim=True)  # (..., m, 1)
    return Collected((scores - finite(log_sum)).exp() @ v, log_sum)


def merge_(total: Collected, block: Collected) -> None:
    """Add to `total` what the same queries collected from another block."""
    log_sum = torch.logaddexp(total.log_sum, block.log_sum)
    before, now = ((part.log_sum - finite(log_sum)).exp() for part in (total, block))
    total.out.mul_(before).add_(now * block.out)
    total.log_sum.copy_(log_sum)


def finite(log_sum: Tensor) -> Tensor:
    """Return `log_sum` with 0 for queries without a key: -inf - -inf is no number."""
    return log_sum.masked_fill(log_sum.isneginf(), 0.0)


class Upstream(NamedTuple):
    """What backward knows of the queries."""

    q: Tensor  # (..., T, d)
    out: Tensor  # (..., T, d), of all blocks
    log_sum: Tensor  # (..., T, 1), over all blocks
    out_gradient: Tensor  # (..., T, d)

    def rows(self, some: slice) -> "Upstream":
        """Return the same of some of the queries."""
        return Upstream(*(x[..., some, :] for x in self))


def gradients(
    above: Upstream, k: Tensor, v: Tensor, *, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return one block's share of dq, and dk and dv as far as these queries ask."""
    q, out, log_sum, out_gradient, k, v = map(wide, (*above, k, v))
    weights = (scores_of(q, k, mask) - log_sum).exp()  # (..., m, n)
    inner = (out_gradient * out).sum(-1, keepdim=True)  # do . o
    dz = weights * (out_gradient @ v.mT - inner) * q.size(-1) ** -0.5
    return dz @ k, dz.mT @ q, weights.mT @ out_gradient


class Kernel(NamedTuple):
    """How to work on one block: a `collect` and its `gradients`."""

    collect: Callable[..., Collected]
    gradients: Callable[..., tuple[Tensor, Tensor, Tensor]]


written_out = Kernel(collect, gradients)
