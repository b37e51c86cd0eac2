"""The programs that chapter 4 asks for: what must come out, and what it may cost.

Costs are those of the best algorithm that the chapter teaches, from its formulas; an
answer may use fewer rounds or bytes.  Right answers stand on the page, and tests run
them from there.
"""

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.book.exercises import Program, Task
from dlsys_code.book.exercises_running import values
from dlsys_code.communication import bounds, cost, formulas
from dlsys_code.communication.cost import Cost
from dlsys_code.primitive.contenders import COLLECTIVES, Inputs


def of_the_left(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """The input of the rank before this one, round the circle."""
    return inputs((rank - 1) % p)


def at_once(p: int, count: int, item: int) -> Cost:
    """Every rank sends its input in the same round."""
    return Cost(rounds=1, bytes_sent=count * item, serial_bytes=count * item)


def by_turns(p: int, count: int, item: int) -> Cost:
    """A circle of ranks that send or receive: an odd one needs a third round."""
    n, rounds = count * item, 2 + p % 2
    return Cost(rounds=rounds, bytes_sent=n, serial_bytes=rounds * n)


def gather_of_chunks(p: int, count: int, item: int) -> Cost:
    """A ring of p chunks of `count` elements each."""
    return cost.ring_all_gather(p, p * count, item)


def least_gather_of_chunks(p: int, count: int, item: int) -> Cost:
    """The bound on the same."""
    return bounds.all_gather(p, p * count, item)


def there_and_back(p: int, count: int, item: int) -> Cost:
    """A ring of chunks forward and one backward: those of an all-reduce."""
    return cost.ring_all_reduce(p, count, item)


def least_there_and_back(p: int, count: int, item: int) -> Cost:
    """The bounds on an all-gather and on a reduce-scatter, one after the other."""
    return bounds.all_gather(p, count, item) + bounds.reduce_scatter(p, count, item)


def in_two_levels(p: int, count: int, item: int) -> Cost:
    """Pairs, then rings across them: the bytes of a ring in fewer rounds."""
    inside, across = formulas.hierarchical_all_reduce(2, p // 2, count, item)
    return inside + across


def along_a_chain(p: int, count: int, item: int) -> Cost:
    """A chain of ranks hands on p chunks, one behind the other."""
    rounds = p - 1 + p - 1
    return Cost(
        rounds=rounds,
        bytes_sent=count * item,
        serial_bytes=rounds * cost.ring_chunk(p, count) * item,
    )


def back_through(mine: Program, x: Tensor, group: ProcessGroup) -> Tensor:
    """Gather a chunk of each rank with `mine`, send `x` back; return the gradient.

    Errors: ValueError where the way forward is no all-gather.
    """
    p, r = group.size(), group.rank()
    chunk = x.chunk(p)[r].clone().requires_grad_()
    gathered = mine(chunk, group)
    chunks = [values(k, len(x)).chunk(p)[k] for k in range(p)]
    if not torch.equal(gathered, torch.cat(chunks)):
        raise ValueError("正向的结果不是全收集")
    gathered.backward(x)
    return chunk.grad


ALL_REDUCE = COLLECTIVES["all_reduce"].answer
BROADCAST = COLLECTIVES["broadcast"].answer
PROGRAMS = {
    "swap": Task(
        sizes=[(2, 1), (2, 1000)],
        answer=of_the_left,
        most=at_once,
        least=at_once,
        hints=[
            "两个 rank 都先发，就都在等对方来收。",
            "`point_to_point.exchange` 让发送和接收一起开始。",
            "`to` 和 `source` 都是对方，编号是 `1 - group.rank()`。",
        ],
    ),
    "circle": Task(
        sizes=[(4, 3), (5, 3)],
        answer=of_the_left,
        most=by_turns,
        least=by_turns,
        one_at_a_time=True,
        hints=[
            "都先发，就没有人在收。谁可以先收？",
            "只让 rank 0 先收，消息会一条等一条，要 p 轮；让每隔一个的 rank 先收。",
            "编号是偶数的先发后收，奇数的先收后发。p = 5 时 rank 4 和 0 都先发，"
            "4 到 0 那条要等到第二轮，3 到 4 那条就拖到第三轮。",
        ],
    ),
    "broadcast": Task(
        sizes=[(2, 3), (8, 1), (5, 4)],
        answer=BROADCAST,
        most=cost.tree_broadcast,
        least=bounds.broadcast,
        hints=[
            "收到的 rank 马上能帮忙发，知道的 rank 每轮翻倍。",
            "第 i 轮开始时，编号小于 `2**i` 的都知道了。",
            "第 i 轮 rank r 发给 `r + 2**i`；超出 p 的就不发。",
        ],
    ),
    "all_gather": Task(
        sizes=[(2, 1), (4, 3), (6, 2)],
        answer=COLLECTIVES["all_gather"].answer,
        most=gather_of_chunks,
        least=least_gather_of_chunks,
        hints=[
            "围成一圈，每轮把刚收到的一块交给右边。",
            "`shift(rows, group)` 把 `rows` 交给右边，同时从左边收。",
            "第 `step` 轮收到的是 rank `(r - 1 - step) % p` 的块；最后按编号接起来。",
        ],
    ),
    "reduce_scatter": Task(
        sizes=[(2, 4), (4, 8), (5, 10)],
        answer=COLLECTIVES["reduce_scatter"].answer,
        most=cost.ring_reduce_scatter,
        least=bounds.reduce_scatter,
        hints=[
            "`x.view(p, -1)` 的第 i 行要加到 rank i；部分和沿圈走，边走边加。",
            "先交出第 r - 1 行，这样走完一圈，最后到手的正是第 r 行。",
            "第 `step` 轮收到第 r - 2 - `step` 行的部分和，加上自己的，再交出去。",
        ],
    ),
    "all_reduce": Task(
        sizes=[(2, 4), (4, 12), (3, 6), (5, 7)],
        answer=ALL_REDUCE,
        most=cost.ring_all_reduce,
        least=bounds.all_reduce,
        hints=[
            "全归约 = 归约散发 + 全收集。",
            "前两题的答案接起来，就对了能整除的情形。",
            "7 个数分不成 5 份：先在末尾补零，补到 5 的倍数，最后切掉。",
        ],
    ),
    "mended_ring": Task(
        sizes=[(4, 12), (3, 6)],
        answer=ALL_REDUCE,
        most=cost.ring_all_reduce,
        least=bounds.all_reduce,
        hints=[
            "每一轮，收到的 `arrived` 里用到了几行？",
            "只传右边用得着的那一行。右边这一轮要的是第几行？",
            "右边的编号是 r + 1，它要第 (r + 1) - 1 - `step` 行。",
        ],
    ),
    "all_to_all": Task(
        sizes=[(2, 2), (3, 6), (5, 5)],
        answer=COLLECTIVES["all_to_all"].answer,
        most=formulas.pairwise_all_to_all,
        least=bounds.all_to_all,
        hints=[
            "第 i 轮送给后面第 i 个，同时从前面第 i 个收，i 从 1 到 p - 1。",
            "自己给自己的那一块不用发。",
            "送给谁，就送第几块；收到的按来处的编号放好，最后接起来。",
        ],
    ),
    "recursive_doubling": Task(
        sizes=[(2, 3), (4, 3), (8, 5)],
        answer=ALL_REDUCE,
        most=formulas.doubling_all_reduce,
        least=bounds.all_reduce,
        hints=[
            "每轮与一个 rank 交换整份，两边都加。",
            "第 i 轮的对手与自己的编号只差二进制第 i 位。",
            "`r ^ 2**i` 翻转 r 的第 i 位。",
        ],
    ),
    "broadcast_in_chunks": Task(
        sizes=[(4, 12), (5, 20)],
        answer=BROADCAST,
        most=along_a_chain,
        least=bounds.broadcast,
        hints=[
            "排成一条链，把数据切成 p 块，一块接一块往下传。",
            "一块在前面走，下一块可以紧跟着：收下一块的同时，转发上一块。",
            "链的中间：先收第 0 块；再每轮收第 i 块、发第 i - 1 块；最后发第 p - 1 块。"
            "头只发，尾只收。",
        ],
    ),
    "all_reduce_six": Task(
        sizes=[(6, 12)],
        answer=ALL_REDUCE,
        most=in_two_levels,
        least=bounds.all_reduce,
        hints=[
            "环发的字节最少，但要 2 × 5 轮；6 = 2 × 3。",
            "照第 5 节分级：三对里归约散发，同号的三个全归约，对里全收集。",
            "对里 1 轮，三个的环 4 轮，对里再 1 轮。用 `dist.new_group` 造这些组。",
        ],
    ),
    "gather_with_gradient": Task(
        sizes=[(2, 4), (3, 6)],
        answer=COLLECTIVES["reduce_scatter"].answer,
        most=there_and_back,
        least=least_there_and_back,
        call=back_through,
        hints=[
            "正向是全收集；第 8 节的表里，它的反向是哪一种？",
            "rank r 的块进了每个 rank 的输出，它的梯度要从每个 rank 加回来。",
            "`adjoint.with_adjoint(forward, backward)` 把两个函数配成一对。",
        ],
    ),
}
