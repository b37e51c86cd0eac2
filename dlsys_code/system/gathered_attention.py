"""All-gather attention: every rank gets all keys and values, and keeps its queries.

The simplest way to share a sequence, and the one that Llama 3 was trained with.  Keys
and values are a small part of a grouped-query model, one collective moves them, and any
kernel that takes a mask can attend to them::

    forward    all-gather of k and v          k, v   (b, g, T/p, d) -> (b, g, T, d)
    backward   reduce-scatter of dk and dv    the adjoint

For n bytes of k and v together on one rank, each rank sends::

    forward (p - 1) n        backward (p - 1) n

That is less than the ring's, but p n bytes of keys and values stay on every rank until
its backward pass, and nothing is computed while they travel.

Source: A. Dubey et al., "The Llama 3 herd of models", arXiv:2407.21783 (2024), section
3.3.2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.primitive.adjoint import Collective, gather_all
from dlsys_code.system.context_parallel import (
    Layout,
    check_fit,
    seen,
    tile_of,
    whole,
    zigzag,
)


def gathered_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    group: ProcessGroup,
    layout: Layout = zigzag,
    causal: bool = True,
    gather: Collective = gather_all,
) -> Tensor:
    """Return what this rank's queries collect from the tokens of all ranks.

    q: (b, a, T/p, d).  k, v: (b, g, T/p, d), alike on every rank.  layout: which tokens
    these are.  gather: an all-gather of (k,) to (p, k) with its adjoint; losses summed.
    Errors: ValueError, before any message, for heads or tokens that cannot be shared.
    """
    check_fit(q, k, v)
    p, r, T = group.size(), group.rank(), group.size() * q.size(2)
    order, mine = whole(p, T, layout), layout(T, p, r)  # positions
    kv = torch.stack((k, v))  # (2, b, g, T/p, d)
    rows = gather(kv.flatten(), group).view(p, *kv.shape)
    k, v = rows.movedim(0, 3).flatten(3, 4)[..., order.argsort(), :]  # (b, g, T, d)
    mask = seen(mine, torch.arange(T), causal=causal)  # (T/p, T)
    early, late = (
        masked(queries, k, v, mask=part)
        for queries, part in zip(
            q.tensor_split(2, 2), mask.tensor_split(2), strict=True
        )
    )
    return torch.cat((early, late), 2)


def masked(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Tensor:
    """Return attention under a mask, computed only where it leaves any key.

    q: (b, a, m, d).  k, v: (b, g, T, d).  mask: (m, T); a key for every query.
    """
    _, keys, mask = tile_of(mask)
    k, v = (x[..., keys, :] for x in (k, v))
    mask = mask.to(q.device)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
