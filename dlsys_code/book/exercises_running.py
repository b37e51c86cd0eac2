"""A reader's program on real ranks: run it at every size, then say how it went.

Rank r brings 1000 x 2^r, 1000 x 2^r + 1, ...: the thousands of a sum tell whose values
are in it, the last digits which ones.  A program that never ends is stopped after
`LIMIT_S`; where its ranks wait is then the answer.
"""

import re
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.book.exercises import Call, Program, Task, Verdict
from dlsys_code.book.exercises_diagnosis import of_results
from dlsys_code.book.exercises_messages import of_a_right_result
from dlsys_code.communication import cost
from dlsys_code.communication.formulas import core_ranks
from dlsys_code.world import RankError, Trace, World

LIMIT_S = 5.0  # of one call
MEANING = {  # kind of failure: what it is, for rank r
    "raised": "rank {} 抛出异常：",
    "died": "rank {} 的进程没了：",
    "unpicklable": "rank {} 返回的东西送不回来：",
    "unmatched": "有一条消息只有一头，发的和收的没有配上：",
}
EXPLAINED = {  # pattern in an error: what is behind it
    r"shape '.*' is invalid": "切不开：元素个数不是份数的倍数",
    r"Sizes of tensors must match|must match the size": "两边的张量形状不同",
    r"has no peer": "to 或 source 写错了：没有这个 rank，或者就是自己",
    r"does not require grad": "梯度在通信那一步断了：它没有自己的反向",
    r"'module' object is not callable": "exchange 在这一章是模块，互换写 "
    "point_to_point.exchange",
    r"NoneType.*contiguous": "要发的是 None，不是张量；"
    "若是 x.grad，收到 x 之后要先 requires_grad_()，反向才有它",
    r"SIGABRT": "多半是收的人说的形状或类型，与发来的不同",
}
CHINESE = {  # what `World` says of a rank: the same for the reader
    r"(rank \d+) is waiting in (\w+) at (.*)": r"\1 等在 \2：\3",
    r"(rank \d+) is waiting at (.*)": r"\1 等在：\2",
    r"(rank \d+) is busy at (.*)": r"\1 还在算：\2",
    r"(rank \d+) has returned": r"\1 已经返回",
    r"(rank \d+) does not answer": r"\1 没有回答",
    r"killed by (\w+)": r"被信号 \1 结束",
    r"(rank \d+) sent (\d+) to (rank \d+), which received (\d+); .* at (.*)": (
        r"\1 向 \3 发了 \2 条，\3 收了 \4 条；最后一条发在 \5"
    ),
    r"(rank \d+) expects (\d+) from (rank \d+), which sent (\d+); .* at (.*)": (
        r"\1 要从 \3 收 \2 条，\3 发了 \4 条；最后一条等在 \5"
    ),
}


def judge(task: Task, mine: Program, *, limit_s: float = LIMIT_S) -> Verdict:
    """Run a reader's program at every size, until one goes wrong.

    limit_s: of one call [s]; a program that waits for ever waits so long.
    """
    for tried, (p, count) in enumerate(task.sizes):
        with World(p, device="cpu") as world:
            try:
                trace = world.trace(attempt, task.call, mine, count, timeout_s=limit_s)
            except RankError as error:
                complaints = failure(error, limit_s)
                if error.kind == "stuck" and p in task.stuck:
                    complaints.append(task.stuck[p])
            else:
                complaints = faults(task, trace, count)
        if complaints:
            head = f"{p} 个 rank、每个 {count} 个数"
            return Verdict(False, [head, *complaints, *so_far(task.sizes[: tried + 1])])
    return Verdict(True, praise(task, trace))


def values(rank: int, count: int) -> Tensor:
    """Return what a rank brings.  Returns: (count,)."""
    return 1000.0 * 2**rank + torch.arange(count, dtype=torch.float64)


def attempt(call: Call, mine: Program, count: int) -> tuple[object, str]:
    """Run the program on this rank; return its result and what it did to x."""
    group = dist.group.WORLD
    x = values(group.rank(), count)
    kept = x.clone()
    result = call(mine, x, group)
    if not torch.equal(x, kept):
        return result, "改写了参数 {x}；先 clone 再改"
    if isinstance(result, Tensor) and shares_memory(result, x):
        return result, "返回的就是参数 {x} 的内存，改一个，另一个也变；返回 {x}.clone()"
    return result, ""


def shares_memory(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are views of one piece of memory."""
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()


def faults(task: Task, trace: Trace, count: int) -> list[str]:
    """Return what is wrong with a run, the worst first; nothing for a right one."""
    p = len(trace.results)
    inputs = [values(r, count) for r in range(p)]
    if wrong := of_results(task, [result for result, _ in trace.results], inputs):
        return wrong
    for rank, (_, misdeed) in enumerate(trace.results):
        if misdeed:
            return [f"数都对，但 rank {rank} {misdeed.format(x=task.x)}"]
    return of_a_right_result(task, trace, count)


def failure(error: RankError, limit_s: float) -> list[str]:
    """Say why a program did not end."""
    if error.kind == "stuck":
        return waiting(str(error).splitlines()[1:], limit_s)
    reasons = [text for at, text in EXPLAINED.items() if re.search(at, error.cause)]
    head = MEANING[error.kind].format(error.rank) + "；".join(reasons)
    return [head, in_chinese(error.cause), *line_of_program(error)]


def line_of_program(error: RankError) -> list[str]:
    """Return the innermost line of the reader's own, and its text; nothing if none."""
    frames = re.findall(r"^  (.* line \d+), in .*\n(    .*)?", str(error), re.MULTILINE)
    own = [
        lines for lines in frames if not lines[0].startswith(("dlsys_code/", "torch/"))
    ]
    return [line for line in own[-1] if line] if own else []


def waiting(said: Sequence[str], limit_s: float) -> list[str]:
    """Say where each rank of a program that never ends waits, and for what."""
    head = f"程序停住了，{limit_s:g} 秒还没完"
    calls = re.findall(r"is waiting in (\w+)", "\n".join(said))
    if len(calls) > 1 and all("send" in call for call in calls):
        head += "：都在等对方来收，没有人在收"
    elif len(calls) > 1 and all(call in ("receive", "recv") for call in calls):
        head += "：都在等接收，没有人在发"
    return [head, *map(in_chinese, said)]


def in_chinese(line: str) -> str:
    """Return one line about a rank as the reader is told it."""
    for english, chinese in CHINESE.items():
        line = re.sub(f"^{english}$", chinese, line)
    return line


def so_far(tried: Sequence[tuple[int, int]]) -> list[str]:
    """Say which sizes went well, and what they have that the last one has not."""
    *passed, (p, count) = tried
    if not passed:
        return []
    lines = [f"前面 {shown(passed)}都对"]
    if (
        len(passed) > 1
        and core_ranks(p) < p
        and all(core_ranks(q) == q for q, _ in passed)
    ):
        lines.append("只对了 rank 数是 2 的幂的")
    if count % p and not any(k % q for q, k in passed):
        lines.append("只对了个数能被 rank 数整除的")
    return lines


def praise(task: Task, trace: Trace) -> list[str]:
    """Say what a right program has shown, and its cost against the bound."""
    right = f"{shown(task.sizes)}，每个 rank 的结果都与定义相同"
    if task.uses:
        return [right]
    p, count = task.sizes[-1]
    spent, least = cost.of_messages(trace.messages()), task.least(p, count, 8)
    return [
        right,
        f"{p} 个 rank 时 {spent.rounds} 轮（下界 {least.rounds}），"
        f"最忙的发 {spent.bytes_sent:,} 字节（下界 {least.bytes_sent:,}）",
    ]


def shown(sizes: Sequence[tuple[int, int]]) -> str:
    """Return ranks and elements on each, for example "2 个 rank × 4 个数"."""
    return "、".join(f"{p} 个 rank × {count} 个数" for p, count in sizes)
