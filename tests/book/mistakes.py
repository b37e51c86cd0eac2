"""Likely wrong answers to the exercises of chapter 4, and what is said of each.

Where a part of a wrong answer is right, it is the page's.
"""

import os
import signal

import torch
import torch.distributed as dist
from exercises_on_the_page import ROOT, answers
from noted import noting
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.link import Link
from dlsys_code.primitive import adjoint, ring
from dlsys_code.primitive import exchange as the_module
from dlsys_code.world import exchange, receive, send, shift

RIGHT = answers(ROOT / "04_AICluster" / "04.primitive.ipynb")
all_gather, all_reduce = RIGHT["all_gather"], RIGHT["all_reduce"]
reduce_scatter, tree_broadcast = RIGHT["reduce_scatter"], RIGHT["broadcast"]
SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ it does not end


@wrong(
    "swap",
    "都在等对方来收，没有人在收",
    "rank 0 等在 send：",
    "rank 1 等在 send：",
    "send(x, group, to=1 - group.rank())",
)
def head_on(x: Tensor, group: ProcessGroup) -> Tensor:
    send(x, group, to=1 - group.rank())
    return receive(x, group, source=1 - group.rank())


@wrong("swap", "都在等接收，没有人在发", "rank 0 等在 receive：")
def both_wait(x: Tensor, group: ProcessGroup) -> Tensor:
    theirs = receive(x, group, source=1 - group.rank())
    send(x, group, to=1 - group.rank())
    return theirs


@wrong("all_gather", "1.5 秒还没完\n", "rank 0 已经返回", "rank 1 等在 receive：")
def one_waits(x: Tensor, group: ProcessGroup) -> Tensor:
    if group.rank() == 1:
        receive(x, group, source=0)
    return torch.cat([x, x])


@wrong("all_reduce", "只有一头", "rank 0 向 rank 1 发了 3 条，rank 1 收了 2 条")
def sent_too_much(x: Tensor, group: ProcessGroup) -> Tensor:
    total = all_reduce(x, group)
    if group.rank() == 0:
        dist.isend(x, 1)
    return total


@wrong(
    "all_reduce", "rank 0 抛出异常：\nValueError: I do not know\n", "mistakes.py line"
)
def raising(x: Tensor, group: ProcessGroup) -> Tensor:
    raise ValueError("I do not know")


@wrong("swap", " 的进程没了：多半是收的人说的形状或类型，与发来的不同")
def expects_too_little(x: Tensor, group: ProcessGroup) -> Tensor:
    other = 1 - group.rank()
    return exchange(x, group, to=other, source=other, like=x[:0])


@wrong("swap", "抛出异常：exchange 在这一章是模块，互换写 point_to_point.exchange")
def calls_the_module(x: Tensor, group: ProcessGroup) -> Tensor:
    return the_module(x, group, to=1 - group.rank(), source=1 - group.rank())


@wrong("all_reduce", "rank 1 的进程没了：\n被信号 SIGKILL 结束")
def dying(x: Tensor, group: ProcessGroup) -> Tensor:
    if group.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return all_reduce(x, group)


# ------------------------------------------------------------ the wrong numbers


@wrong("swap", "rank 0：返回的还是自己的输入", "什么也没有收到")
def own_input(x: Tensor, group: ProcessGroup) -> Tensor:
    return x.clone()


@wrong("swap", "rank 0：返回的全是 0")
def never_filled(x: Tensor, group: ProcessGroup) -> Tensor:
    return torch.zeros_like(x)


@wrong("circle", "4 个 rank、每个 3 个数\nrank 0：返回的是 rank 1 的输入")
def the_other_way_round(x: Tensor, group: ProcessGroup) -> Tensor:
    return shift(x, group, -1)


@wrong("broadcast", "rank 1：返回的还是自己的输入", "只有 rank 0 对")
def nothing_sent(x: Tensor, group: ProcessGroup) -> Tensor:
    return x.clone()


@wrong(
    "broadcast",
    "8 个 rank、每个 1 个数",
    "只有 rank 0、1 对",
    "前面 2 个 rank × 3 个数都对",
)
def to_rank_1_only(x: Tensor, group: ProcessGroup) -> Tensor:
    r = group.rank()
    if r == 0:
        send(x, group, to=1)
    return receive(x, group, source=0) if r == 1 else x.clone()


@wrong(
    "broadcast",
    "5 个 rank、每个 4 个数\nrank 1 抛出异常：to 或 source 写错了",
    "mistakes.py line",
    "\n    send(result, group, to=r + reach)",
    "前面 2 个 rank × 3 个数、8 个 rank × 1 个数都对",
    "只对了 rank 数是 2 的幂的",
)
def powers_of_two(x: Tensor, group: ProcessGroup) -> Tensor:
    r, reach, result = group.rank(), 1, x.clone()
    while reach < group.size():
        if r < reach:
            send(result, group, to=r + reach)
        elif r < 2 * reach:
            result = receive(x, group, source=r - reach)
        reach *= 2
    return result


@wrong("all_gather", "rank 1：数都在，次序不对：从头起依次放着第 1、0 块", "rank 0 对")
def as_they_come(x: Tensor, group: ProcessGroup) -> Tensor:
    rows = [x]
    for _ in range(group.size() - 1):
        rows.append(shift(rows[-1], group))
    return torch.cat(rows)


@wrong(
    "all_gather",
    "4 个 rank、每个 3 个数\n"
    "rank 0：第 1 块是 rank 3 的第 0 块，应当是 rank 1 的第 0 块",
)
def never_passed_on(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    rows = {r: x}
    for step in range(p - 1):
        rows[(r - 1 - step) % p] = shift(x, group)
    return torch.cat([rows[i] for i in range(p)])


@wrong("all_gather", "4 个 rank、每个 3 个数\nrank 0：少了 rank 1、2 的份")
def one_round(x: Tensor, group: ProcessGroup) -> Tensor:
    rows = x.new_zeros(group.size(), len(x))
    rows[group.rank()], rows[group.rank() - 1] = x, shift(x, group)
    return rows.view(-1)


@wrong("reduce_scatter", "rank 0：返回的是 rank 1 该得的那一段")
def the_next_row(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    rows = x.view(p, -1)
    partial = rows[r]
    for step in range(p - 1):
        partial = shift(partial, group) + rows[(r - 1 - step) % p]
    return partial


@wrong("reduce_scatter", "rank 0：少了 rank 0 的份")
def without_its_own(x: Tensor, group: ProcessGroup) -> Tensor:
    return reduce_scatter(x, group) - x.view(group.size(), -1)[group.rank()]


@wrong("all_reduce", "4 个 rank、每个 12 个数\nrank 0：少了 rank 2 的份")
def neighbours_only(x: Tensor, group: ProcessGroup) -> Tensor:
    total = x.clone()
    for by in {1, group.size() - 1}:
        total += shift(x, group, by)
    return total


@wrong("all_reduce", "rank 0：rank 0 的份加了两次")
def its_own_twice(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group) + x


@wrong("all_reduce", "rank 0：每个数都除以了 2：求了平均，这里要的是和")
def averaged(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group) / group.size()


@wrong("all_reduce", "rank 0：每个数都是应得的 2 倍：重复加了")
def added_twice(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group) * group.size()


@wrong("all_reduce", "rank 1：返回的还是自己的输入", "只有 rank 0 对")
def reduced_only(x: Tensor, group: ProcessGroup) -> Tensor:
    r, p = group.rank(), group.size()
    if r > 0:
        send(x, group, to=0)
        return x.clone()
    return x + sum(receive(x, group, source=k) for k in range(1, p))


@wrong("all_reduce", "rank 0：数都在，次序不对：从头起依次放着第 1、0 块")
def rolled(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group).roll(len(x) // group.size())


@wrong(
    "all_reduce",
    "5 个 rank、每个 7 个数\nrank 0 抛出异常：切不开：元素个数不是份数的倍数",
    "3 个 rank × 6 个数都对\n只对了个数能被 rank 数整除的",
)
def without_padding(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_gather(reduce_scatter(x, group), group)


@wrong("all_reduce", "5 个 rank、每个 7 个数\nrank 0：第 5 个数是 1005，应当是 31025")
def rounded_down(x: Tensor, group: ProcessGroup) -> Tensor:
    """The elements that do not share equally are forgotten."""
    k = len(x) // group.size() * group.size()
    return torch.cat([all_reduce(x[:k], group), x[k:]])


@wrong("all_reduce", "rank 1：第 1 个数是 3003，应当是 3002")
def one_element_wrong(x: Tensor, group: ProcessGroup) -> Tensor:
    total = all_reduce(x, group)
    total[1] += group.rank() == 1
    return total


@wrong(
    "all_to_all",
    "3 个 rank、每个 6 个数\nrank 0：数都在，次序不对：从头起依次放着第 0、2、1 块",
)
def put_where_it_sends(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    pieces = x.chunk(p)
    rows = {r: pieces[r]}
    for step in range(1, p):
        to, source = (r + step) % p, (r - step) % p
        rows[to] = exchange(pieces[to], group, to=to, source=source)
    return torch.cat([rows[i] for i in range(p)])


@wrong("all_to_all", "rank 0：第 1 块是 rank 1 的第 1 块，应当是 rank 1 的第 0 块")
def its_own_row_to_all(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    rows = {r: x.chunk(p)[r]}
    for step in range(1, p):
        rows[(r - step) % p] = shift(rows[r], group, step)
    return torch.cat([rows[i] for i in range(p)])


@wrong(
    "recursive_doubling",
    "4 个 rank、每个 3 个数\nrank 0：少了 rank 2、3 的份，rank 0、1 的份加了两次",
)
def the_same_peer_again(x: Tensor, group: ProcessGroup) -> Tensor:
    total, peer, distance = x.clone(), group.rank() ^ 1, 1
    while distance < group.size():
        total = total + exchange(total, group, to=peer, source=peer)
        distance *= 2
    return total


@wrong("gather_with_gradient", "梯度在通信那一步断了：它没有自己的反向")
def no_way_back(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_gather(x.detach(), group)


@wrong("gather_with_gradient", "rank 0：少了 rank 1 的份")
def gradient_of_its_own_part(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_gather(x, group)


@wrong("gather_with_gradient", "ValueError: 正向的结果不是全收集")
def no_way_forward(x: Tensor, group: ProcessGroup) -> Tensor:
    return x.repeat(group.size())


def own_part(x: Tensor, group: ProcessGroup) -> Tensor:
    return x.chunk(group.size())[group.rank()].clone()


@wrong("gather_with_gradient", "rank 0：少了 rank 1 的份")
def own_gradient_only(x: Tensor, group: ProcessGroup) -> Tensor:
    return adjoint.with_adjoint(all_gather, own_part)(x, group)


# ------------------------------------------------------------ the right numbers, but


@wrong("all_reduce", "rank 0：返回了 NoneType，应当返回张量")
def nothing_returned(x: Tensor, group: ProcessGroup) -> None:
    all_reduce(x, group)


@wrong("all_reduce", "rank 0：返回的形状是 (1, 4)，应当是 (4,)")
def rows_for_flat(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group).view(1, -1)


@wrong("all_reduce", "返回的类型是 torch.float32，应当是 torch.float64")
def of_single_precision(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x.float(), group)


@wrong("all_reduce", "rank 0 发的是 float32", "换一组数会丢位")
def single_on_the_way(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x.float(), group).double()


@wrong("all_reduce", "数都对，但 rank 0 改写了参数 x；先 clone 再改")
def changed_input(x: Tensor, group: ProcessGroup) -> Tensor:
    total = all_reduce(x, group)
    x.zero_()
    return total


@wrong("broadcast", "数都对，但 rank 0 返回的就是参数 x 的内存")
def the_input_itself(x: Tensor, group: ProcessGroup) -> Tensor:
    total = tree_broadcast(x, group)
    return total if group.rank() else x


@wrong("all_reduce", "数都对，但用了 torch 的 all_reduce；请用点对点通信自己写")
def torchs_own(x: Tensor, group: ProcessGroup) -> Tensor:
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


@wrong("all_reduce", "数都对，但用了书里的 dlsys_code/primitive/ring.py；请自己写")
def the_books(x: Tensor, group: ProcessGroup) -> Tensor:
    return ring.all_reduce(x, group)


@wrong("circle", "数都对，但 rank 0 同时在发和收", "这一题只许用 send 和 receive")
def at_the_same_time(x: Tensor, group: ProcessGroup) -> Tensor:
    return shift(x, group)


@wrong("circle", "数都对，但用了 4 轮，要求不超过 2，是它的 2 倍")
def only_rank_0_receives_first(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    if r > 0:
        send(x, group, to=(r + 1) % p)
        return receive(x, group, source=r - 1)
    arrived = receive(x, group, source=p - 1)
    send(x, group, to=1)
    return arrived


@wrong("broadcast", "最忙的 rank 发了 56 字节，要求不超过 24，是它的 2.33 倍")
def one_by_one(x: Tensor, group: ProcessGroup) -> Tensor:
    if group.rank() > 0:
        return receive(x, group, source=0)
    for r in range(1, group.size()):
        send(x, group, to=r)
    return x.clone()


@wrong("reduce_scatter", "最忙的 rank 发了 32 字节，要求不超过 16，是它的 2 倍")
def of_everything(x: Tensor, group: ProcessGroup) -> Tensor:
    return own_part(whole_arrays_round_the_ring(x, group), group)


@wrong("all_reduce", "最忙的 rank 发了 288 字节，要求不超过 144，是它的 2 倍")
def whole_arrays_round_the_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    """A "ring" that moves p / 2 times the bytes."""
    total, passing = x.clone(), x
    for _ in range(group.size() - 1):
        passing = shift(passing, group)
        total = total + passing
    return total


@wrong(
    "recursive_doubling",
    "数都对，但最忙的 rank 发了 72 字节，要求不超过 48，是它的 1.5 倍",
)
def doubling_by_a_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_gather(x, group).view(group.size(), -1).sum(dim=0)


@wrong("broadcast_in_chunks", "依次走过 288 字节，要求不超过 144，是它的 2 倍")
def unchunked_chain(x: Tensor, group: ProcessGroup) -> Tensor:
    r, p = group.rank(), group.size()
    result = receive(x, group, source=r - 1) if r else x.clone()
    if r < p - 1:
        send(result, group, to=r + 1)
    return result


@wrong("broadcast_in_chunks", "最忙的 rank 发了 192 字节，要求不超过 96")
def chunked_by_nobody(x: Tensor, group: ProcessGroup) -> Tensor:
    return tree_broadcast(x, group)


@wrong("all_reduce_six", "用了 10 轮，要求不超过 6，是它的 1.67 倍")
def one_circle_of_six(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group)


# ------------------------------------------------------------ without ranks


@wrong(
    "two_levels",
    "2 台机器、每台 4 个 rank",
    "inner 组 [0, 4] 里的 0 和 4 在不同的机器上",
)
def levels_exchanged(nodes: int, each: int) -> tuple:
    inner, outer = RIGHT["two_levels"](nodes, each)
    return outer, inner


@wrong("two_levels", "inner 里 0 和 2 同一台机器，却不在一组")
def always_pairs(nodes: int, each: int) -> tuple:
    pairs = [[r, r + 1] for r in range(0, nodes * each, 2)]
    return pairs, RIGHT["two_levels"](nodes, each)[1]


@wrong("two_levels", "rank 1 在 0 个 outer 组里，应当正好在一个里")
def leaders_only(nodes: int, each: int) -> tuple:
    inner, _ = RIGHT["two_levels"](nodes, each)
    return inner, [[group[0] for group in inner]]


@wrong("two_levels", "没有 rank 8，inner 里却有")
def counted_from_one(nodes: int, each: int) -> tuple:
    inner = [[r + 1 for r in group] for group in RIGHT["two_levels"](nodes, each)[0]]
    return [[0], *inner], []


@wrong("two_levels", "返回了 None，要 (inner, outer)")
def no_levels(nodes: int, each: int) -> None:
    return None


@wrong("choose", "p = 2、n = 4 KiB\nring 要 10.2 us，doubling 只要 5.16 us")
def always_a_ring(p: int, n: int, link: Link) -> str:
    return "ring"


@wrong("choose", "p = 6、n = 1 MiB", "ring 只要")
def never_folds(p: int, n: int, link: Link) -> str:
    return "doubling" if p == 2 or n < 100_000 else "halving"


@wrong("choose", "返回了 'tree'，要 ring、doubling、halving 之一")
def a_tree(p: int, n: int, link: Link) -> str:
    return "tree"


@wrong("choose", "抛出异常 ZeroDivisionError: division by zero")
def divides_by_zero(p: int, n: int, link: Link) -> str:
    return "ring" if n / (p - 2) else "halving"
