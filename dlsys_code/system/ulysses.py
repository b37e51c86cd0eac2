"""Ulysses: swap shards of the sequence for shards of the heads, and back.

Heads do not know of each other, so a rank that has all tokens of some heads attends to
them as one process would, with any kernel.  An all-to-all before and one after::

    q, k, v   (b, heads, T/p, d)  ->  (b, heads/p, T, d)
    out       (b, a/p, T, d)      ->  (b, a, T/p, d)

The adjoint of each is the other.  For n bytes of q and m bytes of k on one rank, each
rank sends in the forward pass, and once more in backward::

    (p - 1)/p (2 n + 2 m)

That falls with p as n does, where the ring's (p - 1) 2 m does not; but p can be no more
than the heads, and nothing is computed meanwhile.  Where p does not divide the g
key-value heads, each is sent lcm(g, p)/g times.

Source: S. A. Jacobs et al., "DeepSpeed Ulysses: system optimizations for enabling
training of extreme long sequence transformer models", arXiv:2309.14509 (2023).
"""

from math import lcm

from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.introduction.gpt import Attention, fused_attention
from dlsys_code.primitive.adjoint import Collective, with_adjoint
from dlsys_code.primitive.exchange import pairwise
from dlsys_code.system.context_parallel import Layout, check_fit, contiguous, whole

swap_equal = with_adjoint(pairwise, pairwise)  # summed


def ulysses_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    group: ProcessGroup,
    layout: Layout = contiguous,
    attention: Attention = fused_attention,
    swap: Collective = swap_equal,
) -> Tensor:
    """Return what this rank's queries collect from the tokens of all ranks.

    q: (b, a, T/p, d).  k, v: (b, g, T/p, d), alike on every rank.  layout: which tokens
    these are.  attention: of one process, given all tokens in order.  swap: an
    all-to-all of equal rows with its adjoint; losses summed.
    Errors: ValueError, before any message, for heads or tokens that cannot be shared.
    """
    check_fit(q, k, v)
    a, g, p = q.size(1), k.size(1), group.size()
    if a % p:
        raise ValueError(f"{a} heads cannot be shared by {p} ranks")
    order = whole(p, p * q.size(2), layout).to(q.device)  # position of each row
    k, v = (x.repeat_interleave(lcm(g, p) // g, 1) for x in (k, v))
    sorted_rows = order.argsort()
    q, k, v = (to_heads(x, group, swap)[:, :, sorted_rows] for x in (q, k, v))
    return to_tokens(attention(q, k, v)[:, :, order], group, swap)


def to_heads(x: Tensor, group: ProcessGroup, swap: Collective) -> Tensor:
    """Give away tokens of other ranks' heads, and get all tokens of the own ones."""
    rows = x.unflatten(1, (group.size(), -1)).movedim(1, 0)  # (p, b, heads/p, T/p, d)
    return swap(rows.contiguous(), group).movedim(0, 2).flatten(2, 3)


def to_tokens(x: Tensor, group: ProcessGroup, swap: Collective) -> Tensor:
    """Do the opposite of `to_heads`.  x: (b, heads/p, T, d)."""
    rows = x.unflatten(2, (group.size(), -1)).movedim(2, 0)  # (p, b, heads/p, T/p, d)
    return swap(rows.contiguous(), group).movedim(0, 1).flatten(1, 2)
