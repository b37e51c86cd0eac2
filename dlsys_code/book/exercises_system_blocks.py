"""What chapter 5 asks a reader of blocks of keys: two results of a softmax made one.

Cases are plain ones, then logarithms whose exp is no number, then a block of which some
queries see no key.
"""

import torch
from torch import Tensor

from dlsys_code.book.exercises_diagnosis import of_type

Block = tuple[Tensor, Tensor]  # the output (T, d) and the logarithm of the sum (T, 1)


def scored(scores: Tensor, values: Tensor) -> Block:
    """Return what queries collect from keys with these scores, -inf for none."""
    log_sum = scores.logsumexp(-1, keepdim=True)
    weights = (scores - log_sum.nan_to_num(neginf=0.0)).exp()
    return weights @ values, log_sum


def blocks() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return the outputs and logarithms of two blocks, of each case."""
    return [(*scored(a, x), *scored(b, y)) for a, x, b, y in score_pairs()]


def score_pairs() -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return scores and values of two blocks: plain, uneven, large, masked ones."""
    draw = torch.Generator().manual_seed(5)

    def some(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    past = torch.zeros(4, 3, dtype=torch.float64)
    past[:2] = -torch.inf  # the first two queries see no key of that block
    return [
        (some(1, 1), some(1, 2), some(1, 1), some(1, 2)),
        (some(4, 3), some(4, 2)[:3], some(4, 5), some(5, 2)),
        (some(3, 2) + 1000, some(2, 4), some(3, 2) + 1001, some(2, 4)),
        (some(3, 2) - 1000, some(2, 4), some(3, 2) - 1001, some(2, 4)),
        (some(4, 3), some(3, 2), some(4, 3) + past, some(3, 2)),
    ]


def fault_of_merge(
    answer: object, o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor
) -> str:
    """Say what two merged blocks have wrong; "" for nothing."""
    try:
        out, log_sum = answer
    except (TypeError, ValueError):
        return f"返回了 {type(answer).__name__}，要 (o, l)"
    right = torch.logaddexp(l_1, l_2)
    share = (l_1 - right).exp()
    best = share * o_1 + (1 - share) * o_2
    for name, mine, wanted in (("l", log_sum, right), ("o", out, best)):
        if said := of_type(mine, wanted):
            return f"{name} {said}"
        if not mine.isfinite().all():
            return f"{name} 里有 inf 或 nan：{overflow(l_1, l_2)}"
    if close(log_sum, right) and close(out, best):
        return ""
    return likely(out, log_sum, (o_1, l_1), (o_2, l_2), (best, right))


def overflow(l_1: Tensor, l_2: Tensor) -> str:
    """Say why numbers went over."""
    if l_1.isneginf().any() or l_2.isneginf().any():
        return "一块一个键也没有时 l 是 -inf，它的 exp 是 0"
    return "先减去大的 l 再取 exp，或者用 torch.logaddexp"


def likely(out: Tensor, log_sum: Tensor, one: Block, two: Block, best: Block) -> str:
    """Say by which likely mistake blocks were merged wrongly."""
    (o_1, l_1), (o_2, l_2), (right, total) = one, two, best
    if close(log_sum, l_1 + l_2):
        return "l 是和的对数，不能直接相加：先取 exp 再加"
    if close(log_sum, l_1.exp() + l_2.exp()):
        return "l 要取对数"
    if not close(log_sum, total):
        return f"l 是 {log_sum[0].item():.6g}，应当是 {total[0].item():.6g}"
    if close(out, (o_1 + o_2) / 2):
        return "o 求了平均；两块的分母不同，要按 exp(l_1 - l)、exp(l_2 - l) 加权"
    if close(out, o_1 + o_2):
        return "o 直接相加了：它们各自已经除过自己的和"
    if close(out, l_1.exp() * o_1 + l_2.exp() * o_2):
        return "o 还没有除以总和：权重是 exp(l_1 - l)"
    return f"o 是 {out[0].tolist()}，应当是 {right[0].tolist()}"


def close(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are one but for rounding."""
    return torch.allclose(a, b, rtol=1e-9, atol=1e-9)


def shown_blocks(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> str:
    """Return a case of `merge_blocks`, for the reader."""
    sums = [[round(x, 3) for x in part.flatten().tolist()] for part in (l_1, l_2)]
    return f"{len(o_1)} 个查询，l_1 = {sums[0]}、l_2 = {sums[1]}"
