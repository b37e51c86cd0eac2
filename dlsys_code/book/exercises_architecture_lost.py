"""What chapter 2 asks a reader of talking less and of losing a server.

Whoever counts lost updates wrongly is told of a server or a checkpoint that has them,
or that none has.
"""

from collections.abc import Sequence
from math import ceil
from pprint import pformat

from dlsys_code.book.exercises_architecture_counts import fault_of_count

Event = tuple[str, str, int]  # server, what happened, step
MEETINGS = [  # steps, H, bytes, p
    (100, 10, 4000, 4),
    (100, 1, 4000, 4),
    (100, 8, 4000, 5),
    (7, 30, 600, 3),
    (1000, 64, 4000, 1),
]


def fault_of_meetings(answer: object, steps: int, alone: int, n: int, p: int) -> str:
    """Say what a count of the bytes of all meetings overlooks; "" if nothing."""
    once, meetings = 2 * (p - 1) * n / p, ceil(steps / alone)
    near = {
        "最后不满 H 步的一段也要见一次面": steps // alone * once,
        "整除时后面没有剩下的一段，不多见一次": (steps // alone + 1) * once,
        "见面的次数是整数": steps / alone * once,
        "这是每一步都全归约的": steps * once,
        "H 是隔几步见一次，不是见几次": alone * once,
        "环上一次全归约发的不是 n，是 2(p-1)/p 个 n": meetings * n,
        "这是所有 rank 一共发的": meetings * once * p,
    }
    return fault_of_count(answer, meetings * once, near)


def shown_meetings(steps: int, alone: int, n: int, p: int) -> str:
    """Return a case of `bytes_of_meetings` for the reader."""
    return f"{steps} 步、H = {alone}、n = {n:,} 字节、p = {p}"


def life(steps: int, *servers: str, acknowledged: bool = True) -> list[Event]:
    """Return the events of a step: every server updates, then the workers are told."""
    told = [(servers[0], "acknowledged", steps)] if acknowledged else []
    return [*((server, "updated", steps) for server in servers), *told]


def runs() -> list[tuple[list[Event]]]:
    """Return logs of runs with one server, a backup, checkpoints and deaths."""

    def alone(first: int, end: int) -> list[Event]:
        return [event for step in range(first, end) for event in life(step, "primary")]

    def both(first: int, end: int) -> list[Event]:
        names = "primary", "backup"
        return [event for step in range(first, end) for event in life(step, *names)]

    def die(server: str, step: int) -> list[Event]:
        return [(server, "killed", step)]

    saved = ("primary", "saved", 2)
    half_done = life(3, "primary", acknowledged=False)
    early = [("primary", "acknowledged", 3), ("primary", "killed", 4)]
    return [
        ([*alone(0, 3), *die("primary", 3)],),
        ([*alone(0, 3), saved, *alone(3, 6), *die("primary", 6)],),
        ([*alone(0, 3), *half_done, *die("primary", 3)],),
        ([*both(0, 4), *die("primary", 4)],),
        ([*both(0, 3), *die("backup", 3), *alone(3, 5)],),
        ([*both(0, 3), saved, *die("backup", 3), *alone(3, 5), *die("primary", 5)],),
        ([*both(0, 3), *half_done, *die("primary", 3)],),
        ([*both(0, 3), *half_done, *early],),
    ]


def lost(events: Sequence[Event]) -> list[int]:
    """Return the acknowledged updates that no living server and no checkpoint has."""
    told = {step for _, what, step in events if what == "acknowledged"}
    return sorted(told - kept(events) - set(range(saved_up_to(events) + 1)))


def kept(events: Sequence[Event]) -> set[int]:
    """Return the updates that a living server has made."""
    killed = {server for server, what, _ in events if what == "killed"}
    return {
        step
        for server, what, step in events
        if what == "updated" and server not in killed
    }


def saved_up_to(events: Sequence[Event]) -> int:
    """Return the last step of the last checkpoint, -1 where there is none."""
    return max((step for _, what, step in events if what == "saved"), default=-1)


def fault_of_lost(answer: object, events: Sequence[Event]) -> str:
    """Say which update is not lost after all, or is; "" for the right list."""
    try:
        answer = set(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列步号；没有丢就返回 []"
    right = set(lost(events))
    told = {step for _, what, step in events if what == "acknowledged"}
    for step in sorted(answer - right, key=str):
        if step not in told:
            return f"更新 {step} 没有确认过：工人会再推一次，不算丢"
        if step in kept(events):
            return f"更新 {step} 没有丢：活着的服务器做过它"
        return f"更新 {step} 没有丢：检查点存到了第 {saved_up_to(events)} 步，包括它"
    for step in sorted(right - answer):
        return f"更新 {step} 确认过，可是活着的服务器没有它，检查点里也没有"
    return ""


def shown_events(events: Sequence[Event]) -> str:
    """Return a log for the reader: how it ends, then the whole of it."""
    servers = "、".join(sorted({server for server, _, _ in events}))
    saved = saved_up_to(events)
    kept = f"检查点存到第 {saved} 步" if saved >= 0 else "没有检查点"
    ends = "、".join(f"{s} 死了" for s, what, _ in events if what == "killed")
    head = f"{servers}，{kept}，{ends or '没有服务器死'}，events ="
    return f"{head}\n{pformat(events, width=88, compact=True)}"
