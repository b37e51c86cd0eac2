"""Likely wrong answers to the exercises of chapter 5, and what is said of each.

Where a part of a wrong answer is right, it is the page's.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from exercises_on_the_page import ROOT, answers
from noted import noting
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction.average_gradients import torch_sum
from dlsys_code.primitive import ring
from dlsys_code.system.context_parallel import contiguous
from dlsys_code.world import receive, send

RIGHT = answers(ROOT / "04_AICluster" / "05.system.ipynb")
SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ a mean over samples


@wrong(
    "uneven_mean",
    "2 个 rank、每个 5 个数\nrank 0：每个 rank 算成一样重；要按样本数加权",
)
def mean_of_ranks(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    return torch_sum(gradient, group) / group.size()


@wrong("uneven_mean", "2 个 rank", "这是所有样本的和，还要除以全部样本数")
def sum_of_samples(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    return torch_sum(gradient * samples, group)


@wrong("uneven_mean", "2 个 rank", "除以了 rank 数，要除以全部样本数")
def over_the_ranks(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    return torch_sum(gradient * samples, group) / group.size()


@wrong("uneven_mean", "2 个 rank", "rank 0：每个 rank 算成一样重；要按样本数加权")
def mean_in_its_place(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    dist.all_reduce(gradient, group=group)
    return gradient / group.size()


@wrong("uneven_mean", "rank 0：要除以全部样本数，不是 rank 数乘自己的样本数")
def over_its_own(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    return torch_sum(gradient * samples, group) / group.size() / max(samples, 1)


@wrong(
    "uneven_mean",
    "4 个 rank、每个 3 个数",
    "程序停住了",
    "rank 2 已经返回",
    "没有样本的 rank 也要来相加\n前面 2 个 rank × 5 个数都对",
)
def stays_away(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    if not samples:
        return gradient.clone()
    return RIGHT["uneven_mean"](gradient, samples, group)


@wrong("uneven_mean", "数都对，但 rank 0 改写了参数 gradient；先 clone 再改")
def in_its_place(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    right = RIGHT["uneven_mean"](gradient, samples, group)
    dist.all_reduce(gradient, group=group)
    return right


@wrong("uneven_mean", "用了书里的 dlsys_code/primitive/ring.py；这一题只用 torch 的")
def by_a_ring(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    count = ring.all_reduce(torch.tensor([samples]), group)
    return ring.all_reduce(gradient * samples, group) / count


@wrong("uneven_mean", "用了 torch 的 all_gather；这一题只用 torch 的 all_reduce")
def with_all_counts(gradient: Tensor, samples: int, group: ProcessGroup) -> Tensor:
    counts = [torch.tensor(0) for _ in range(group.size())]
    dist.all_gather(counts, torch.tensor(samples), group=group)
    return torch_sum(gradient * samples, group) / sum(counts)


# ------------------------------------------------------------ what crosses


@wrong("what_crosses", "少了 b 从 0 到 1：c 要用")
def nothing_at_all(uses: Mapping, rank_of: Mapping) -> list:
    return []


@wrong("what_crosses", "a 从 0 到 1 发了 2 次：到了就都能用")
def for_each_edge(uses: Mapping, rank_of: Mapping) -> list:
    edges = [(value, op) for op, values in uses.items() for value in values]
    places = [(value, rank_of[value], rank_of[op]) for value, op in edges]
    return [place for place in places if place[1] != place[2]]


@wrong("what_crosses", "a 不用发：做它的和用它的都在 rank 0")
def on_every_edge(uses: Mapping, rank_of: Mapping) -> set:
    return {(v, rank_of[v], rank_of[op]) for op, vs in uses.items() for v in vs}


@wrong("what_crosses", "b 在 rank 0，是从 0 到 1，方向反了")
def the_other_way(uses: Mapping, rank_of: Mapping) -> set:
    return {(v, b, a) for v, a, b in RIGHT["what_crosses"](uses, rank_of)}


@wrong("what_crosses", "a 从 0 到 1 不用发：那里没有算子用它")
def all_to_the_next(uses: Mapping, rank_of: Mapping) -> set:
    return {(v, rank_of[v], rank_of[v] + 1) for v in uses if not rank_of[v]}


@wrong("what_crosses", "少了 a 从 0 到 2：c、e 要用")
def to_one_rank_only(uses: Mapping, rank_of: Mapping) -> list:
    right = RIGHT["what_crosses"](uses, rank_of)
    return list({value: (value, *way) for value, *way in sorted(right)[::-1]}.values())


@wrong("what_crosses", "要一列 (值, 从, 到)")
def values_alone(uses: Mapping, rank_of: Mapping) -> list:
    return [value for value, _, _ in RIGHT["what_crosses"](uses, rank_of)]


# ------------------------------------------------------------ stages


@wrong("through_stages", "rank 0：只有最后一个微批次的梯度")
def the_last_only(stage: nn.Module, batches: Sequence, group: ProcessGroup) -> None:
    for x in batches:
        stage.zero_grad()
        RIGHT["through_stages"](stage, [x], group)


@wrong("through_stages", "rank 0：只有第一个微批次的梯度")
def the_first_only(stage: nn.Module, batches: Sequence, group: ProcessGroup) -> None:
    RIGHT["through_stages"](stage, batches[:1], group)


@wrong("through_stages", "4 个 rank、每个 16 个数", "用了 18 轮，要求不超过 14")
def one_by_one(stage: nn.Module, batches: Sequence, group: ProcessGroup) -> None:
    for x in batches:
        RIGHT["through_stages"](stage, [x], group)


@wrong("through_stages", "rank 0：梯度除以了微批次数：这里要的是和")
def mean_of_batches(stage: nn.Module, batches: Sequence, group: ProcessGroup) -> None:
    RIGHT["through_stages"](stage, batches, group)
    stage.weight.grad /= len(batches)


@wrong("through_stages", "ValueError: stage 的权重没有梯度：反向没有走到这一段")
def forward_only(stage: nn.Module, batches: Sequence, group: ProcessGroup) -> None:
    r, last = group.rank(), group.size() - 1
    for x in batches:
        y = stage(receive(x, group, source=r - 1) if r else x)
        if r < last:
            send(y.detach(), group, to=r + 1)
        else:
            y.backward()


@wrong("through_stages", "程序停住了", "都在等接收，没有人在发")
def waits_for_the_gradient(
    stage: nn.Module, batches: Sequence, group: ProcessGroup
) -> None:
    if group.rank() == 0:
        y = stage(batches[0])
        y.backward(receive(y, group, source=1))
    else:
        receive(batches[0], group, source=group.rank() - 1)


@wrong("through_stages", "rank 0：梯度除以了微批次数：这里要的是和")
def mean_of_losses(stage: nn.Module, batches: Sequence, group: ProcessGroup) -> None:
    whole = stage.forward
    m = len(batches) if group.rank() == group.size() - 1 else 1
    stage.forward = lambda x: whole(x) / m
    RIGHT["through_stages"](stage, batches, group)


@wrong("through_stages", "rank 1 抛出异常：要发的是 None", "先 requires_grad_()")
def no_gradient_asked_for(
    stage: nn.Module, batches: Sequence, group: ProcessGroup
) -> None:
    r, last, kept = group.rank(), group.size() - 1, []
    for x in batches:
        given = receive(x, group, source=r - 1) if r else x
        y = stage(given)
        if r < last:
            send(y.detach(), group, to=r + 1)
        kept.append((given, y))
    for given, y in kept:
        y.backward(receive(y, group, source=r + 1) if r < last else None)
        if r:
            send(given.grad, group, to=r - 1)


@wrong("through_stages", "rank 0：反向要从收来的梯度开始，不是从自己的输出")
def gradient_of_ones(stage: nn.Module, batches: Sequence, group: ProcessGroup) -> None:
    r, last = group.rank(), group.size() - 1
    for x in batches:
        y = stage(receive(x, group, source=r - 1) if r else x)
        if r < last:
            send(y.detach(), group, to=r + 1)
        y.sum().backward()


# ------------------------------------------------------------ bytes of a step


@wrong("stage_bytes", "stage = 3、n = 1200、p = 5、m = 1", "正向、反向各收集一次")
def as_in_stage_1(stage: int, n: int, p: int, m: int) -> float:
    return 2 * (p - 1) * n / p


@wrong("stage_bytes", "stage = 0、n = 1200、p = 4、m = 3", "梯度先在本地累积")
def for_each_micro_batch(stage: int, n: int, p: int, m: int) -> float:
    return m * RIGHT["stage_bytes"](stage, n, p, 1)


@wrong("stage_bytes", "stage = 2、n = 1200、p = 4、m = 3", "每个微批次都要归约散发")
def m_forgotten(stage: int, n: int, p: int, m: int) -> float:
    return RIGHT["stage_bytes"](stage, n, p, 1)


@wrong("stage_bytes", "stage = 2、n = 1200、p = 4、m = 3", "一步只有一次")
def gathers_each_time(stage: int, n: int, p: int, m: int) -> float:
    return RIGHT["stage_bytes"](stage, n, p, m if stage == 3 else 1) * (
        m if stage == 2 else 1
    )


@wrong("stage_bytes", "stage = 3、n = 1200、p = 4、m = 3", "这是一个微批次的")
def weights_kept(stage: int, n: int, p: int, m: int) -> float:
    return RIGHT["stage_bytes"](stage, n, p, 1 if stage == 3 else m)


@wrong("stage_bytes", "stage = 3、n = 1200、p = 4、m = 3", "都要重新收集权重")
def gathered_once(stage: int, n: int, p: int, m: int) -> float:
    times = [2, 2, m + 1, m + 2][stage]
    return times * (p - 1) * n / p


@wrong("stage_bytes", "stage = 3、n = 1200、p = 5、m = 1", "下一步正向会收集")
def gathered_after_the_update(stage: int, n: int, p: int, m: int) -> float:
    return RIGHT["stage_bytes"](stage, n, p, m) + (stage == 3) * (p - 1) * n / p


@wrong("stage_bytes", "2,400：少乘了 (p - 1)/p：自己的一份不用发")
def its_own_too(stage: int, n: int, p: int, m: int) -> float:
    return RIGHT["stage_bytes"](stage, n, p, m) * p / (p - 1)


@wrong("stage_bytes", "p = 5、m = 1\n9,600：要乘 (p - 1)/p，不是 p - 1")
def not_over_p(stage: int, n: int, p: int, m: int) -> float:
    return RIGHT["stage_bytes"](stage, n, p, m) * p


@wrong("stage_bytes", "960：归约散发之后还有一次全收集")
def scattered_only(stage: int, n: int, p: int, m: int) -> float:
    return (p - 1) * n / p


# ------------------------------------------------------------ a flat shard


@wrong("in_my_shard", "sizes = (5, 1, 4)、p = 3、r = 0", "补零到 12 个，一段 4 个元素")
def rounded_down(sizes: Sequence[int], p: int, r: int) -> list:
    k = sum(sizes) // p
    return RIGHT["in_my_shard"]([*sizes[:-1], sizes[-1] - sum(sizes) % p], p, r) or [k]


@wrong("in_my_shard", "sizes = (5, 1, 4)", "第 2 个权重只有 4 个元素，后面是补的零")
def zeros_too(sizes: Sequence[int], p: int, r: int) -> list:
    longer = [*sizes[:-1], sizes[-1] + -sum(sizes) % p]
    return RIGHT["in_my_shard"](longer, p, r)


@wrong("in_my_shard", "sizes = (4, 8)、p = 3、r = 0", "(1, 0, 0) 里一个元素也没有")
def empty_pieces(sizes: Sequence[int], p: int, r: int) -> list:
    k, start, found = -(-sum(sizes) // p), 0, []
    for i, size in enumerate(sizes):
        begin, end = ((r + j) * k - start for j in (0, 1))
        found.append((i, min(max(begin, 0), size), max(min(end, size), 0)))
        start += size
    return found


@wrong("in_my_shard", "sizes = (4, 8)、p = 3、r = 1", "不是从长线的开头")
def places_on_the_line(sizes: Sequence[int], p: int, r: int) -> list:
    pieces = RIGHT["in_my_shard"](sizes, p, r)
    return [(i, sum(sizes[:i]) + b, sum(sizes[:i]) + e) for i, b, e in pieces]


@wrong("in_my_shard", "sizes = (4, 8)、p = 3、r = 0", "止是最后一个元素的后面一个")
def ends_inside(sizes: Sequence[int], p: int, r: int) -> list:
    return [(i, b, e - 1) for i, b, e in RIGHT["in_my_shard"](sizes, p, r)]


@wrong("in_my_shard", "sizes = (4, 8)、p = 3、r = 0", "没有第 2 个权重，编号是 0 到 1")
def numbered_from_two(sizes: Sequence[int], p: int, r: int) -> list:
    return [(i + 2, *piece) for i, *piece in RIGHT["in_my_shard"](sizes, p, r)]


@wrong("in_my_shard", "sizes = (5, 1, 4)、p = 3、r = 0", "应当是 [(0, 0, 4)]")
def the_row_after_it(sizes: Sequence[int], p: int, r: int) -> list:
    return RIGHT["in_my_shard"](sizes, p, (r + 1) % p if len(sizes) == 3 else r)


@wrong("in_my_shard", "sizes = (5, 1, 4)、p = 3、r = 1", "次序不对：按权重的编号排")
def backwards(sizes: Sequence[int], p: int, r: int) -> list:
    return RIGHT["in_my_shard"](sizes, p, r)[::-1]


@wrong("in_my_shard", "权重的编号从 0 数")
def counted_from_one(sizes: Sequence[int], p: int, r: int) -> list:
    return [(i + 1, *piece) for i, *piece in RIGHT["in_my_shard"](sizes, p, r)]


@wrong("in_my_shard", "要一列 (第几个权重, 起, 止)")
def elements_alone(sizes: Sequence[int], p: int, r: int) -> range:
    return range(4)


# ------------------------------------------------------------ columns, then rows


@wrong("columns_then_rows", "2 个 rank、每个 8 个数\nrank 0：少了 rank 1 的份")
def never_summed(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    return (x @ first).relu() @ second


@wrong("columns_then_rows", "在两个矩阵中间相加了：各个 rank 的列不是同一些列")
def summed_between(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    return torch_sum(x @ first, group).relu() @ second


@wrong("columns_then_rows", "两个矩阵之间少了 relu")
def without_relu(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    return torch_sum(x @ first @ second, group)


@wrong("columns_then_rows", "relu 要在两个矩阵之间，不在最后")
def relu_too_late(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    return torch_sum(x @ first @ second, group).relu()


@wrong("columns_then_rows", "隐藏层的各列属于不同的 rank，不能相加")
def summed_twice(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    return torch_sum(torch_sum(x @ first, group).relu() @ second, group)


@wrong("columns_then_rows", "数都对，但 rank 0 改写了参数 first 或 second；先 clone")
def weights_changed(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    right = RIGHT["columns_then_rows"](x, first, second, group)
    second.mul_(2)
    return right


@wrong("columns_then_rows", "每个数都除以了 2：求了平均，这里要的是和")
def averaged_out(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    right = RIGHT["columns_then_rows"](x, first, second, group)
    return right / group.size()


@wrong("columns_then_rows", "数都对，但 rank 0 全归约了 2 次，一次就够")
def among_zeros(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    p, r = group.size(), group.rank()
    columns = torch.zeros(p, *first.shape, dtype=x.dtype)
    rows = torch.zeros(p, *second.shape, dtype=x.dtype)
    columns[r], rows[r] = first, second
    columns, rows = torch_sum(columns, group), torch_sum(rows, group)
    return (x @ columns).relu().matmul(rows).sum(0)


@wrong("columns_then_rows", "数都对，但全归约了 128 字节，输出只有 64 字节")
def hidden_summed(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    parts = torch.stack([(x @ first).relu() @ second, torch.zeros_like(x)])
    return torch_sum(parts, group)[0]


@wrong("columns_then_rows", "用了 torch 的 all_gather；这一题只用 torch 的 all_reduce")
def hidden_gathered(
    x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup
) -> Tensor:
    y = (x @ first).relu() @ second
    parts = [torch.empty_like(y) for _ in range(group.size())]
    dist.all_gather(parts, y, group=group)
    return sum(parts)


@wrong("columns_then_rows", "ValueError: 返回的形状是 (2, 4)，要 (4, 2)")
def transposed(x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup) -> Tensor:
    return RIGHT["columns_then_rows"](x, first, second, group).T


@wrong("columns_then_rows", "返回了 NoneType，应当返回张量")
def no_product(x: Tensor, first: Tensor, second: Tensor, group: ProcessGroup) -> None:
    RIGHT["columns_then_rows"](x, first, second, group)


# ------------------------------------------------------------ words of a rank


@wrong("my_words", "这个 rank 有词 0 到 5，没有词 10：那里要放 0")
def negative_rows(rows: Tensor, first: int, tokens: Tensor) -> Tensor:
    return rows[(tokens - first) % len(rows)]


@wrong("my_words", "抛出异常 IndexError")
def out_of_range(rows: Tensor, first: int, tokens: Tensor) -> Tensor:
    return rows[tokens - first]


@wrong("my_words", "这个 rank 有词 0 到 5，没有词 6：那里要放 0")
def one_too_many(rows: Tensor, first: int, tokens: Tensor) -> Tensor:
    at = tokens - first
    absent = (at < 0) | (at > len(rows))
    found = rows[at.clamp(0, len(rows) - 1)]
    return found.masked_fill(absent.unsqueeze(-1), 0)


@wrong("my_words", "这个 rank 有词 0 到 11，词 0 是它的，却放了 0")
def row_0_left_out(rows: Tensor, first: int, tokens: Tensor) -> Tensor:
    right = RIGHT["my_words"](rows, first, tokens)
    return right.masked_fill((tokens == first).unsqueeze(-1), 0)


@wrong("my_words", "词 11 在第 11 行，应当是 [34.0, 35.0, 36.0]")
def the_next_word(rows: Tensor, first: int, tokens: Tensor) -> Tensor:
    return RIGHT["my_words"](rows.roll(-1, 0), first, tokens)


@wrong("my_words", "返回的形状是 (12, 3)，应当是 (2, 6, 3)")
def in_one_line(rows: Tensor, first: int, tokens: Tensor) -> Tensor:
    return RIGHT["my_words"](rows, first, tokens).flatten(0, 1)


# ------------------------------------------------------------ two blocks of keys

Merged = tuple[Tensor, Tensor]


@wrong("merge_blocks", "l 里有 inf 或 nan：先减去大的 l 再取 exp")
def overflowing(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    total = l_1.exp() + l_2.exp()
    return (l_1.exp() * o_1 + l_2.exp() * o_2) / total, total.log()


@wrong("merge_blocks", "l 里有 inf 或 nan：一块一个键也没有时 l 是 -inf")
def less_the_second(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    both = l_2 + (1 + (l_1 - l_2).exp()).log()
    return (l_1 - both).exp() * o_1 + (l_2 - both).exp() * o_2, both


@wrong("merge_blocks", "o 求了平均；两块的分母不同")
def plain_mean(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return (o_1 + o_2) / 2, torch.logaddexp(l_1, l_2)


@wrong("merge_blocks", "o 直接相加了：它们各自已经除过自己的和")
def plain_sum(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return o_1 + o_2, torch.logaddexp(l_1, l_2)


@wrong("merge_blocks", "o 还没有除以总和：权重是 exp(l_1 - l)")
def not_divided(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return l_1.exp() * o_1 + l_2.exp() * o_2, torch.logaddexp(l_1, l_2)


@wrong("merge_blocks", "l 是和的对数，不能直接相加")
def logarithms_added(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return RIGHT["merge_blocks"](o_1, l_1, o_2, l_2)[0], l_1 + l_2


@wrong("merge_blocks", "l 要取对数")
def without_logarithm(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return RIGHT["merge_blocks"](o_1, l_1, o_2, l_2)[0], l_1.exp() + l_2.exp()


@wrong("merge_blocks", "1 个查询", "l 是 ", "应当是")
def the_larger(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return RIGHT["merge_blocks"](o_1, l_1, o_2, l_2)[0], torch.maximum(l_1, l_2)


@wrong("merge_blocks", "o 是 [", "应当是 [")
def weights_exchanged(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return RIGHT["merge_blocks"](o_2, l_1, o_1, l_2)


@wrong("merge_blocks", "o 返回的形状是 (1, 1)，应当是 (1, 2)")
def sums_first(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> Merged:
    return (l_1, RIGHT["merge_blocks"](o_1, l_1, o_2, l_2)[1])


@wrong("merge_blocks", "返回了 NoneType，要 (o, l)")
def not_merged(o_1: Tensor, l_1: Tensor, o_2: Tensor, l_2: Tensor) -> None:
    return None


# ------------------------------------------------------------ tokens of a rank


@wrong("zigzag_share", "T = 8、p = 2、r = 0\n这是连着切成 p 段")
def in_p_pieces(T: int, p: int, r: int) -> tuple:
    tokens = contiguous(T, p, r)
    return tokens, int(tokens.sum()) + len(tokens)


@wrong("zigzag_share", "这是隔 p 个取一个")
def striped(T: int, p: int, r: int) -> tuple:
    return range(r, T, p), sum(t + 1 for t in range(r, T, p))


@wrong("zigzag_share", "对数 14：第 t 个词元还要看自己：t + 1 个")
def without_itself(T: int, p: int, r: int) -> tuple:
    tokens, _ = RIGHT["zigzag_share"](T, p, r)
    return tokens, sum(tokens)


@wrong("zigzag_share", "对数 32：这是不加因果掩码的")
def without_mask(T: int, p: int, r: int) -> tuple:
    tokens, _ = RIGHT["zigzag_share"](T, p, r)
    return tokens, len(tokens) * T


@wrong("zigzag_share", "对数 10：只数了自己的键")
def own_keys(T: int, p: int, r: int) -> tuple:
    tokens, _ = RIGHT["zigzag_share"](T, p, r)
    return tokens, len(tokens) * (len(tokens) + 1) // 2


@wrong("zigzag_share", "对数 36：这是所有 rank 加起来的")
def of_all_ranks(T: int, p: int, r: int) -> tuple:
    return RIGHT["zigzag_share"](T, p, r)[0], T * (T + 1) // 2


@wrong("zigzag_share", "r = 1\n词元 [2, 3, 6, 7]，应当是 [2, 3, 4, 5]")
def the_last_piece_for_all(T: int, p: int, r: int) -> tuple:
    k = T // (2 * p)
    tokens = [*range(r * k, (r + 1) * k), *range(T - k, T)]
    return tokens, sum(t + 1 for t in tokens)


@wrong("zigzag_share", "要 (词元的编号, 对数)")
def tokens_alone(T: int, p: int, r: int) -> list:
    return RIGHT["zigzag_share"](T, p, r)[0]


# ------------------------------------------------------------ from layout to layout


@wrong("cheapest_way", "R → S0、n = 1200、p = 4\n不用发：整份都在手里")
def scatters_copies(before: str, after: str, n: int, p: int) -> tuple:
    return "reduce_scatter", (p - 1) * n / p


@wrong("cheapest_way", "S0 → R", "要发：别的 rank 的段要收来")
def never_sends(before: str, after: str, n: int, p: int) -> tuple:
    return "nothing", 0


@wrong(
    "cheapest_way",
    "P → S1、n = 1200、p = 4",
    "all_reduce 之后再切一段也对，可是 reduce_scatter 只发 900 字节",
)
def reduces_all(before: str, after: str, n: int, p: int) -> tuple:
    if before == "P" and after != "P":
        return "all_reduce", 2 * (p - 1) * n / p
    return RIGHT["cheapest_way"](before, after, n, p)


@wrong(
    "cheapest_way", "S1 → S0", "all_gather 之后再切一段也对，可是 all_to_all 只发 900"
)
def gathers_all(before: str, after: str, n: int, p: int) -> tuple:
    if before[0] == after[0] == "S" and before != after:
        return "all_gather", (p - 1) * n
    return RIGHT["cheapest_way"](before, after, n, p)


@wrong("cheapest_way", "S0 → R、n = 1200、p = 4\n900：每个 rank 现在就有 n 字节")
def of_the_whole(before: str, after: str, n: int, p: int) -> tuple:
    name, sent = RIGHT["cheapest_way"](before, after, n, p)
    return name, min(sent, (p - 1) * n / p)


@wrong("cheapest_way", "P → R", "900：全归约是归约散发加全收集")
def half_an_all_reduce(before: str, after: str, n: int, p: int) -> tuple:
    name, sent = RIGHT["cheapest_way"](before, after, n, p)
    return name, sent / 2 if name == "all_reduce" else sent


@wrong("cheapest_way", "P → S1", "1,200：少乘了 (p - 1)/p")
def all_of_it(before: str, after: str, n: int, p: int) -> tuple:
    name, sent = RIGHT["cheapest_way"](before, after, n, p)
    return name, n if name == "reduce_scatter" else sent


@wrong(
    "cheapest_way", "S0 → R", "all_to_all 到不了：别的 rank 的段要收来，用 all_gather"
)
def exchanges_all(before: str, after: str, n: int, p: int) -> tuple:
    if before[0] == "S":
        return "all_to_all", (p - 1) * n / p
    return RIGHT["cheapest_way"](before, after, n, p)


@wrong("cheapest_way", "S0 → S0、n = 1200、p = 3\n不用发：排布没有变")
def never_stays(before: str, after: str, n: int, p: int) -> tuple:
    if before == after == "S0":
        return "all_to_all", (p - 1) * n / p
    return RIGHT["cheapest_way"](before, after, n, p)


@wrong("cheapest_way", "返回了 'broadcast'，要 nothing、all_gather、")
def another_name(before: str, after: str, n: int, p: int) -> tuple:
    return "broadcast", 0


@wrong("cheapest_way", "要 (集合通信的名字, 字节)")
def no_name(before: str, after: str, n: int, p: int) -> float:
    return 0.0
