"""Embedding and cross-entropy of a vocabulary that the ranks share.

A rank has the rows of V / p words of the embedding, and so the logits of these words.
Looking words up, every rank finds its own and leaves zeros for the others: the sum over
the ranks is the embedding.  The loss of a token with target y needs three numbers of
its logits z, and each is a reduction over all words::

    m = max of z            s = sum of exp(z - m)            loss = log s - (z_y - m)

So b T maxima and 2 b T sums are all-reduced, and never the b T V logits.  The gradient
of a logit, exp(z - m) / s less 1 at the target, needs nothing more from anyone.

Source: M. Shoeybi et al., "Megatron-LM: training multi-billion parameter language
models using model parallelism", arXiv:1909.08053 (2019), section 3.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn import functional as F

from dlsys_code.introduction.average_gradients import torch_sum
from dlsys_code.primitive.adjoint import Collective, identity, with_adjoint


def torch_max(x: Tensor, group: ProcessGroup) -> Tensor:
    """Return the largest `x` of all ranks, element by element."""
    largest = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(largest, dist.ReduceOp.MAX, group=group)
    return largest


def check_words(tokens: Tensor, vocabulary: int) -> None:
    """Check that tokens are words of a vocabulary: no rank would miss any other.

    Errors: ValueError that names the first that is not.
    """
    strange = tokens[(tokens < 0) | (tokens >= vocabulary)]
    if len(strange):
        raise ValueError(f"{strange[0]} is no word of a vocabulary of {vocabulary}")


def own_words(tokens: Tensor, count: int, r: int) -> tuple[Tensor, Tensor]:
    """Return at which row rank r has each token, and where it has none (row 0 there).

    tokens: any shape.  count: words of each rank.
    """
    rows = tokens - r * count
    absent = (rows < 0) | (rows >= count)
    return rows.masked_fill(absent, 0), absent


def own_rows(weight: Tensor, tokens: Tensor, tp: ProcessGroup) -> Tensor:
    """Return this rank's part of the embedding: its words, and zeros for the others.

    weight: (V / p, h).  tokens: (b, T).  Returns (b, T, h).
    Errors: ValueError, before any message, for a token that is no word.
    """
    check_words(tokens, tp.size() * len(weight))
    rows, absent = own_words(tokens, len(weight), tp.rank())
    return F.embedding(rows, weight).masked_fill(absent.unsqueeze(-1), 0)


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    tp: ProcessGroup,
    *,
    all_reduce: Collective = torch_sum,
    all_max: Collective = torch_max,
) -> Tensor:
    """Return the mean cross-entropy [nat], the same on every rank, counted once.

    logits: (b, T, V / p), of this rank's words.  targets: (b, T), alike everywhere;
    all of them count, there is no `ignore_index`.
    Errors: ValueError, before any message, for a target that is no word.
    """
    check_words(targets, tp.size() * logits.size(-1))
    sum_out = with_adjoint(all_reduce, identity)  # loss replicated, counted once
    largest = all_max(logits.detach().amax(-1), tp)  # (b, T)
    z = logits - largest.unsqueeze(-1)  # (b, T, V / p)
    rows, absent = own_words(targets, logits.size(-1), tp.rank())
    at_target = z.gather(-1, rows.unsqueeze(-1)).squeeze(-1).masked_fill(absent, 0)
    parts = torch.stack((z.exp().sum(-1), at_target))  # (2, b, T)
    total, at_target = sum_out(parts, tp)
    return (total.log() - at_target).mean()
