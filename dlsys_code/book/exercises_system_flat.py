"""What chapter 5 asks a reader of a flat shard: which elements of which weights it has.

A wrong answer is told by the weight where it goes wrong.
"""

from collections.abc import Sequence
from itertools import accumulate

from dlsys_code.book.exercises_numbers import is_whole

FLATS = [  # elements of the weights, ranks, rank
    *(((4, 8), 3, r) for r in range(3)),
    *(((6,), 2, r) for r in range(2)),
    *(((5, 1, 4), 3, r) for r in range(3)),
    *(((2, 1, 1, 2, 9), 4, r) for r in range(4)),
    *(((3, 2), 4, r) for r in range(4)),
]


def held(sizes: Sequence[int], each: int, r: int) -> list[tuple[int, int, int]]:
    """Return (weight, begin, end) of what row r has, of `each` elements."""
    ends = list(accumulate(sizes))
    starts = [0, *ends[:-1]]
    pieces = [
        (i, max(r * each, start) - start, min((r + 1) * each, end) - start)
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    return [piece for piece in pieces if piece[1] < piece[2]]


def fault_of_shard(answer: object, sizes: Sequence[int], p: int, r: int) -> str:
    """Say which weight's elements are wrong; "" for a right shard."""
    try:
        pieces = [(i, begin, end) for i, begin, end in answer]
    except (TypeError, ValueError):
        pieces = [(None,)]
    if not all(is_whole(part) for piece in pieces for part in piece):
        return f"返回了 {answer!r}，要一列 (第几个权重, 起, 止)"
    each = -(-sum(sizes) // p)
    right = held(sizes, each, r)
    if pieces == right:
        return ""
    for said, wrong in of_another_line(sizes, p, r).items():
        if pieces == wrong:
            return said
    for i, begin, end in pieces:
        if not 0 <= i < len(sizes):
            return f"没有第 {i!r} 个权重，编号是 0 到 {len(sizes) - 1}"
        if begin >= end:
            return f"({i}, {begin}, {end}) 里一个元素也没有，不要列出"
        if end > sizes[i]:
            return f"第 {i} 个权重只有 {sizes[i]} 个元素，后面是补的零，不要列出"
    return (
        f"返回了 {pieces}：第 {r} 段从 {r * each} 到 {(r + 1) * each}，应当是 {right}"
    )


def of_another_line(
    sizes: Sequence[int], p: int, r: int
) -> dict[str, list[tuple[int, int, int]]]:
    """Return what a likely mistake gives: what is to be said of it -> the pieces."""
    each, right = -(-sum(sizes) // p), held(sizes, -(-sum(sizes) // p), r)
    starts = [0, *accumulate(sizes)]
    return {
        f"补零到 {p * each} 个，一段 {each} 个元素，不是 {each - 1} 个": held(
            sizes, sum(sizes) // p, r
        ),
        "元素都对，次序不对：按权重的编号排": right[::-1],
        "权重的编号从 0 数": [(i + 1, begin, end) for i, begin, end in right],
        "止是最后一个元素的后面一个": [(i, begin, end - 1) for i, begin, end in right],
        "起和止从这个权重的开头数，不是从长线的开头": [
            (i, starts[i] + begin, starts[i] + end) for i, begin, end in right
        ],
    }


def shown_flat(sizes: Sequence[int], p: int, r: int) -> str:
    """Return a case of `in_my_shard`, for the reader."""
    return f"sizes = {sizes}、p = {p}、r = {r}"
