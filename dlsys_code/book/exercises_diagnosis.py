"""What is wrong with the outcome of a reader's program, in the words of the chapter.

A collective is linear: what a rank must return is the sum of one share for each input.
So the answer to the inputs of rank k alone, all others zero, is the share of rank k,
and a result that lacks it, or has it twice, shows itself without knowing which
collective it is.
"""

from collections.abc import Iterable, Sequence
from itertools import product

import torch
from torch import Tensor

from dlsys_code.book.exercises import Task


def of_results(
    task: Task, results: Sequence[object], inputs: Sequence[Tensor]
) -> list[str]:
    """Say what is wrong with the first wrong result, and which others are; or nothing.

    results: of all ranks.  inputs: what they brought, in rank order.
    """
    p = len(results)
    expected = [task.answer(inputs.__getitem__, p, r, 0) for r in range(p)]
    right = [r for r in range(p) if is_right(results[r], expected[r])]
    if len(right) == p:
        return []
    rank = min(set(range(p)) - set(right))

    def share(k: int) -> Tensor:
        alone = [x if r == k else torch.zeros_like(x) for r, x in enumerate(inputs)]
        return task.answer(alone.__getitem__, p, rank, 0)

    fault = of_type(results[rank], expected[rank]) or next(
        told
        for told in (
            mistaken(task, results, inputs),
            own_or_scaled(results[rank], expected[rank], inputs[rank], p),
            of_another(results[rank], expected, inputs),
            of_shares(results[rank], [share(k) for k in range(p)]),
            of_blocks(results[rank], expected[rank], inputs),
            first_element(results[rank], expected[rank]),
        )
        if told
    )
    return [f"rank {rank}：{fault}", *who_is_right(right, p)]


def mistaken(task: Task, results: Sequence[object], inputs: Sequence[Tensor]) -> str:
    """Say which mistake known to the exercise gives just these results; "" if none."""
    for said, outcome in task.mistaken.items():
        known = outcome(inputs)
        if len(known) == len(results) and all(map(is_close, results, known)):
            return said
    return ""


def is_right(result: object, expected: Tensor) -> bool:
    """Return whether a result is what it should be, to the last bit."""
    return not of_type(result, expected) and torch.equal(result, expected)


def is_close(result: object, expected: Tensor) -> bool:
    """Return whether a result is another one but for rounding."""
    return not of_type(result, expected) and torch.allclose(result, expected, rtol=1e-9)


def who_is_right(right: Sequence[int], p: int) -> list[str]:
    """Say which ranks have the right result, where some have."""
    if not right:
        return []
    only = "只有 " if len(right) < p - 1 or p == 2 else ""
    return [f"{only}rank {listed(right)} 对"]


def of_type(result: object, expected: Tensor) -> str:
    """Say how a result is of another type or shape; "" if it is not."""
    if not isinstance(result, Tensor):
        return f"返回了 {type(result).__name__}，应当返回张量"
    if result.shape != expected.shape:
        return f"返回的形状是 {tuple(result.shape)}，应当是 {tuple(expected.shape)}"
    if result.dtype != expected.dtype:
        return f"返回的类型是 {result.dtype}，应当是 {expected.dtype}：中途换了类型"
    return ""


def own_or_scaled(result: Tensor, expected: Tensor, own: Tensor, p: int) -> str:
    """Say whether a result is the rank's input, or the right one times or over p."""
    if not result.any():
        return "返回的全是 0"
    if torch.equal(result, own):
        return "返回的还是自己的输入，什么也没有收到"
    if torch.allclose(result, p * expected):
        return f"每个数都是应得的 {p} 倍：重复加了"
    if torch.allclose(result, expected / p):
        return f"每个数都除以了 {p}：求了平均，这里要的是和"
    return ""


def of_another(
    result: Tensor, expected: Sequence[Tensor], inputs: Sequence[Tensor]
) -> str:
    """Say whose result or input this is; "" if it is no one's."""
    if (k := index_of(result, inputs)) >= 0:
        return f"返回的是 rank {k} 的输入"
    if (k := index_of(result, expected)) >= 0:
        return f"返回的是 rank {k} 该得的那一段"
    return ""


def of_shares(result: Tensor, shares: Sequence[Tensor]) -> str:
    """Say whose share is missing or was added twice; "" if that is not what is wrong.

    shares: what each rank adds to the right result; some may be all zeros.
    """
    givers = [k for k, share in enumerate(shares) if share.any()]
    if not givers:  # each is needed for all the others
        return ""
    times = sorted(product((1, 0, 2), repeat=len(givers)), key=unusual)
    sums = torch.tensor(times).to(result) @ torch.stack([shares[k] for k in givers])
    at = index_of(result, sums)
    if at < 0:
        return ""
    missing = [k for k, n in zip(givers, times[at], strict=True) if n == 0]
    twice = [k for k, n in zip(givers, times[at], strict=True) if n == 2]
    return "，".join(
        [f"少了 rank {listed(missing)} 的份"] * bool(missing)
        + [f"rank {listed(twice)} 的份加了两次"] * bool(twice)
    )


def unusual(times: Sequence[int]) -> int:
    """Return how many shares were not added just once."""
    return sum(n != 1 for n in times)


def of_blocks(result: Tensor, expected: Tensor, inputs: Sequence[Tensor]) -> str:
    """Say which block stands where another belongs; "" if a result has no such blocks.

    A block is a p-th part of the result.  Where only the order is wrong, all places are
    listed; otherwise the first wrong block is traced to the input that it came from.
    """
    p = len(inputs)
    if len(result) % p:
        return ""
    size = len(result) // p
    got, due = result.split(size), expected.split(size)
    places = [index_of(block, due) for block in got]
    if sorted(places) == list(range(p)):
        return f"数都在，次序不对：从头起依次放着第 {listed(places)} 块"
    parts = [part for x in inputs for part in x.split(size)]
    each = len(parts) // p
    at = next(i for i in range(p) if not torch.equal(got[i], due[i]))
    came, belongs = index_of(got[at], parts), index_of(due[at], parts)
    if came < 0 or belongs < 0:
        return ""
    return (
        f"第 {at} 块是 rank {came // each} 的第 {came % each} 块，"
        f"应当是 rank {belongs // each} 的第 {belongs % each} 块"
    )


def index_of(block: Tensor, among: Iterable[Tensor]) -> int:
    """Return where a block stands among others, -1 if nowhere."""
    return next((i for i, other in enumerate(among) if torch.equal(block, other)), -1)


def first_element(result: Tensor, expected: Tensor) -> str:
    """Say which element is the first that is wrong."""
    at = int((result != expected).nonzero()[0])
    return f"第 {at} 个数是 {result[at]:.15g}，应当是 {expected[at]:.15g}"


def listed(numbers: Sequence[int]) -> str:
    """Return numbers as a reader expects them, for example "0、2"."""
    return "、".join(map(str, numbers))
