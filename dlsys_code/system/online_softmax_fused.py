"""`online_softmax` by torch's fused kernels for the CPU, which write no scores out.

Attention of one process runs through a kernel that works on a few hundred scores at a
time and hands back the logarithm of their sum.  Forward that is all a merge needs;
backward the kernel takes the output and the logarithm over *all* blocks, and gives this
block's share of the gradients.  So the ring costs the memory of what it keeps, and no
T/p x T/p matrix for a moment.

It is torch's private operator, on the CPU only, and may change with the next release;
queries without a key, and blocks of none, it does not know.

Source: T. Dao, "FlashAttention-2: faster attention with better parallelism and work
partitioning", ICLR 2024, whose form of the backward pass this is.
"""

import torch
from torch import Tensor

from dlsys_code.system.online_softmax import Collected, Kernel, Upstream, nothing

FORWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def collect(q: Tensor, k: Tensor, v: Tensor, *, mask: Tensor) -> Collected:
    """Return what `online_softmax.collect` does.

    q: (b, g, a/g, m, d).  k, v: (b, g, 1, n, d).
    """
    if not mask.numel():
        return nothing(q)
    heads = q.flatten(1, 2), k.squeeze(2), v.squeeze(2)
    causal, added = meaning(mask, q)
    out, log_sum = FORWARD(*heads, 0.0, causal, attn_mask=added)
    log_sum = log_sum.masked_fill(~mask.any(1), -torch.inf)  # (b, a, m)
    return Collected(out.view_as(q), log_sum.unsqueeze(-1).view_as(q[..., :1]))


def gradients(
    above: Upstream, k: Tensor, v: Tensor, *, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `online_softmax.gradients` does, dk and dv already of their heads."""
    if not mask.numel():
        return torch.zeros_like(above.q), torch.zeros_like(k), torch.zeros_like(v)
    q, out, log_sum, out_gradient = (x.flatten(1, 2) for x in above)
    causal, added = meaning(mask, q)
    heads = out_gradient, q, k.squeeze(2), v.squeeze(2), out, log_sum.squeeze(-1)
    dq, dk, dv = BACKWARD(*heads, 0.0, causal, attn_mask=added)  # no dropout
    return dq.view_as(above.q), dk.view_as(k), dv.view_as(v)


def meaning(mask: Tensor, like: Tensor) -> tuple[bool, Tensor | None]:
    """Return whether the kernel can leave out the upper triangle, or what it adds."""
    if mask.all():
        return False, None
    if torch.equal(mask, torch.ones_like(mask).tril()):
        return True, None
    return False, torch.zeros_like(mask, dtype=like.dtype).masked_fill(
        ~mask, -torch.inf
    )


fused = Kernel(collect, gradients)
