"""What chapter 1 asks a reader to count: what is wrong with an answer to a case.

Each fault names the part that was likely left out or counted twice.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from dlsys_code.book.exercises_numbers import is_number, no_number
from dlsys_code.introduction import activations, budget, serial
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.units import KiB, MiB, show_bytes

TINY = GPTConfig(
    vocabulary=11, width=8, layers=2, heads=4, key_value_heads=2, hidden=12
)
CONFIGS = [
    GPTConfig(),
    TINY,
    GPTConfig(layers=3, heads=4, key_value_heads=1, tied=False),
]


def shown_config(config: GPTConfig, *more: int) -> str:
    """Return the sizes of a case, for the reader."""
    head = "共用" if config.tied else "不共用"
    return (
        f"h={config.width} L={config.layers} a={config.heads} "
        f"g={config.key_value_heads} f={config.hidden} V={config.vocabulary}，"
        f"输出层{head}" + "".join(f"，T={T}" for T in more)
    )


def fault_of_parameters(answer: object, config: GPTConfig) -> str:
    """Say which part was likely miscounted; "" for the right number."""
    parts = budget.parameters(config)
    if answer == parts.total:
        return ""
    h, d = config.width, config.head_width
    all_heads_alike = config.layers * 2 * h * (h - config.key_value_heads * d)
    near = {
        parts.total - parts.norms: "少了归一化：每层两个、最后一个，各 h 个",
        parts.total - parts.embedding: "少了词嵌入 V·h",
        parts.total + parts.embedding: "输出层与词嵌入共用时只数一次",
        parts.total - parts.head: "输出层不共用时有自己的 V·h 个",
        parts.total - parts.feed_forward // 3: "前馈层有三个矩阵：gate、up、down",
        parts.total + all_heads_alike: "键和值只有 g 个头，不是 a 个",
    }
    return near.get(answer, compared(answer, parts.total))


def fault_of_flops(answer: object, config: GPTConfig, T: int) -> str:
    """Say what of the FLOPs per token of a step is missing or counted too often."""
    forward = budget.forward_flops(config, T)
    right = forward.step()
    if answer == right:
        return ""
    near = {
        forward.total: "这是正向的；反向还有两倍",
        2 * forward.total: "反向要算两个梯度，一步是正向的 3 倍",
        right / 2: "一次乘加是 2 次运算",
        right - 3 * forward.scores: "少了词元两两相乘：每层每个词元正向 4·h·T",
        right - 3 * forward.head: "少了输出层：共用的权重也要乘一遍",
        right - 3 * forward.scores // 2: "两两相乘有两次：q 乘 k，权重乘 v",
        right * T: "这是一个样本的；要每个词元的",
    }
    return near.get(answer, compared(answer, right))


def models() -> list[tuple[nn.Module, torch.optim.Optimizer]]:
    """Return trained models: tied in float32, with a frozen weight, in float64."""
    return [
        stepped(GPT(TINY), partial(torch.optim.AdamW, lr=1e-3)),
        stepped(GPT(TINY), partial(torch.optim.SGD, lr=1e-3), frozen=True),
        stepped(GPT(TINY).double(), partial(torch.optim.SGD, lr=0.1, momentum=0.9)),
    ]


def stepped(
    model: nn.Module, optimizer: type, *, frozen: bool = False
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Take one step, and leave the gradients where they are."""
    model.embed.weight.requires_grad_(not frozen)
    made = optimizer(model.parameters())
    words = torch.zeros(1, 3, dtype=torch.long)
    serial.mean_loss(model, words, words).backward()
    made.step()
    return model, made


def shown_model(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """Return what a case trains, for the reader."""
    frozen = sum(not weight.requires_grad for weight in model.parameters())
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return f"{dtype}，{type(optimizer).__name__}，冻结 {frozen} 个张量"


def fault_of_state_bytes(
    answer: object, model: nn.Module, optimizer: torch.optim.Optimizer
) -> str:
    """Say which of weights, gradients and optimizer states is wrong."""
    weights = list(model.parameters())
    gradients = [w.grad for w in weights if w.grad is not None]
    states = [
        value
        for state in optimizer.state.values()
        for value in state.values()
        if isinstance(value, Tensor)
    ]
    right = [sum(x.nbytes for x in kind) for kind in (weights, gradients, states)]
    try:
        mine = [int(n) for n in answer]
    except (TypeError, ValueError):
        mine = []
    if len(mine) != 3:
        return f"返回了 {answer!r}，要三个字节数：权重、梯度、优化器"
    for name, got, due, kind in zip(
        ("权重", "梯度", "优化器"),
        mine,
        right,
        (weights, gradients, states),
        strict=True,
    ):
        if got == due:
            continue
        if got == sum(x.numel() for x in kind):
            return f"{name}是 {got:,}：这是元素个数，还要乘每个元素的字节"
        if name == "梯度" and got == right[0]:
            return f"梯度是 {got:,}：冻结的参数没有梯度，.grad 是 None"
        return f"{name}：{compared(got, due)}"
    return ""


def settings(config: GPTConfig, b: int, T: int) -> Iterator[tuple[int, bool, int]]:
    """Yield micro-batches, recomputation and activation bytes, the fastest first.

    Recomputation costs a third more work, another micro-batch next to nothing.
    """
    for recompute in (False, True):
        for m in range(1, b + 1):
            if b % m == 0:
                kept = activations.activation_bytes(
                    config, b // m, T, recompute=recompute
                )
                yield m, recompute, kept


def memories() -> list[tuple[int, int, int]]:
    """Return b, T and the memory for activations [bytes], of each case."""
    return [(8, 128, 64 * MiB), (8, 128, 8 * MiB), (8, 512, 5 * MiB), (8, 128, 9 * KiB)]


def shown_memory(b: int, T: int, memory: int) -> str:
    """Return the sizes of a case, for the reader."""
    return f"b = {b}、T = {T}，激活值至多 {show_bytes(memory)}"


def fault_of_setting(answer: object, b: int, T: int, memory: int) -> str:
    """Say that a setting does not fit, or that a faster one does."""
    found = list(settings(GPTConfig(), b, T))
    best = next(((m, r) for m, r, kept in found if kept <= memory), None)
    if answer == best:
        return ""
    bytes_of = {(m, r): kept for m, r, kept in found}
    if answer is None:
        return f"返回了 None，但 {best} 装得下：{show_bytes(bytes_of[best])}"
    if answer not in bytes_of:
        return f"返回了 {answer!r}，要 (微批次数, 是否重计算)，微批次数整除 {b}"
    if bytes_of[answer] > memory:
        return f"{answer} 的激活值有 {show_bytes(bytes_of[answer])}，装不下"
    return f"{answer} 装得下，但 {best} 也装得下，而且更快"


def compared(answer: object, right: float) -> str:
    """Say that a number is too small or too large."""
    if not is_number(answer):
        return no_number(answer)
    return f"{answer:,.0f}，偏{'小' if answer < right else '大'}，应当是 {right:,.0f}"
