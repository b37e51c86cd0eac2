"""Exercises that a machine checks: `check(name, answer)` says what is right or wrong.

An exercise asks for a program or for a number.  A program is run on real ranks, for
several numbers of ranks and of elements, under a limit of time; it is held against the
definition, its messages are counted, and what goes wrong is said in Chinese, with the
rank, the input and the line::

    check("all_reduce", mine)      mine(x, group) -> result, on every rank
    check("ring_bytes", 140e6)     a number in the unit that the question names
    hint("all_reduce")             one step of help; hint("all_reduce", 2) the next

The exercises themselves stand in a module for each chapter, `check` and `hint` in
`check`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication import cost
from dlsys_code.communication.cost import Cost
from dlsys_code.primitive.contenders import Answer
from dlsys_code.world import RankError, Trace, World

LIMIT_S = 5.0  # of one call; a program that waits for ever waits so long
PACKAGE = "dlsys_code/primitive/"
Program = Callable[[Tensor, ProcessGroup], Tensor]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A program to write.

    sizes: (ranks, elements on each) to try.  answer: what a rank must return, from the
    inputs of all, as in a race.  most: (p, elements, bytes of one) -> the cost that is
    still right.  hints: in Chinese, each one says more.
    """

    sizes: Sequence[tuple[int, int]]
    answer: Answer
    most: Callable[[int, int, int], Cost]
    hints: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A number to find.  near: wrong answers that say what was overlooked."""

    value: float
    unit: str
    near: Mapping[float, str] = field(default_factory=dict)
    hints: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """What the reader is told."""

    right: bool
    lines: Sequence[str]

    def __repr__(self) -> str:
        head, *more = self.lines
        return "\n".join([f"{'对' if self.right else '不对'}：{head}", *more])


def values(rank: int, count: int) -> Tensor:
    """Return what a rank brings: numbers that tell who it is.  Returns: (count,)."""
    return 100.0 * rank + torch.arange(count, dtype=torch.float64)


def judge(task: Task, mine: Program) -> Verdict:
    """Run a reader's program at every size, until one goes wrong."""
    for p, count in task.sizes:
        with World(p, device="cpu", timeout_s=LIMIT_S) as world:
            try:
                trace = world.trace(attempt, mine, count)
            except RankError as error:
                complaints = failure(error)
            else:
                complaints = faults(task, trace, count)
        if complaints:
            return Verdict(False, [f"{p} 个 rank、每个 {count} 个数", *complaints])
    tried = "、".join(f"{p} 个 rank × {count}" for p, count in task.sizes)
    counted = cost.of_messages(trace.messages())
    return Verdict(
        True,
        [
            f"{tried} 个数，每个 rank 的结果都与定义相同",
            f"{p} 个 rank 时 {counted.rounds} 轮，最忙的发 {counted.bytes_sent} 字节",
        ],
    )


def attempt(mine: Program, count: int) -> tuple[object, bool]:
    """Run the program on this rank; return its result, and whether x is unchanged."""
    group = dist.group.WORLD
    x = values(group.rank(), count)
    kept = x.clone()
    return mine(x, group), torch.equal(x, kept)


def failure(error: RankError) -> list[str]:
    """Say why a program did not end."""
    meaning = {
        "stuck": f"程序停住了，{LIMIT_S:g} 秒还没完。每个 rank 等在哪里：",
        "raised": f"rank {error.rank} 抛出异常：",
        "died": f"rank {error.rank} 的进程没了：",
        "unpicklable": f"rank {error.rank} 返回的东西送不回来：",
        "unmatched": "有一条消息只有一头：",
    }[error.kind]
    return [meaning, *str(error).splitlines()[error.kind == "stuck" :]]


def faults(task: Task, trace: Trace, count: int) -> list[str]:
    """Return what is wrong with a run, the worst first; nothing for a right one."""
    p = len(trace.results)

    def inputs(rank: int) -> Tensor:
        return values(rank, count)

    for rank, (result, unchanged) in enumerate(trace.results):
        if fault := difference(
            result, task.answer(inputs, p, rank, 0), inputs(rank), p
        ):
            return [f"rank {rank} {fault}"]
        if not unchanged:
            return [f"rank {rank} 的结果对，可是参数 x 被改写了；先 clone 再改"]
    return borrowed(trace) or waste(task.most(p, count, 8), trace)


def difference(result: object, expected: Tensor, own: Tensor, p: int) -> str:
    """Say how a result differs from what it should be; "" if it does not."""
    if not isinstance(result, Tensor):
        return f"返回了 {type(result).__name__}，应当返回张量"
    if result.shape != expected.shape or result.dtype != expected.dtype:
        return (
            f"返回的形状和类型是 {tuple(result.shape)} {result.dtype}，"
            f"应当是 {tuple(expected.shape)} {expected.dtype}"
        )
    if torch.equal(result, expected):
        return ""
    if torch.equal(result, own):
        return "返回的还是自己的输入，什么也没有收到"
    for factor, said in ((p, f"每个数都多了 {p} 倍"), (1 / p, f"每个数都除以了 {p}")):
        if torch.allclose(result, factor * expected):
            return f"{said}，像是{'重复加了' if factor > 1 else '求了平均'}"
    at = int((result != expected).flatten().nonzero()[0])
    got, wanted = result.flatten()[at].item(), expected.flatten()[at].item()
    return f"的第 {at} 个数是 {got:g}，应当是 {wanted:g}"


def borrowed(trace: Trace) -> list[str]:
    """Say whose collective the program has called instead of writing one."""
    ops = sorted({e.op for e in trace.events if e.kind == "collective"})
    files = sorted({e.site.split(" ")[0] for e in trace.events if PACKAGE in e.site})
    if ops:
        return [
            f"结果对，但用了 torch 的 {'、'.join(ops)}；只用 send、receive、exchange"
        ]
    if files:
        return [f"结果对，但用了书里的 {'、'.join(files)}；请自己写"]
    return []


def waste(most: Cost, trace: Trace) -> list[str]:
    """Say where a right program costs more than it may."""
    counted = cost.of_messages(trace.messages())
    measures = [
        (counted.bytes_sent, most.bytes_sent, "最忙的 rank 发了 {} 字节"),
        (counted.rounds, most.rounds, "用了 {} 轮"),
        (counted.serial_bytes, most.serial_bytes, "依次走过 {} 字节"),
    ]
    return [
        f"结果对，但{text.format(spent)}，要求不超过 {allowed}"
        for spent, allowed, text in measures
        if spent > allowed
    ][:1]


def answer_to(question: Question, given: object) -> Verdict:
    """Hold a number against the answer, to one in a thousand."""
    if not isinstance(given, int | float) or isinstance(given, bool):
        return Verdict(False, [f"要一个数，单位 {question.unit}，不是 {given!r}"])
    if close(given, question.value):
        return Verdict(True, [f"{given:g} {question.unit}"])
    for wrong, said in question.near.items():
        if close(given, wrong):
            return Verdict(False, [f"{given:g} {question.unit}：{said}"])
    side = "小" if given < question.value else "大"
    return Verdict(False, [f"{given:g} {question.unit} 偏{side}"])


def close(a: float, b: float) -> bool:
    """Return whether two numbers agree to one in a thousand."""
    return abs(a - b) <= 1e-3 * abs(b)
