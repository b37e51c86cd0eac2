"""Likely wrong answers to the exercises of chapter 1, and what is said of each.

Where a part of a wrong answer is right, it is the page's.
"""

from itertools import pairwise

import torch
from exercises_on_the_page import ROOT, answers
from noted import noting
from torch import Tensor, nn

from dlsys_code.introduction import serial
from dlsys_code.introduction.gpt import GPTConfig

RIGHT = answers(ROOT / "04_AICluster" / "01.introduction.ipynb")
SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ parameters and FLOPs


@wrong("count_parameters", "h=128 L=4 a=8 g=4 f=352 V=256，输出层共用", "少了归一化")
def no_norms(config: GPTConfig) -> int:
    right = RIGHT["count_parameters"](config)
    return right - (2 * config.layers + 1) * config.width


@wrong("count_parameters", "输出层与词嵌入共用时只数一次")
def head_counted_again(config: GPTConfig) -> int:
    right = RIGHT["count_parameters"](config)
    return right + config.vocabulary * config.width * config.tied


@wrong("count_parameters", "g=1", "输出层不共用时有自己的 V·h 个")
def head_never_counted(config: GPTConfig) -> int:
    right = RIGHT["count_parameters"](config)
    return right - config.vocabulary * config.width * (not config.tied)


@wrong("count_parameters", "键和值只有 g 个头")
def all_heads_alike(config: GPTConfig) -> int:
    gd = config.key_value_heads * config.head_width
    extra = 2 * config.width * (config.width - gd)
    return RIGHT["count_parameters"](config) + config.layers * extra


@wrong("count_parameters", "前馈层有三个矩阵")
def classic_feed_forward(config: GPTConfig) -> int:
    third = config.layers * config.width * config.hidden
    return RIGHT["count_parameters"](config) - third


@wrong("count_parameters", "少了词嵌入")
def no_embedding(config: GPTConfig) -> int:
    return RIGHT["count_parameters"](config) - config.vocabulary * config.width


@wrong("count_parameters", "771,201，偏大，应当是 771,200")
def one_too_many(config: GPTConfig) -> int:
    return RIGHT["count_parameters"](config) + 1


@wrong("count_parameters", "返回了 None，要一个数")
def no_number(config: GPTConfig) -> None:
    return None


@wrong("step_flops", "T=8", "这是正向的；反向还有两倍")
def forward_only(config: GPTConfig, T: int) -> float:
    return RIGHT["step_flops"](config, T) / 3


@wrong("step_flops", "一步是正向的 3 倍")
def one_gradient_only(config: GPTConfig, T: int) -> float:
    return RIGHT["step_flops"](config, T) / 3 * 2


@wrong("step_flops", "一次乘加是 2 次运算")
def multiplications_only(config: GPTConfig, T: int) -> float:
    return RIGHT["step_flops"](config, T) / 2


@wrong("step_flops", "少了词元两两相乘")
def no_scores(config: GPTConfig, T: int) -> int:
    return RIGHT["step_flops"](config, T) - 12 * config.layers * config.width * T


@wrong("step_flops", "两两相乘有两次")
def scores_once(config: GPTConfig, T: int) -> int:
    return RIGHT["step_flops"](config, T) - 6 * config.layers * config.width * T


@wrong("step_flops", "少了输出层")
def no_head(config: GPTConfig, T: int) -> int:
    return RIGHT["step_flops"](config, T) - 6 * config.width * config.vocabulary


@wrong("step_flops", "这是一个样本的；要每个词元的")
def of_a_sample(config: GPTConfig, T: int) -> int:
    return RIGHT["step_flops"](config, T) * T


# ------------------------------------------------------------ memory


@wrong("state_bytes", "float32，AdamW，冻结 0 个张量", "还要乘每个元素的字节")
def elements(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple:
    n = sum(w.numel() for w in model.parameters())
    return n, n, 2 * n


@wrong("state_bytes", "冻结 1 个张量", "冻结的参数没有梯度")
def gradients_like_weights(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple:
    weights, _, states = RIGHT["state_bytes"](model, optimizer)
    return weights, weights, states


@wrong("state_bytes", "优化器：", "偏小")
def one_moment(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple:
    weights, gradients, states = RIGHT["state_bytes"](model, optimizer)
    return weights, gradients, states // 2


@wrong("state_bytes", "要三个字节数")
def total_only(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    return sum(RIGHT["state_bytes"](model, optimizer))


@wrong("setting", "(1, False) 的激活值有", "装不下")
def always_whole(b: int, T: int, memory: int) -> tuple:
    return 1, False


@wrong("setting", "(8, True) 装得下，但 (1, False) 也装得下，而且更快")
def always_smallest(b: int, T: int, memory: int) -> tuple:
    return b, True


@wrong("setting", "返回了 None，但 (1, False) 装得下")
def gives_up(b: int, T: int, memory: int) -> None:
    return None


@wrong("setting", "要 (微批次数, 是否重计算)，微批次数整除 8")
def not_a_divisor(b: int, T: int, memory: int) -> tuple:
    return 3, False


# ------------------------------------------------------------ a step


@wrong("accumulate", "4 个样本，2 个微批次", "梯度是整批的 2 倍")
def sum_of_means(model: nn.Module, inputs: Tensor, targets: Tensor, m: int) -> None:
    for x, y in zip(inputs.chunk(m), targets.chunk(m), strict=True):
        serial.mean_loss(model, x, y).backward()


@wrong("accumulate", "7 个样本，3 个微批次", "各份的样本数不同，却都除以 m")
def mean_of_means(model: nn.Module, inputs: Tensor, targets: Tensor, m: int) -> None:
    for x, y in zip(inputs.chunk(m), targets.chunk(m), strict=True):
        (serial.mean_loss(model, x, y) / m).backward()


@wrong("accumulate", "只剩最后一个微批次的梯度")
def cleared_between(model: nn.Module, inputs: Tensor, targets: Tensor, m: int) -> None:
    for x, y in zip(inputs.chunk(m), targets.chunk(m), strict=True):
        model.zero_grad()
        (serial.mean_loss(model, x, y) / m).backward()


@wrong("accumulate", "有参数没有 .grad")
def no_backward(model: nn.Module, inputs: Tensor, targets: Tensor, m: int) -> float:
    return serial.mean_loss(model, inputs, targets).item()


@wrong("accumulate", "梯度与整批的不同")
def first_only(model: nn.Module, inputs: Tensor, targets: Tensor, m: int) -> None:
    serial.mean_loss(model, inputs[:1], targets[:1]).backward()


@wrong("next_scale", "这一步溢出", "溢出就减半，从零重新数")
def never_shrinks(scale: float, good: int, finite: bool) -> tuple:
    return RIGHT["next_scale"](scale, good, True)


@wrong("next_scale", "已连续好 2 步，这一步好", "满 3 步翻倍，从零重新数")
def counts_on(scale: float, good: int, finite: bool) -> tuple:
    grown = 2 * scale if good + 1 == 3 else scale
    return (grown, good + 1) if finite else (scale / 2, 0)


@wrong("next_scale", "没满 3 步，只多数一步")
def grows_at_once(scale: float, good: int, finite: bool) -> tuple:
    return (2 * scale, 0) if finite else (scale / 2, 0)


@wrong("share_out", "8 个样本，3 个 rank", "有重复或遗漏")
def rest_is_lost(batch: int, p: int) -> list:
    each = batch // p
    return [(range(r * each, (r + 1) * each), 1.0) for r in range(p)]


@wrong("share_out", "8 个样本，3 个 rank", "rank 0 有 3 个样本，权重 1；")
def plain_mean(batch: int, p: int) -> list:
    return [(samples, 1.0) for samples, _ in RIGHT["share_out"](batch, p)]


@wrong("share_out", "相差不该超过 1 个")
def last_has_the_rest(batch: int, p: int) -> list:
    each = batch // p
    ends = [*range(0, p * each, each), batch]
    return [(range(a, b), p * (b - a) / batch) for a, b in pairwise(ends)]


@wrong("share_out", "有 1 对，应当每个 rank 一对")
def one_share(batch: int, p: int) -> list:
    return [(range(batch), 1.0)]


@wrong("share_out", "要每个 rank 一对：(样本号的 range, 权重)")
def ranges_only(batch: int, p: int) -> list:
    return [range(0)] * p


@wrong("buckets", "多了一条消息")
def one_each(sizes: list, most: int) -> list:
    return [[i] for i in range(len(sizes))]


@wrong("buckets", "桶 [0, 1, 2, 3] 有 16 字节，超过 8")
def all_in_one(sizes: list, most: int) -> list:
    return [list(range(len(sizes)))]


@wrong("buckets", "不重不漏、次序不变")
def largest_first(sizes: list, most: int) -> list:
    return [[i] for i in sorted(range(len(sizes)), key=lambda i: -sizes[i] + i)][::-1]


@wrong("buckets", "有空桶")
def begins_empty(sizes: list, most: int) -> list:
    return [[], *RIGHT["buckets"](sizes, most)]


@wrong("buckets", "要一列桶，一个桶是一列编号")
def numbers_only(sizes: list, most: int) -> list:
    return list(range(len(sizes)))


@wrong("most_ranks", "个 rank 的效率只有")
def one_more(compute_s: float, talk_s: float, least: float) -> int:
    return RIGHT["most_ranks"](compute_s, talk_s, least) + 1


@wrong("most_ranks", "计算 0.1 s，通信 0.005 s", "2 个 rank 的效率还有")
def never_shared(compute_s: float, talk_s: float, least: float) -> int:
    return 1


@wrong("most_ranks", "要一个不小于 1 的整数")
def none_at_all(compute_s: float, talk_s: float, least: float) -> int:
    return 0


@wrong("segment", "L = 80，一份输入 1 字节，一层激活值 5 字节", "k = 4 只要 40")
def ignores_the_sizes(L: int, kept: int, block: int) -> int:
    return round(L**0.5)


@wrong("segment", "k = 1 要 17 字节，k = 4 只要 8")
def every_layer(L: int, kept: int, block: int) -> int:
    return 1


@wrong("segment", "一份输入 8 字节，一层激活值 1 字节\n返回了 9.79")
def not_rounded(L: int, kept: int, block: int) -> float:
    return (L * kept / block) ** 0.5


@wrong("segment", "L = 12，一份输入 8 字节", "k = 10 要 26 字节，k = 12 只要 20")
def ignores_the_ceiling(L: int, kept: int, block: int) -> int:
    return max(1, round((L * kept / block) ** 0.5))
