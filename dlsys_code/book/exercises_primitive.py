"""The exercises of chapter 4: what must come out, and what it may cost.

Costs are those of the best algorithm that the chapter teaches, from its formulas; an
answer may use fewer rounds or bytes.
"""

from torch import Tensor

from dlsys_code.book.exercises import Question, Task
from dlsys_code.communication import cost, formulas
from dlsys_code.communication.cost import Cost
from dlsys_code.communication.link import Link
from dlsys_code.introduction.units import GB, MB, GiB, us
from dlsys_code.primitive.contenders import COLLECTIVES, Inputs


def of_the_other(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """Of two ranks, the other one's input."""
    return inputs(1 - rank)


def swap_once(p: int, count: int, item: int) -> Cost:
    """Both ranks send at once."""
    return Cost(rounds=1, bytes_sent=count * item, serial_bytes=count * item)


def gather_of_chunks(p: int, count: int, item: int) -> Cost:
    """A ring of p chunks of `count` elements each."""
    return cost.ring_all_gather(p, p * count, item)


def in_two_levels(p: int, count: int, item: int) -> Cost:
    """Three pairs, then rings of three: the bytes of a ring in fewer rounds."""
    inside, across = formulas.hierarchical_all_reduce(2, p // 2, count, item)
    return Cost(
        rounds=inside.rounds + across.rounds,
        bytes_sent=inside.bytes_sent + across.bytes_sent,
        serial_bytes=inside.serial_bytes + across.serial_bytes,
    )


def along_a_chain(p: int, count: int, item: int) -> Cost:
    """A chain of ranks hands on p chunks, one behind the other."""
    rounds = p - 1 + p - 1
    return Cost(
        rounds=rounds,
        bytes_sent=count * item,
        serial_bytes=rounds * cost.ring_chunk(p, count) * item,
    )


LINK = Link(latency_s=5 * us, bandwidth=25 * GB)
CROSSING = LINK.half_bandwidth_bytes * (3 - 2) / (2 - 3 / 4)  # four ranks
A100 = GiB / 8203.9e-6 / GB  # algbw [GB/s]; Bekman (2024), all-reduce on 8 A100

EXERCISES: dict[str, Task | Question] = {
    "swap": Task(
        sizes=[(2, 1), (2, 1000)],
        answer=of_the_other,
        most=swap_once,
        hints=[
            "两个 rank 都先发，就都在等对方来收。",
            "point_to_point.exchange 让发送和接收一起开始；to 和 source 都是对方。",
        ],
    ),
    "broadcast": Task(
        sizes=[(2, 3), (5, 4), (8, 1)],
        answer=COLLECTIVES["broadcast"].answer,
        most=cost.tree_broadcast,
        hints=[
            "知道的 rank 每轮翻倍：第 i 轮，编号小于 2**i 的都知道了。",
            "第 i 轮 rank r 发给 r + 2**i；超出 p 的就不发。",
        ],
    ),
    "broadcast_in_chunks": Task(
        sizes=[(4, 12), (5, 20)],
        answer=COLLECTIVES["broadcast"].answer,
        most=along_a_chain,
        hints=[
            "排成一条链，把数据切成 p 块，一块接一块往下传。",
            "收第 i + 1 块的同时发第 i 块：exchange 的 to 是下一个，source 是上一个。",
        ],
    ),
    "all_gather": Task(
        sizes=[(2, 1), (3, 4), (6, 2)],
        answer=COLLECTIVES["all_gather"].answer,
        most=gather_of_chunks,
        hints=[
            "围成一圈，每轮把刚收到的一块交给右边。",
            "第 step 轮收到的是 rank (r - 1 - step) % p 的块；最后按编号接起来。",
        ],
    ),
    "reduce_scatter": Task(
        sizes=[(2, 4), (3, 6), (5, 10)],
        answer=COLLECTIVES["reduce_scatter"].answer,
        most=cost.ring_reduce_scatter,
        hints=[
            "x.view(p, -1) 的第 i 行要加到 rank i。",
            "先交出第 r - 1 行；每轮收到一行的部分和，加上自己的那一行，再交出去。",
        ],
    ),
    "all_reduce": Task(
        sizes=[(2, 4), (4, 12), (5, 7)],
        answer=COLLECTIVES["all_reduce"].answer,
        most=cost.ring_all_reduce,
        hints=[
            "归约散发接全收集；前两题的答案接起来就差不多了。",
            "7 个数分不成 5 份：先在末尾补零，最后切掉。",
        ],
    ),
    "doubling": Task(
        sizes=[(2, 3), (4, 3), (8, 5)],
        answer=COLLECTIVES["all_reduce"].answer,
        most=formulas.doubling_all_reduce,
        hints=[
            "每轮与一个 rank 交换整份，两边都加。",
            "第 i 轮的对手是 r ^ 2**i。",
        ],
    ),
    "all_reduce_six": Task(
        sizes=[(6, 12)],
        answer=COLLECTIVES["all_reduce"].answer,
        most=in_two_levels,
        hints=[
            "环发的字节最少，但要 10 轮；6 = 2 × 3。",
            "先在三对里归约散发，再由同号的三个围成圈全归约，最后在对里全收集。",
        ],
    ),
    "all_to_all": Task(
        sizes=[(2, 2), (3, 6), (5, 5)],
        answer=COLLECTIVES["all_to_all"].answer,
        most=formulas.pairwise_all_to_all,
        hints=[
            "第 i 轮送给后面第 i 个，同时从前面第 i 个收。",
            "自己给自己的那一块不用发；最后按来处的编号接起来。",
        ],
    ),
    "ring_bytes": Question(
        value=cost.ring_all_reduce(8, 80 * MB // 4, 4).bytes_sent,
        unit="字节",
        near={
            140: "单位是字节，不是 MB",
            70e6: "只算了归约散发，后面还有全收集",
            160e6: "2n 是 p 很大时的极限，p = 8 还差一点",
            80e6: "一份梯度是 80 MB，但环上每个 rank 发的不是一份",
        },
        hints=["2(p-1)/p 乘 n，p = 8，n = 80 MB。"],
    ),
    "tree_rounds": Question(
        value=cost.tree_rounds(1000),
        unit="轮",
        near={9: "9 轮后只有 512 个知道", 999: "一个一个告诉才要 999 轮"},
        hints=["每轮翻倍，几轮后不少于 1000？"],
    ),
    "crossing": Question(
        value=CROSSING,
        unit="字节",
        near={
            CROSSING / 1000: "单位是字节，不是 KB",
            LINK.half_bandwidth_bytes: "这是 α/β，还要乘上轮数与份数之差的比",
        },
        hints=["令树和环的时间相等，解出 n；p = 4 时树 2 轮上、2 轮下，环 6 轮。"],
    ),
    "bus_bandwidth": Question(
        value=A100 * 2 * 7 / 8,
        unit="GB/s",
        near={
            A100: "这是算法带宽，还要乘 2(p-1)/p",
            A100 * 2: "系数是 2(p-1)/p，不是 2",
            A100 * 2 * 7 / 8 * GB / GiB: "GB 是 10 的 9 次方字节，不是 GiB",
        },
        hints=["n 除以用时，再乘 2(p-1)/p。", "1 GiB 是 1,073,741,824 字节。"],
    ),
}
