"""From what a rank left behind to a `Failure` that a reader understands.

A rank leaves a reply with an exception, an exit status, the stack of a process that
does not answer, or counts of messages that do not add up.
"""

import multiprocessing
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dlsys_code.world.failure import Diagnosis, Failure
from dlsys_code.world.journal import ANY, Channel
from dlsys_code.world.mail import Reply
from dlsys_code.world.sources import (
    Frame,
    constant,
    is_program,
    place,
    short_path,
    show,
    source_of,
)

EXIT_LIMIT_S = 1.0  # from the last byte of a rank to its exit status
PEER_LOST = re.compile(
    r"^RuntimeError: .*(gloo|memory).*(by peer|Broken pipe|refused|0 bytes)"
)


def of_rank(
    rank: int, reply: Reply | None, process: multiprocessing.Process
) -> Failure:
    """Return the failure of a rank that has replied, or ended without a reply."""
    if reply is None:
        process.join(EXIT_LIMIT_S)
        return Failure(rank=rank, kind="died", cause=how_it_ended(process.exitcode))
    return of_reply(rank, reply)


def of_reply(rank: int, reply: Reply) -> Failure:
    """Return the failure that a rank has reported itself."""
    earlier = [f"  {constant(cause)}" for cause in reply.earlier]
    lost = bool(PEER_LOST.search(reply.cause))
    return Failure(
        rank=rank if reply.odd is None else reply.odd,
        kind=reply.kind,
        cause="lost the connection to another rank" if lost else constant(reply.cause),
        line=reply.line or place(reply.frames),
        text="\n".join(filter(None, [show(reply.frames), *earlier])),
        follows_another=lost,
    )


def how_it_ended(status: int | None) -> str:
    """Return "killed by SIGKILL" or "ended with exit code 3"."""
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"ended with exit code {status}"


def of_stack(rank: int, frames: Sequence[Frame], *, stopped: bool = False) -> Failure:
    """Return where a rank is that does not end, from its stack, outermost first.

    stopped: whether a signal holds the process.
    """
    last = max((i for i, f in enumerate(frames) if is_program(f[0])), default=-1)
    line = place(frames[: last + 1])
    source = source_of(frames[last]) if line else ""
    call = operation(frames[last + 1 :])
    waits = bool(line and (call or ".wait(" in source))
    if stopped:
        text = f"rank {rank} is stopped by a signal"
    elif not line:
        text = f"rank {rank} does not answer"
    elif waits:
        text = f"rank {rank} is waiting {f'in {call} ' if call else ''}at {line}"
    else:
        text = f"rank {rank} is busy at {line}"
    return Failure(
        rank=rank,
        kind="stuck",
        cause="time ran out",
        line=line,
        text=f"{text}\n    {source}" if source else text,
        follows_another=waits,
    )


def operation(below: Sequence[Frame]) -> str:
    """Return the call of torch.distributed that the program made; "" if it made none.

    below: the frames that the last line of the program led to, outermost first.
    """
    moving = [
        name
        for file, _, name in below
        if re.search(r"torch/distributed/|world/(point_to_point|handles|control)", file)
    ]
    return next((name for name in moving if name not in ("wrapper", "_fn")), "")


def frames_of(dump: str) -> list[Frame]:
    """Return the frames of the program in a dump of faulthandler, outermost first.

    A dump of a deep stack holds only the innermost hundred frames.
    """
    found = re.findall(r'  File "(.*)", line (\d+) in (.*)', dump)
    return inside([(file, int(line), name) for file, line, name in reversed(found)])


def inside(frames: list[Frame]) -> list[Frame]:
    """Return the part of a stack that the running program began."""
    names = [short_path(file) for file, _, _ in frames]
    entry = [i for i, name in enumerate(names) if name == "dlsys_code/world/rank.py"]
    return frames[entry[-1] + 1 :] if entry else frames


def is_stopped(pid: int) -> bool:
    """Return whether a signal such as SIGSTOP holds the process (Linux only)."""
    if sys.platform != "linux":
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state == "T"


def compare_counts(replies: dict[int, Reply], diagnosis: Diagnosis) -> None:
    """Report the first message, in order of ranks, that has only one end.

    Whatever is left in a pipe between two ranks would answer the next call's receive.
    """
    channels = {c for r in replies.values() for c in (*+r.sent, *+r.received)}
    for channel in sorted(channels):
        sender, receiver = replies.get(channel.source), replies[channel.destination]
        sent = sender.sent[channel] if sender else 0
        received = receiver.received[channel]
        if sent != received:
            rank = channel.source if sent > received else channel.destination
            line = replies[rank].sites[channel]
            cause = one_end(channel, sent, received, line)
            diagnosis.failures[rank] = Failure(
                rank=rank, kind="unmatched", cause=cause, line=line
            )
            return
    compare_collectives(replies, diagnosis)


def one_end(channel: Channel, sent: int, received: int, line: str) -> str:
    """Say which end of a message is missing."""
    source, destination = f"rank {channel.source}", f"rank {channel.destination}"
    tagged = f" with tag {channel.tag}" if channel.tag else ""
    if channel.source == ANY:
        return f"{destination} expects one more{tagged} from any rank, at {line}"
    if sent > received:
        return (
            f"{source} sent {sent}{tagged} to {destination}, which received "
            f"{received}; the last was sent at {line}"
        )
    return (
        f"{destination} expects {received}{tagged} from {source}, which sent "
        f"{sent}; the last is expected at {line}"
    )


def compare_collectives(replies: dict[int, Reply], diagnosis: Diagnosis) -> None:
    """Record a failure if members of a group made different numbers of collectives."""
    groups = {g for reply in replies.values() for g in reply.collectives}
    for group in sorted(groups):
        counts = {rank: replies[rank].collectives[group] for rank in group.members}
        if len(set(counts.values())) > 1:
            most = max(counts, key=lambda rank: (counts[rank], -rank))
            line = replies[most].sites[group]
            shown = ", ".join(f"rank {r} made {n}" for r, n in counts.items())
            cause = f"of the collectives of one group {shown}; the last is at {line}"
            diagnosis.failures[most] = Failure(
                rank=most, kind="unmatched", cause=cause, line=line
            )
            return
