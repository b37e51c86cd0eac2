"""The exercises of chapter 4: programs, numbers and functions, in the page's order."""

from functools import partial

from dlsys_code.book import exercises_puzzles as puzzles
from dlsys_code.book.exercises import Exercise, Puzzle, Question
from dlsys_code.book.exercises_primitive_programs import PROGRAMS
from dlsys_code.communication import cost, formulas
from dlsys_code.communication.link import Link
from dlsys_code.introduction.units import GB, MB, GiB, us
from dlsys_code.primitive.contenders import COLLECTIVES

LINK = Link(latency_s=5 * us, bandwidth=25 * GB)
CROSSING = LINK.half_bandwidth_bytes * (3 - 2) / (2 - 3 / 4)  # four ranks
BUS_FACTOR = COLLECTIVES["all_reduce"].bus_factor(8)
A100 = GiB / 8203.9e-6 / GB  # algbw [GB/s]; Bekman (2024), all-reduce on 8 A100
FLAT = cost.ring_all_reduce(8, 96 * MB // 4, 4).bytes_sent
ACROSS = formulas.hierarchical_all_reduce(2, 4, 96 * MB // 4, 4)[1].bytes_sent * 8

FUNCTIONS = {
    "two_levels": Puzzle(
        cases=lambda: [(2, 4), (4, 2), (3, 3)],
        fault=puzzles.fault_of_groups,
        shown="{} 台机器、每台 {} 个 rank".format,
        hints=[
            "先画出 rank 排成的表：一行一台机器。",
            "一行是一个 `inner` 组，一列是一个 `outer` 组。",
            "第 i 台机器上的编号从 `i * each` 起；同号的隔 `each` 个一个。",
        ],
    ),
    "choose": Puzzle(
        cases=partial(puzzles.grid, LINK),
        fault=puzzles.fault_of_choice,
        shown=puzzles.shown_choice,
        hints=[
            "先把公式卡上三种算法的时间各写成一行，再取最小的。",
            "`p & (p - 1) == 0` 时 p 是 2 的幂；不是时，倍增和折半都要折叠。",
            "折叠多两轮、依次多走 2n 字节；里面的 rank 数是不超过 p 的最大的 2 的幂。",
        ],
    ),
}
NUMBERS = {
    "ring_bytes": Question(
        value=cost.ring_all_reduce(8, 80 * MB // 4, 4).bytes_sent,
        unit="字节",
        near={
            140: "单位是字节，不是 MB",
            70e6: "只算了归约散发，后面还有全收集",
            160e6: "2n 是 p 很大时的极限，p = 8 还差一点",
            80e6: "一份梯度是 80 MB，但环上每个 rank 发的不是一份",
        },
        hints=[
            "环走两段，每段每个 rank 发几块？一块多大？",
            "2(p-1)/p 乘 n，p = 8，n = 80 MB。",
        ],
    ),
    "tree_rounds": Question(
        value=cost.tree_rounds(1000),
        unit="轮",
        near={9: "9 轮后只有 512 个知道", 999: "一个一个告诉才要 999 轮"},
        hints=["每轮翻倍，几轮后不少于 1,000？"],
    ),
    "crossing": Question(
        value=CROSSING,
        unit="字节",
        near={
            CROSSING / 1000: "单位是字节，不是 KB",
            LINK.half_bandwidth_bytes: "这是 α/β，还要乘上轮数与份数之差的比",
        },
        hints=[
            "令树和环的时间相等，解出 n。",
            "p = 4 时树 2 轮上、2 轮下，每轮整份；环 6 轮，每轮四分之一份。",
        ],
    ),
    "bus_bandwidth": Question(
        value=A100 * BUS_FACTOR,
        unit="GB/s",
        near={
            A100: "这是算法带宽，还要乘 2(p-1)/p",
            A100 * 2: "系数是 2(p-1)/p，不是 2",
            A100 * BUS_FACTOR * GB / GiB: "GB 是 10 的 9 次方字节，不是 GiB",
        },
        hints=[
            "先求算法带宽，再乘全归约的系数（第 7 节）。",
            "1 GiB 是 `2**30` 字节，1 GB 是 `10**9` 字节。",
        ],
    ),
    "across_nodes": Question(
        value=ACROSS,
        unit="字节",
        near={
            ACROSS / MB: "单位是字节，不是 MB",
            ACROSS / 8: "这是一个 rank 跨机发的，8 个 rank 都发",
            ACROSS * 2: "跨机的只有机内归约散发之后的半份",
            ACROSS / 2: "只算了跨机的归约散发，后面还有全收集",
            4 * FLAT: "这是顺次的环，它在四处跨机",
        },
        hints=[
            "机内归约散发之后，每个 rank 手里有多少字节？",
            "n/2 字节在 4 个 rank 之间全归约，每个发 2 × 3/4 × n/2，再乘 8 个 rank。",
        ],
    ),
}
EXERCISES: dict[str, Exercise] = PROGRAMS | NUMBERS | FUNCTIONS
