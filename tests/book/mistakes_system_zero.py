"""Likely wrong answers to the exercises of section 05.2, and what is said of each."""

from collections.abc import Sequence

from noted import noting
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.book import exercises_system_zero_counts as right
from dlsys_code.world import shift

SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ pieces of a shard


@wrong("pieces", "sizes = [6, 2, 4]、p = 4、r = 1", "段的长短都对")
def from_the_head_of_the_row(sizes: Sequence[int], p: int, r: int) -> list:
    begins = [sum(sizes[:i]) for i in range(len(sizes))]
    found = right.pieces(sizes, p, r)
    return [(w, begins[w] + a - r, begins[w] + b - r) for w, a, b in found]


@wrong("pieces", "起不小于止的一段是空的")
def with_empty_pieces(sizes: Sequence[int], p: int, r: int) -> list:
    inside = {w: (w, a, b) for w, a, b in right.pieces(sizes, p, r)}
    return [inside.get(w, (w, 0, 0)) for w in range(len(sizes))]


@wrong("pieces", "r = 1", "一片只有 3 个数，这里有 12 个")
def everything(sizes: Sequence[int], p: int, r: int) -> list:
    return [(w, 0, size) for w, size in enumerate(sizes)]


@wrong("pieces", "sizes = [5, 2, 4]、p = 4、r = 3", "从整列的第 9 个数起")
def rounded_down(sizes: Sequence[int], p: int, r: int) -> list:
    k = sum(sizes) // p
    return right.pieces(sizes, p, r) if sum(sizes) % p == 0 else [(0, 0, k)]


@wrong("pieces", "返回了 7，要一列")
def no_list(sizes: Sequence[int], p: int, r: int) -> int:
    return 7


# ------------------------------------------------------------ bytes of a step


@wrong("bytes_of_a_step", "第 1 阶段、p = 8、m = 4", "梯度攒到更新前才归约")
def reduces_every_micro_batch(stage: int, p: int, m: int, n: int) -> float:
    return right.bytes_of_a_step(max(2, stage), p, m, n)


@wrong("bytes_of_a_step", "第 3 阶段、p = 4、m = 1", "反向要再收集一次")
def always_twice(stage: int, p: int, m: int, n: int) -> float:
    return 2 * (p - 1) / p * n


@wrong("bytes_of_a_step", "第 2 阶段、p = 4、m = 4", "每个微批次都要归约一次")
def one_micro_batch(stage: int, p: int, m: int, n: int) -> float:
    return right.bytes_of_a_step(stage, p, 1, n)


@wrong("bytes_of_a_step", "第 2 阶段、p = 4、m = 4", "权重只在更新之后收集一次")
def gathers_every_time(stage: int, p: int, m: int, n: int) -> float:
    return (2 if stage == 1 else stage * m) * (p - 1) / p * n


@wrong("bytes_of_a_step", "第 3 阶段、p = 4、m = 1", "更新之后不收集")
def gathers_after_the_update(stage: int, p: int, m: int, n: int) -> float:
    return right.bytes_of_a_step(stage, p, m, n) + (stage == 3) * (p - 1) / p * n


@wrong("bytes_of_a_step", "第 1 阶段、p = 4、m = 1", "自己那一片不上网")
def of_whole_arrays(stage: int, p: int, m: int, n: int) -> float:
    return right.bytes_of_a_step(stage, p, m, n) * p / max(1, p - 1)


@wrong("bytes_of_a_step", "这是所有 rank 一共发的")
def of_all_ranks(stage: int, p: int, m: int, n: int) -> float:
    return right.bytes_of_a_step(stage, p, m, n) * p


# ------------------------------------------------------------ order of gathers


@wrong("gather_order", "units = 4", "释放之后，反向要再收集一遍")
def forward_only(units: int) -> list[int]:
    return list(range(units))


@wrong("gather_order", "units = 4", "反向从模型的最后开始")
def head_last(units: int) -> list[int]:
    return [*range(units), *range(units - 1, -1, -1)]


@wrong("gather_order", "units = 4", "反向从最后一个单元走到第一个")
def backward_like_forward(units: int) -> list[int]:
    return [*range(units), 0, *range(1, units)]


@wrong("gather_order", "第 4 次（从 0 数）收集不对")
def unit_0_is_kept(units: int) -> list[int]:
    return [*range(units), *range(units - 1, 0, -1)]


# ------------------------------------------------------------ two levels


@wrong("inside_and_between", "inside", "第 3 阶段有三趟")
def two_trips(n: int, g: int, R: int) -> tuple[float, float]:
    return 2 * (g - 1) / g * n, right.inside_and_between(n, g, R)[1]


@wrong("inside_and_between", "inside", "组里只有 g 个 rank")
def one_group(n: int, g: int, R: int) -> tuple[float, float]:
    return 3 * (g * R - 1) / (g * R) * n, right.inside_and_between(n, g, R)[1]


@wrong("inside_and_between", "between", "只全归约自己那一片")
def whole_between(n: int, g: int, R: int) -> tuple[float, float]:
    return right.inside_and_between(n, g, R)[0], 2 * (R - 1) / R * n


@wrong("inside_and_between", "between", "组间只走梯度")
def weights_between(n: int, g: int, R: int) -> tuple[float, float]:
    return right.inside_and_between(n, g, R)[0], 3 * (R - 1) / R * n / g


# ------------------------------------------------------------ the norm


@wrong("square_of_norm", "rank 0")
def own_square_only(x: Tensor, group: ProcessGroup) -> Tensor:
    return x.square().sum().view(1)


@wrong("square_of_norm", "2 个 rank、每个 5 个数", "字节")
def whole_shards_go_round(x: Tensor, group: ProcessGroup) -> Tensor:
    total, passing = x.square().sum().view(1), x
    for _ in range(group.size() - 1):
        passing = shift(passing, group)
        total = total + passing.square().sum()
    return total


@wrong("square_of_norm", "rank 0")
def sum_then_square(x: Tensor, group: ProcessGroup) -> Tensor:
    total, passing = x, x
    for _ in range(group.size() - 1):
        passing = shift(passing, group)
        total = total + passing
    return total.square().sum().view(1)


@wrong("square_of_norm", "2 个 rank、每个 1 个数\nrank 0：开了方：要的是平方")
def norm_itself(x: Tensor, group: ProcessGroup) -> Tensor:
    total = passing = x.square().sum().view(1)
    for _ in range(group.size() - 1):
        passing = shift(passing, group)
        total = total + passing
    return total.sqrt()
