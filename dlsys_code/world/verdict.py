"""From what a rank left behind to a `Failure` that a reader understands.

A rank leaves a reply with an exception, an exit status, the stack of a process that
does not answer, or counts of messages that do not add up.
"""

import linecache
import multiprocessing
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dlsys_code.world.failure import Diagnosis, Failure
from dlsys_code.world.journal import SKIPPED, short_path
from dlsys_code.world.rank import Reply, live, run_program

STACK_LIMIT_S = 1.0  # a process dumps its stack within milliseconds, if it can
Frame = tuple[str, int, str]  # file, line, function


def of_rank(
    rank: int, reply: Reply | None, process: multiprocessing.Process
) -> Failure:
    """Return the failure of a rank that has replied, or ended without a reply."""
    if reply is None:
        process.join(STACK_LIMIT_S)
        return Failure(rank=rank, kind="died", cause=how_it_ended(process.exitcode))
    return of_reply(rank, reply)


def of_reply(rank: int, reply: Reply) -> Failure:
    """Return the failure that a rank has reported itself."""
    return Failure(
        rank=rank if reply.odd is None else reply.odd,
        kind=reply.kind,
        cause=constant(reply.cause),
        line=reply.line or place(reply.frames),
        text=show(reply.frames),
    )


def how_it_ended(status: int | None) -> str:
    """Return "killed by SIGKILL" or "ended with exit code 3"."""
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"ended with exit code {status}"


def constant(text: str) -> str:
    """Drop what differs from run to run: ports, addresses in memory, folders."""
    text = re.sub(r"(\[[\d.:a-f]+\]):\d+", r"\1", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x...", text)
    return re.sub(r"/\S*/(?=(torch|dlsys_code)/)", "", text)


def place(frames: Sequence[Frame]) -> str:
    """Return the innermost line of the program, for example "<cell> line 5"."""
    return f"{short_path(frames[-1][0])} line {frames[-1][1]}" if frames else ""


def show(frames: Sequence[Frame]) -> str:
    """Return a short traceback: the lines of the program, outermost first.

    The text of a line comes from this process, which knows the cells of a notebook.
    """
    lines = []
    for file, number, function in frames:
        lines.append(f"  {short_path(file)} line {number}, in {function}")
        if source := linecache.getline(file, number).strip():
            lines.append(f"    {source}")
    return "\n".join(lines)


def of_stack(rank: int, dump: Path, process: multiprocessing.Process) -> Failure:
    """Return where a rank is that does not answer, from its dumped stack."""
    frames = read_stack(dump, process)
    program = [f for f in frames if not f[0].startswith(SKIPPED)]
    in_torch = frames[len(program) :] if program else []
    if is_stopped(process.pid):
        text = f"rank {rank} is stopped by a signal"
    elif not program:
        text = f"rank {rank} does not answer"
    elif in_torch and "distributed" in in_torch[0][0]:
        text = f"rank {rank} is waiting in {operation(in_torch)} at {place(program)}"
    else:
        text = f"rank {rank} is busy at {place(program)}"
    if program and (source := linecache.getline(*program[-1][:2]).strip()):
        text += f"\n    {source}"
    line = place(program)
    return Failure(rank=rank, kind="stuck", cause="time ran out", line=line, text=text)


def operation(frames: Sequence[Frame]) -> str:
    """Return the name of the call of torch.distributed that the program made."""
    names = [name for _, _, name in frames if name not in ("wrapper", "_fn")]
    return names[0] if names else "torch"


def read_stack(dump: Path, process: multiprocessing.Process) -> list[Frame]:
    """Return the frames that faulthandler writes to `dump`, outermost first.

    Empty when the process is stopped, or caught where Python cannot look.
    """
    limit = time.monotonic() + STACK_LIMIT_S
    text = ""
    while time.monotonic() < limit and f" in {live.__name__}\n" not in text:
        if process.sentinel is None or is_stopped(process.pid):
            break
        text = dump.read_text(errors="replace")
    found = re.findall(r'  File "(.*)", line (\d+) in (.*)', text)
    frames = [(file, int(line), name) for file, line, name in reversed(found)]
    inside = [i for i, f in enumerate(frames) if f[2] == run_program.__name__]
    return frames[inside[0] + 1 :] if inside else []


def is_stopped(pid: int) -> bool:
    """Return whether a signal such as SIGSTOP holds the process (Linux only)."""
    if sys.platform != "linux":
        return False
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        )
    except OSError:
        return False


def compare_counts(replies: dict[int, Reply], diagnosis: Diagnosis) -> None:
    """Report the first message, in order of ranks, that has only one end.

    Whatever is left in a pipe between two ranks would answer the next call's receive.
    """
    channels = {c for r in replies.values() for c in (*r.sent, *r.received)}
    for channel in sorted(channels):
        source, destination = channel.source, channel.destination
        sent = replies[source].sent[channel]
        received = replies[destination].received[channel]
        if sent != received:
            report_channel(replies, diagnosis, channel, sent, received)
            return
    report_collectives(replies, diagnosis)


def report_channel(replies, diagnosis: Diagnosis, channel, sent, received) -> None:
    """Record a failure for the rank whose end of a message has no other end."""
    source, destination = channel.source, channel.destination
    rank = source if sent > received else destination
    line = replies[rank].sites[channel]
    cause = (
        f"rank {source} sent {sent} to rank {destination}, which received {received}; "
        f"the last {'send' if sent > received else 'receive'} was at {line}"
    )
    diagnosis.failures[rank] = Failure(
        rank=rank, kind="unmatched", cause=cause, line=line
    )


def report_collectives(replies: dict[int, Reply], diagnosis: Diagnosis) -> None:
    """Record a failure if members of a group made different numbers of collectives."""
    groups = {g for reply in replies.values() for g in reply.collectives}
    for group in sorted(groups):
        counts = {rank: replies[rank].collectives[group] for rank in group[1]}
        if len(set(counts.values())) > 1:
            most = max(counts, key=lambda rank: (counts[rank], -rank))
            shown = ", ".join(f"rank {r} made {n}" for r, n in counts.items())
            diagnosis.failures[most] = Failure(
                rank=most, kind="unmatched", cause=f"collectives of one group: {shown}"
            )
            return
