"""Programs of chapter 5 that call torch's all-reduce: a mean, and a cut product.

All values are whole numbers, and so results are exact in any order of additions.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.book.exercises import Outcome, Task
from dlsys_code.communication.cost import Cost
from dlsys_code.primitive.contenders import Inputs
from dlsys_code.world import Trace

ITEM = 8  # bytes of a float64
SAMPLES = {2: (3, 1), 4: (5, 2, 0, 1), 3: (4, 1, 3)}  # of each rank; sums are 2^i
TOKENS, WIDTH = 4, 2


def free(p: int, count: int, item: int) -> Cost:
    """Return the cost of a program that leaves all messages to torch."""
    return Cost(rounds=0, bytes_sent=0, serial_bytes=0)


# ------------------------------------------------------------ a mean over samples


def with_samples(mine: Callable, x: Tensor, group: ProcessGroup) -> Tensor:
    """Call a program with the number of samples of this rank."""
    return mine(x, SAMPLES[group.size()][group.rank()], group)


def mean_of_samples(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """The mean over all samples, from the means of the ranks."""
    weighted = [k * inputs(r) for r, k in enumerate(SAMPLES[p])]
    return torch.stack(weighted).sum(0) / sum(SAMPLES[p])


def on_all(mean: Callable[[Sequence[Tensor], Sequence[int]], Tensor]) -> Outcome:
    """Return what all ranks end with who take a mean that way."""
    return lambda inputs: [mean(inputs, SAMPLES[len(inputs)])] * len(inputs)


def plain(inputs: Sequence[Tensor], samples: Sequence[int]) -> Tensor:
    """The mean over the ranks."""
    return torch.stack(tuple(inputs)).sum(0) / len(inputs)


def weighted(inputs: Sequence[Tensor], samples: Sequence[int]) -> Tensor:
    """The sum over all samples."""
    return sum(k * x for k, x in zip(samples, inputs, strict=True))


def over_own(inputs: Sequence[Tensor]) -> list[Tensor]:
    """What comes out where each rank divides by its own samples, and by the ranks."""
    p, samples = len(inputs), SAMPLES[len(inputs)]
    return [weighted(inputs, samples) / p / max(own, 1) for own in samples]


# ------------------------------------------------------------ columns, then rows


def share_of(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return a rank's columns (h, k) and rows (k, h), made of what it brings."""
    first, second = x.split(len(x) // 2)
    return (7 * first % 11 - 5).view(WIDTH, -1), second.view(-1, WIDTH)


def tokens() -> Tensor:
    """Return the tokens that all ranks have, (b, h)."""
    count = TOKENS * WIDTH
    return (5 * torch.arange(count, dtype=torch.float64) % 7 - 3).view(TOKENS, WIDTH)


def with_share(mine: Callable, x: Tensor, group: ProcessGroup) -> Tensor:
    """Call a program with the tokens and this rank's part of both matrices."""
    result, wanted = mine(tokens(), *share_of(x), group), (TOKENS, WIDTH)
    if isinstance(result, Tensor) and result.shape != wanted:
        raise ValueError(f"返回的形状是 {tuple(result.shape)}，要 {wanted}")
    return result.flatten() if isinstance(result, Tensor) else result


def product_of_shares(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """The product of the whole matrices: the sum of the ranks' parts."""
    shares = [share_of(inputs(r)) for r in range(p)]
    return sum((tokens() @ a).relu() @ b for a, b in shares).flatten()


def summed_inside(inputs: Sequence[Tensor]) -> list[Tensor]:
    """What comes out where the ranks add up between the two matrices."""
    shares = [share_of(x) for x in inputs]
    hidden = sum(tokens() @ a for a, _ in shares).relu()
    return [(hidden @ b).flatten() for _, b in shares]


def without_relu(inputs: Sequence[Tensor]) -> list[Tensor]:
    """What comes out where nothing stands between the two matrices."""
    total = sum(tokens() @ a @ b for a, b in map(share_of, inputs))
    return [total.flatten()] * len(inputs)


def summed_twice(inputs: Sequence[Tensor]) -> list[Tensor]:
    """What comes out where the ranks add up between the two matrices and after."""
    return [torch.stack(summed_inside(inputs)).sum(0)] * len(inputs)


def relu_at_the_end(inputs: Sequence[Tensor]) -> list[Tensor]:
    """What comes out where the relu is taken of the output."""
    return [total.relu() for total in without_relu(inputs)]


def one_call(trace: Trace) -> list[str]:
    """Say how many all-reduces there were, and how large, where one small is enough."""
    sizes = [e.bytes for e in trace.events if e.kind == "collective" and e.rank == 0]
    if len(sizes) > 1:
        return [f"数都对，但 rank 0 全归约了 {len(sizes)} 次，一次就够"]
    most = TOKENS * WIDTH * ITEM
    if sum(sizes) > most:
        return [f"数都对，但全归约了 {sum(sizes)} 字节，输出只有 {most} 字节"]
    return []


PROGRAMS = {
    "uneven_mean": Task(
        sizes=[(2, 5), (4, 3), (3, 5)],
        answer=mean_of_samples,
        most=free,
        least=free,
        call=with_samples,
        uses=("all_reduce",),
        mistaken={
            "每个 rank 算成一样重；要按样本数加权": on_all(plain),
            "这是所有样本的和，还要除以全部样本数": on_all(weighted),
            "除以了 rank 数，要除以全部样本数": on_all(
                lambda inputs, samples: weighted(inputs, samples) / len(inputs)
            ),
            "要除以全部样本数，不是 rank 数乘自己的样本数": over_own,
        },
        x="gradient",
        stuck={4: "没有样本的 rank 也要来相加"},  # where one has none
        hints=[
            "平均乘样本数是和：几个 rank 的和可以直接相加。",
            "全部样本数也要一次全归约才知道。",
            "把 `gradient * samples` 和 `samples` 各自全归约，再相除。",
        ],
    ),
    "columns_then_rows": Task(
        sizes=[(2, 8), (4, 4), (3, 12)],
        answer=product_of_shares,
        most=free,
        least=free,
        call=with_share,
        pattern=one_call,
        x="first 或 second",
        uses=("all_reduce",),
        mistaken={
            "在两个矩阵中间相加了：各个 rank 的列不是同一些列": summed_inside,
            "中间也相加了：隐藏层的各列属于不同的 rank，不能相加": summed_twice,
            "两个矩阵之间少了 relu": without_relu,
            "relu 要在两个矩阵之间，不在最后": relu_at_the_end,
        },
        hints=[
            "`x @ first` 是隐藏层里自己的几列，relu 逐个数做，不用别人的列。",
            "自己的几列正好乘自己的几行；各个 rank 的积相加就是输出。",
            "`y = (x @ first).relu() @ second`，再 `dist.all_reduce(y, group=group)`。",
        ],
    ),
}
