"""The exercises of section 05.2, on sharded model states, in the page's order."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlsys_code.book import exercises_system_zero_counts as counts
from dlsys_code.book.exercises import Exercise, Puzzle, Question, Task
from dlsys_code.communication import bounds
from dlsys_code.communication.cost import Cost
from dlsys_code.introduction.model_states import model_states
from dlsys_code.introduction.units import GB
from dlsys_code.primitive.contenders import Inputs

COUNT, RANKS = 13e9, 8
HELD = {s: model_states(COUNT, dp=RANKS, stage=s).total / GB for s in range(4)}
FITS = 28  # ranks: 16 x 70 / 40, rounded up


def square_of_all(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """The square of the norm of all shards together, on every rank."""
    return torch.stack([inputs(r).square().sum() for r in range(p)]).sum().view(1)


def norm_of_all(inputs: Sequence[Tensor]) -> list[Tensor]:
    """What comes out on all ranks where the root is taken."""
    squares = torch.stack([x.square().sum() for x in inputs])
    return [squares.sum().sqrt().view(1)] * len(inputs)


def one_number(p: int, count: int, item: int) -> Cost:
    """One number goes round the circle, however long the shards are."""
    sent = (p - 1) * item
    return Cost(rounds=p - 1, bytes_sent=sent, serial_bytes=sent)


def least_one_number(p: int, count: int, item: int) -> Cost:
    """The bound on the same."""
    return bounds.all_reduce(p, 1, item)


EXERCISES: dict[str, Exercise] = {
    "shard_gigabytes": Question(
        value=HELD[2],
        unit="GB",
        near={
            HELD[0]: "这是一点不分的",
            HELD[1]: "这是第 1 阶段；第 2 阶段的梯度也只留一片",
            HELD[3]: "这是第 3 阶段；第 2 阶段的权重人人一份",
            COUNT * (4 + 12 / RANKS) / GB: "2 字节的梯度也要除以 8",
        },
        hints=[
            "每个参数的字节有三项：权重、梯度、优化器状态。",
            "第 2 阶段分后两样：权重不变，后两样除以 8，再乘参数的个数。",
        ],
    ),
    "ranks_that_fit": Question(
        value=FITS,
        unit="个 rank",
        near={
            FITS / 2: "只算了 8 字节；混合精度一共 16 字节",
            16 * 70 / 80: "每个 rank 只留 40 GB 给模型状态",
            1 + 4 * 70 / 40: "这是权重和梯度；优化器状态还有 12 字节",
        },
        hints=["全部参数的状态一共多少字节？除以每个 rank 留出的。"],
    ),
    "pieces": Puzzle(
        cases=lambda: counts.CUTS,
        fault=counts.fault_of_pieces,
        shown=counts.shown_cut,
        hints=[
            "一片有几个数？总数除以 p，向上取整。",
            "rank r 的片在整列里从 r * k 到 (r + 1) * k；第 i 个权重从哪里到哪里？",
            "两段相交：起是 max(0, r * k - begin)，"
            "止是 min(size, (r + 1) * k - begin)。",
        ],
    ),
    "bytes_of_a_step": Puzzle(
        cases=lambda: counts.STEPS,
        fault=counts.fault_of_bytes,
        shown=counts.shown_step,
        hints=[
            "归约散发和全收集，每次都是 (p-1)/p 个 n。数一数一步有几次。",
            "第 1 阶段两次；第 2 阶段每个微批次归约散发一次，更新后全收集一次；"
            "第 3 阶段呢？",
            "第 3 阶段每个微批次全收集两次、归约散发一次，更新后不再全收集。",
        ],
    ),
    "gather_order": Puzzle(
        cases=lambda: [(4,), (1,), (2,), (6,)],
        fault=counts.fault_of_order,
        shown="units = {}".format,
        hints=[
            "正向从 0 到 units - 1，每个全收集一次；用完就释放。",
            "反向最先用到的是哪个单元？看第 3 节的图里第二个橙色三角在哪一行。",
            "反向：先是 0，再从 units - 1 倒着到 1。",
        ],
    ),
    "square_of_norm": Task(
        sizes=[(2, 1), (2, 5), (4, 3), (5, 2)],
        answer=square_of_all,
        most=one_number,
        least=least_one_number,
        mistaken={"开了方：要的是平方": norm_of_all},
        hints=[
            "片不用拼起来：平方和是各片平方和之和。",
            "先 `x.square().sum().view(1)`，再让这一个数沿圈走，边走边加。",
        ],
    ),
    "inside_and_between": Puzzle(
        cases=lambda: counts.LEVELS,
        fault=counts.fault_of_levels,
        shown=counts.shown_levels,
        hints=[
            "组里是第 3 阶段：三趟，每趟 (g-1)/g 个 n。",
            "归约散发之后，一个 rank 只有一片梯度，长 n/g。",
            "它与另外 R-1 组里同一片的主人全归约：2(R-1)/R 个 n/g。",
        ],
    ),
}
