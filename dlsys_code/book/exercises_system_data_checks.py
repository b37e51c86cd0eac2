"""What the exercises of section 05.1 hold against a reader's answer.

Buckets are held against `system.buckets`, the line behind backward against
`system.bucket_overlap`; likely mistakes are worked out and named.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch

from dlsys_code.book.exercises_architecture_counts import fault_of_count
from dlsys_code.system.bucket_overlap import Price, travels
from dlsys_code.system.buckets import filled

SIZES = [  # bytes of the parameters in the order of the model, first, limit
    ((4, 4, 4, 4), 4, 8),
    ((8, 1, 3, 9, 2), 4, 8),
    ((5, 5, 5), 1, 100),
    ((30, 2, 2, 2, 1), 3, 4),
    ((7,), 9, 9),
    ((1, 2, 3, 4, 5, 6), 5, 10),
]
COUNTS = [  # samples of each rank
    ((3, 3),),
    ((4, 3),),
    ((2, 1, 1),),
    ((1, 1, 0, 0),),
    ((5, 1, 0),),
]
ARRIVALS = [  # gradients as they arrive, buckets in the order in which they leave
    ((3, 2, 1, 0), ((3, 2), (1, 0))),
    ((3, 1, 2, 0), ((3, 2), (1, 0))),
    ((1, 0, 3, 2), ((3, 2), (1, 0))),
    ((5, 4, 2, 3, 1, 0), ((5,), (4, 3), (2, 1, 0))),
    ((0, 1, 2), ((2,), (1,), (0,))),
]
LINES = [  # bytes of the buckets, seconds of backward, alpha and beta
    ((2, 4, 4), 10.0, 1.0, 0.5),
    ((10,), 10.0, 1.0, 0.5),
    ((2, 4, 4), 5.0, 1.0, 0.5),
    ((1, 1, 1, 7), 20.0, 0.5, 0.25),
    ((5, 5), 0.0, 1.0, 1.0),
]


def fault_of_buckets(
    answer: object, sizes: Sequence[int], first: int, limit: int
) -> str:
    """Say how buckets of parameter numbers differ from the right ones; "" if not."""
    right = by_number(sizes[::-1], first, limit)
    right = [[len(sizes) - 1 - i for i in bucket] for bucket in right]
    try:
        given = [list(bucket) for bucket in answer]
    except TypeError:
        return f"返回了 {answer!r}，要一列桶，每个桶是一列参数编号"
    if given == right:
        return ""
    if sorted(sum(given, [])) != list(range(len(sizes))):
        return f"{given}：每个参数都要在一个桶里，而且只在一个里"
    near = {
        "顺序反了：反向传播先算出最后一个参数的梯度": by_number(sizes, first, limit),
        "第一个桶的上限是 first": [
            [len(sizes) - 1 - i for i in bucket]
            for bucket in by_number(sizes[::-1], limit, limit)
        ],
        "只有第一个桶的上限是 first": [
            [len(sizes) - 1 - i for i in bucket]
            for bucket in by_number(sizes[::-1], first, first)
        ],
    }
    for said, wrong in near.items():
        if given == wrong:
            return f"{given}：{said}"
    if list(map(sorted, given)) == list(map(sorted, right)):
        return f"{given}：桶对，桶里的次序不对，先放进去的在前"
    return f"{given}，应当是 {right}；放进去之后够了上限，桶才关上"


def by_number(sizes: Sequence[int], first: int, limit: int) -> list[list[int]]:
    """Return buckets of parameters by their place in `sizes`, filled from the front."""
    tensors = [torch.empty(n, dtype=torch.uint8, device="meta") for n in sizes]
    place = {id(x): i for i, x in enumerate(tensors)}
    buckets = filled(tensors, limit_bytes=limit, first_bytes=first)
    return [[place[id(x)] for x in bucket] for bucket in buckets]


def fault_of_weights(answer: object, counts: Sequence[int]) -> str:
    """Say what weights of the ranks' mean losses overlook; "" for the right ones."""
    p, whole = len(counts), sum(counts)
    right = [own * p / whole for own in counts]
    near = [
        {
            "少乘了 rank 数：各 rank 的梯度之后还要平均": own / whole,
            "一样的权只有在样本一样多时才对": 1.0,
            "损失已经是自己样本的平均，再乘样本数要除以整批的": float(own),
        }
        for own in counts
    ]
    return fault_of_each(answer, right, near, "rank {} 的权")


def fault_of_launches(
    answer: object, arrivals: Sequence[int], buckets: Sequence[Sequence[int]]
) -> str:
    """Say after how many gradients a bucket leaves, where an answer has it wrong."""
    at = {number: i for i, number in enumerate(arrivals, 1)}
    full = [max(at[number] for number in bucket) for bucket in buckets]
    right = list(accumulate(full, max))
    near = [
        {
            "它满了，可是前面的桶还没发：各 rank 的次序要一样": own,
            "等到了全部梯度": len(arrivals),
            "从 1 数起：第 1 个梯度到了是 1": turn - 1,
        }
        for own, turn in zip(full, right, strict=True)
    ]
    return fault_of_each(answer, right, near, "第 {} 个桶")


def fault_of_exposed(
    answer: object, sizes: Sequence[int], backward_s: float, price: Price
) -> str:
    """Say what an exposed time overlooks; "" for the right one."""
    line = travels(sizes, backward_s=backward_s, price=price)
    right = line[-1].end_s - backward_s
    near = {
        "这是到了什么时刻，还要减去反向的时间": line[-1].end_s,
        "最后一个桶之前，可能还有别的桶在排队": price(sizes[-1]),
        "这是全部通信，有一部分藏在反向后面": sum(map(price, sizes)),
        "通信没有一开始就走：第一个桶要先装满": sum(map(price, sizes)) - backward_s,
        "第一个桶装满之前没有东西可发，不是一直在发": max(
            0.0, sum(map(price, sizes)) - backward_s
        ),
    }
    return fault_of_count(answer, right, near)


def fault_of_each(
    answer: object,
    right: Sequence[float],
    near: Sequence[Mapping[str, float]],
    name: str,
) -> str:
    """Say which of several numbers is wrong, and why; name: of a number, "rank {}"."""
    try:
        given = list(answer)
    except TypeError:
        given = []
    if len(given) != len(right):
        return f"返回了 {answer!r}，要 {len(right)} 个数"
    for i, (number, value, known) in enumerate(zip(given, right, near, strict=True)):
        if fault := fault_of_count(number, value, known):
            return f"{name.format(i)}是 {fault}"
    return ""


def lines_with_prices() -> list[tuple[Sequence[int], float, Price]]:
    """Return the cases of the exposed time, with a price to call."""
    return [
        (sizes, backward_s, lambda n, a=alpha, b=beta: a + b * n)
        for sizes, backward_s, alpha, beta in LINES
    ]


def shown_line(sizes: Sequence[int], backward_s: float, price: Price) -> str:
    """Return a case of the exposed time for the reader."""
    alpha = price(0)
    beta = price(1) - alpha
    return f"sizes = {list(sizes)}、backward_s = {backward_s:g}、{alpha:g} + {beta:g} n"
