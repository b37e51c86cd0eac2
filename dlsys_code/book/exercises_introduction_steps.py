"""Parts of a training step that chapter 1 asks for: what is wrong with an answer.

Each fault names the rule that is broken, with the numbers of the case.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlsys_code.book.exercises_introduction_counts import TINY
from dlsys_code.book.exercises_numbers import is_whole, no_number
from dlsys_code.introduction import serial
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.loss_scaling import LossScale
from dlsys_code.introduction.units import MiB


def batches() -> list[tuple[nn.Module, Tensor, Tensor, int]]:
    """Return a model, a batch and the number of micro-batches, of each case."""
    cases = []
    for b, m in ((4, 1), (4, 2), (7, 3), (5, 5)):
        drawn = torch.randint(11, (2, b, 5), generator=torch.Generator().manual_seed(b))
        cases.append((GPT(TINY, seed=b).double(), *drawn, m))
    return cases


def shown_batch(model: nn.Module, inputs: Tensor, targets: Tensor, m: int) -> str:
    """Return the sizes of a case, for the reader."""
    return f"{len(inputs)} 个样本，{m} 个微批次"


def fault_of_accumulation(
    answer: object, model: nn.Module, inputs: Tensor, targets: Tensor, m: int
) -> str:
    """Say how the gradients left in .grad differ from the whole batch's."""
    weights = list(model.parameters())
    mine = [weight.grad for weight in weights]
    if None in mine:
        return "有参数没有 .grad：每个微批次都要 backward()"

    def gradients(x: Tensor, y: Tensor) -> list[Tensor]:
        loss = serial.mean_loss(model, x, y)
        return list(torch.autograd.grad(loss, weights))

    whole = gradients(inputs, targets)
    parts = zip(inputs.chunk(m), targets.chunk(m), strict=True)
    found = [gradients(x, y) for x, y in parts]
    plain_mean, last = [sum(same) / m for same in zip(*found, strict=True)], found[-1]
    if alike(mine, whole):
        return ""
    if alike(mine, [m * g for g in whole]):
        return f"梯度是整批的 {m} 倍：每个微批次的损失要先除以 {m}"
    if alike(mine, plain_mean):
        return "各份的样本数不同，却都除以 m：按 len(x) / len(inputs) 加权"
    if alike(mine, last) or alike(mine, [g / m for g in last]):
        return "只剩最后一个微批次的梯度：中间把 .grad 清掉了"
    return "梯度与整批的不同"


def alike(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Return whether two lists of gradients agree to rounding."""
    pairs = zip(some, others, strict=True)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in pairs)


def overflows() -> list[tuple[float, int, bool]]:
    """Return scale, good steps so far, and whether all gradients are finite."""
    return [(8.0, 0, True), (8.0, 1, True), (8.0, 2, True), (8.0, 2, False)]


def shown_overflow(scale: float, good: int, finite: bool) -> str:
    """Return a case, for the reader."""
    return f"scale = {scale:g}，已连续好 {good} 步，这一步{'好' if finite else '溢出'}"


def fault_of_next_scale(answer: object, scale: float, good: int, finite: bool) -> str:
    """Say which rule of dynamic loss scaling, with interval 3, an answer breaks."""
    rule = LossScale(value=scale, interval=3, good_steps=good)
    rule.update(finite)
    right = (rule.value, rule.good_steps)
    if answer == right:
        return ""
    said = f"返回了 {answer!r}，应当是 {right}"
    if not finite:
        return f"{said}：溢出就减半，从零重新数"
    return (
        f"{said}：{'满 3 步翻倍，从零重新数' if good == 2 else '没满 3 步，只多数一步'}"
    )


def shares() -> list[tuple[int, int]]:
    """Return samples and ranks, of each case."""
    return [(8, 2), (8, 3), (7, 4), (2, 3)]


def shown_share(batch: int, p: int) -> str:
    """Return a case, for the reader."""
    return f"{batch} 个样本，{p} 个 rank"


def fault_of_share(answer: object, batch: int, p: int) -> str:
    """Say what is wrong with [(samples, weight) of rank 0, ...]."""
    try:
        parts = [(list(samples), float(weight)) for samples, weight in answer]
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要每个 rank 一对：(样本号的 range, 权重)"
    if len(parts) != p:
        return f"有 {len(parts)} 对，应当每个 rank 一对"
    dealt = [sample for samples, _ in parts for sample in samples]
    if sorted(dealt) != list(range(batch)):
        return f"样本 {dealt} 有重复或遗漏，应当是 0 到 {batch - 1} 各一次"
    sizes = [len(samples) for samples, _ in parts]
    if max(sizes) - min(sizes) > 1:
        return f"各 rank 有 {sizes} 个样本，相差不该超过 1 个"
    for rank, (size, (_, weight)) in enumerate(zip(sizes, parts, strict=True)):
        if abs(weight - p * size / batch) > 1e-12:
            return (
                f"rank {rank} 有 {size} 个样本，权重 {weight:g}；"
                f"平均要除以 {p}，所以权重应是 {p * size / batch:g}"
            )
    return ""


def lists_of_sizes() -> list[tuple[list[int], int]]:
    """Return the bytes of gradients and the most bytes of a message."""
    small = [weight.nbytes for weight in GPT(GPTConfig()).parameters()]
    return [([4, 4, 4, 4], 8), ([5, 5, 5], 8), ([2, 20, 2, 2], 8), (small, MiB)]


def shown_sizes(sizes: Sequence[int], most: int) -> str:
    """Return a case, for the reader."""
    return f"{len(sizes)} 个梯度，头几个 {list(sizes[:4])} 字节，一条至多 {most:,} 字节"


def fault_of_buckets(answer: object, sizes: Sequence[int], most: int) -> str:
    """Say what is wrong with a list of lists of the gradients' numbers."""
    try:
        buckets = [list(bucket) for bucket in answer]
    except TypeError:
        return f"返回了 {answer!r}，要一列桶，一个桶是一列编号"
    if [i for bucket in buckets for i in bucket] != list(range(len(sizes))):
        return "桶里的编号接起来应当正好是 0、1、2……，不重不漏、次序不变"
    if [] in buckets:
        return "有空桶"
    for bucket in buckets:
        total = sum(sizes[i] for i in bucket)
        if total > most and len(bucket) > 1:
            return f"桶 {bucket} 有 {total:,} 字节，超过 {most:,}"
    for left, right in zip(buckets, buckets[1:], strict=False):
        if sum(sizes[i] for i in left) + sizes[right[0]] <= most:
            return f"编号 {right[0]} 还放得进前一个桶：多了一条消息"
    return ""


def efficiencies() -> list[tuple[float, float, float]]:
    """Return compute [s], talk [s] and the efficiency that is asked for."""
    return [(0.1, 0.005, 0.5), (1.0, 0.1, 0.9), (0.1, 0.2, 0.8), (3.0, 0.05, 0.75)]


def shown_efficiency(compute_s: float, talk_s: float, least: float) -> str:
    """Return a case, for the reader."""
    return f"计算 {compute_s:g} s，通信 {talk_s:g} s，效率不低于 {least:.0%}"


def fault_of_most_ranks(
    answer: object, compute_s: float, talk_s: float, least: float
) -> str:
    """Say that the efficiency is too low, or that one more rank would do."""
    if not is_whole(answer) or answer < 1:
        return no_number(answer, "一个不小于 1 的整数")

    def efficiency(p: int) -> float:
        return compute_s / (compute_s + p * talk_s) if p > 1 else 1.0

    edge = 1e-9  # a rank more or less where the bound is met exactly is rounding
    if efficiency(answer) < least - edge:
        return f"{answer} 个 rank 的效率只有 {efficiency(answer):.3f}"
    if efficiency(answer + 1) >= least + edge:
        return f"{answer + 1} 个 rank 的效率还有 {efficiency(answer + 1):.3f}"
    return ""


def depths() -> list[tuple[int, int, int]]:
    """Return layers, bytes kept of an input and of a recomputed layer, of each case."""
    return [(16, 1, 1), (80, 1, 5), (12, 8, 1), (10, 1, 100), (7, 3, 2)]


def shown_depth(L: int, kept: int, block: int) -> str:
    """Return a case, for the reader."""
    return f"L = {L}，一份输入 {kept} 字节，一层激活值 {block} 字节"


def fault_of_segment(answer: object, L: int, kept: int, block: int) -> str:
    """Say that another number of layers to a segment takes less memory."""
    if not is_whole(answer) or not 1 <= answer <= L:
        return no_number(answer, f" 1 到 {L} 的整数")

    def memory(k: int) -> int:
        return -(-L // k) * kept + k * block

    best = min(range(1, L + 1), key=memory)
    if memory(answer) == memory(best):
        return ""
    return f"k = {answer} 要 {memory(answer)} 字节，k = {best} 只要 {memory(best)}"
