"""What a program with right results has not done as asked, from its messages.

It may have called a collective instead of writing one, rounded numbers on the way,
sent and received at once where that is ruled out, or spent more than it may.
"""

from collections.abc import Callable
from itertools import product

from dlsys_code.book.exercises import Task
from dlsys_code.communication import cost
from dlsys_code.world import Trace
from dlsys_code.world.journal import Event

PACKAGES = ("dlsys_code/architecture/", "dlsys_code/primitive/", "dlsys_code/system/")


def of_a_right_result(task: Task, trace: Trace, count: int) -> list[str]:
    """Say what a program with right results has not done as it was asked."""
    return (
        borrowed(task, trace)
        or narrowed(trace)
        or (both_at_once(trace) if task.one_at_a_time else [])
        or list(task.pattern(trace))
        or waste(task, trace, count)
    )


def borrowed(task: Task, trace: Trace) -> list[str]:
    """Say whose collective the program has called instead of writing one."""
    called = {e.op for e in trace.events if e.kind == "collective"}
    ops = sorted(called - {*task.uses})
    sites = {e.site.split(" ")[0] for e in trace.events}
    files = sorted(site for site in sites if any(part in site for part in PACKAGES))
    if task.uses:
        own, write = [f"这一题只用 torch 的 {'、'.join(task.uses)}"] * 2
    else:
        own, write = "请用点对点通信自己写", "请自己写"
    if ops:
        return [f"数都对，但用了 torch 的 {'、'.join(ops)}；{own}"]
    if files:
        return [f"数都对，但用了书里的 {'、'.join(files)}；{write}"]
    return []


def narrowed(trace: Trace) -> list[str]:
    """Say where numbers went over in a type of fewer digits than those brought."""
    for event in trace.events:
        if event.kind == "send" and "float" in event.dtype and event.dtype != "float64":
            return [
                f"数都对，但 rank {event.rank} 发的是 {event.dtype}"
                f"（{event.site}），换一组数会丢位"
            ]
    return []


def both_at_once(trace: Trace) -> list[str]:
    """Say which rank sends and receives at the same time."""
    sends = [event for event in trace.events if event.kind == "send"]
    receives = [event for event in trace.events if event.kind == "recv"]
    for sent, received in product(sends, receives):
        if sent.rank == received.rank and overlap(sent, received):
            return [
                f"数都对，但 rank {sent.rank} 同时在发和收（{sent.site}）；"
                "这一题只许用 send 和 receive"
            ]
    return []


def overlap(a: Event, b: Event) -> bool:
    """Return whether one event began before the other had ended."""
    first, second = sorted((a, b), key=lambda event: event.start_s)
    return first.end_s is None or second.start_s < first.end_s


def waste(task: Task, trace: Trace, count: int) -> list[str]:
    """Say where a right program costs more than it may, and how many times."""
    p = len(trace.results)
    spent, most = cost.of_messages(trace.messages()), task.most(p, count, 8)
    measures: list[tuple[Callable[[cost.Cost], int], str]] = [
        (lambda c: c.bytes_sent, "最忙的 rank 发了 {:,} 字节"),
        (lambda c: c.rounds, "用了 {} 轮"),
        (lambda c: c.serial_bytes, "依次走过 {:,} 字节"),
    ]
    for of, text in measures:
        if of(spent) > of(most):
            times = of(spent) / of(most)
            return [
                f"数都对，但{text.format(of(spent))}，"
                f"要求不超过 {of(most):,}，是它的 {times:.3g} 倍",
            ]
    return []
