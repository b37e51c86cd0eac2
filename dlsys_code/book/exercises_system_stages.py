"""The program of chapter 5 that runs a model in stages, forward and backward.

Several micro-batches go through, one close behind the other, as a pipeline will do it.
Values are whole numbers, and so gradients are exact in any order of additions.
"""

from collections.abc import Callable, Sequence
from math import isqrt

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.book.exercises import Task
from dlsys_code.communication.cost import Cost
from dlsys_code.primitive.contenders import Inputs

SAMPLES, MICRO_BATCHES = 4, 3


class Part(nn.Module):
    """One stage of a model; the last one ends with the loss."""

    def __init__(self, x: Tensor, *, last: bool):
        super().__init__()
        width = isqrt(len(x))
        self.weight = nn.Parameter((3 * x % 7 - 3).view(width, width))
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """Return what the next stage needs, (b, h), or the loss."""
        y = x + (x @ self.weight).relu()
        return y.square().sum() if self.last else y


def micro_batches(width: int) -> list[Tensor]:
    """Return the micro-batches that rank 0 reads, (b, h) each."""
    count = MICRO_BATCHES * SAMPLES * width
    numbers = 5 * torch.arange(count, dtype=torch.float64) % 7 - 3
    return list(numbers.view(MICRO_BATCHES, SAMPLES, width))


def with_stage(mine: Callable, x: Tensor, group: ProcessGroup) -> Tensor:
    """Have a program run this rank's stage; return the gradient of its weight.

    Errors: ValueError where it has none.
    """
    p, r = group.size(), group.rank()
    stage = Part(x, last=r == p - 1)
    batches = micro_batches(len(stage.weight))
    mine(stage, batches if r == 0 else list(map(torch.zeros_like, batches)), group)
    if stage.weight.grad is None:
        raise ValueError("stage 的权重没有梯度：反向没有走到这一段")
    return stage.weight.grad.flatten()


def serial_gradients(
    inputs: Sequence[Tensor], batches: Sequence[int] = range(MICRO_BATCHES)
) -> list[Tensor]:
    """Return the gradient of each stage, by one process that has all stages."""
    last = len(inputs) - 1
    model = nn.Sequential(*(Part(x, last=r == last) for r, x in enumerate(inputs)))
    for number in batches:
        model(micro_batches(isqrt(len(inputs[0])))[number]).backward()
    return [stage.weight.grad.flatten() for stage in model]


def gradients_of_own_sums(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what comes out where each stage starts backward from its own output."""
    last = len(inputs) - 1
    model = [Part(x, last=r == last) for r, x in enumerate(inputs)]
    for x in micro_batches(isqrt(len(inputs[0]))):
        for stage in model:
            y = stage(x)
            y.sum().backward()
            x = y.detach()
    return [stage.weight.grad.flatten() for stage in model]


def gradient_of_stage(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """The gradient that a rank must end with."""
    return serial_gradients([inputs(r) for r in range(p)])[rank]


def one_behind_the_other(p: int, count: int, item: int) -> Cost:
    """Micro-batches go through the stages, each close behind the one before.

    In a round a stage receives or sends: a micro-batch follows after two.
    """
    rounds, n = 2 * (p - 1 + 2 * (MICRO_BATCHES - 1)), SAMPLES * isqrt(count) * item
    ways = 1 if p == 2 else 2  # a stage in the middle sends to both sides
    return Cost(
        rounds=rounds, bytes_sent=ways * MICRO_BATCHES * n, serial_bytes=rounds * n
    )


THROUGH_STAGES = Task(
    sizes=[(2, 9), (3, 9), (4, 16)],
    answer=gradient_of_stage,
    most=one_behind_the_other,
    least=one_behind_the_other,
    call=with_stage,
    mistaken={
        "只有最后一个微批次的梯度": lambda inputs: serial_gradients(
            inputs, [MICRO_BATCHES - 1]
        ),
        "梯度除以了微批次数：这里要的是和": lambda inputs: [
            total / MICRO_BATCHES for total in serial_gradients(inputs)
        ],
        "反向要从收来的梯度开始，不是从自己的输出": gradients_of_own_sums,
        "只有第一个微批次的梯度": lambda inputs: serial_gradients(inputs, [0]),
    },
    hints=[
        "先让所有微批次依次正向，记下每个的输入和输出，再依次反向。",
        "不在第一段的，输入是从 rank r - 1 收来的，"
        "收到后 `requires_grad_()`；发出去的输出先 `detach()`。",
        "反向：从 rank r + 1 收输出的梯度，`y.backward(gradient)`，"
        "再把输入的梯度 `x.grad` 发给 rank r - 1。",
        "最后一段的输出就是损失，`y.backward()` 不要梯度；"
        "权重的梯度在几次 `backward` 里自己加起来。",
    ],
)
