"""What the ranks did during a call: messages, collectives and marked compute.

`World.trace` runs a program and returns a `Trace`: the results, and every event of
every rank on one clock.  Two views of the same run::

    trace.events       with times: who waited, what overlapped    -> save() for Perfetto
    trace.messages()   without times: who sent what in which step -> exact, comparable

A step is what one-port ranks could do at once: a rank sends one message and receives
one per step, and passes on only what an earlier step has brought.  Steps follow from
the order of each program alone, so they are the same on every run.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dlsys_code.world.journal import Channel, Event


class Message(NamedTuple):
    """One message of a run or of a plan.  step counts from 0."""

    step: int
    source: int
    destination: int
    bytes: int


@dataclass(frozen=True)
class Trace:
    """One recorded call.  results: in rank order.  events: by rank, then by start."""

    results: list
    events: Sequence[Event] = field(repr=False)

    def messages(self) -> list[Message]:
        """Return the messages sent point to point, by step, then by source.

        Errors: ValueError if a message has only one end in the trace.
        """
        pairs = pair_ends(self.events)
        steps = one_port_steps(self.events, pairs)
        found = [
            Message(steps[id(sent)], sent.rank, received.rank, sent.bytes)
            for sent, received in pairs
        ]
        return sorted(found)

    def bytes_sent(self) -> list[int]:
        """Return the bytes that each rank sent point to point."""
        total = [0] * len(self.results)
        for event in self.events:
            total[event.rank] += event.bytes if event.kind == "send" else 0
        return total

    def save(self, path: str | Path) -> Path:
        """Write the trace in the Chrome format; open it in Perfetto or chrome://tracing.

        Every rank is a row; an arrow joins the two ends of a message.
        """
        path = Path(path)
        path.write_text(json.dumps({"traceEvents": chrome_events(self.events)}))
        return path


def pair_ends(events: Sequence[Event]) -> list[tuple[Event, Event]]:
    """Join the k-th send on every channel with its k-th receive."""
    ends: dict[Channel, tuple[list[Event], list[Event]]] = defaultdict(lambda: ([], []))
    for event in events:
        group = str(event.group)
        if event.kind == "send":
            ends[Channel(group, event.rank, event.peer, event.tag)][0].append(event)
        elif event.kind == "recv":
            ends[Channel(group, event.peer, event.rank, event.tag)][1].append(event)
    for channel, (sent, received) in ends.items():
        if len(sent) != len(received):
            raise ValueError(
                f"rank {channel.source} sent {len(sent)} messages to rank "
                f"{channel.destination}, which received {len(received)}"
            )
    return [
        pair
        for sent, received in ends.values()
        for pair in zip(sent, received, strict=True)
    ]


def one_port_steps(
    events: Sequence[Event], pairs: Sequence[tuple[Event, Event]]
) -> dict[int, int]:
    """Return the step of each message, keyed by id() of its sending event.

    A message goes one step after the latest message that its sender or its receiver
    was busy with before: an earlier one in the same direction, or one that had ended.
    """
    other_end = {id(a): b for a, b in pairs} | {id(b): a for a, b in pairs}
    per_rank: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if id(event) in other_end:
            per_rank[event.rank].append(event)
    steps: dict[int, int] = {}

    def before(event: Event) -> list[Event]:
        return [
            e
            for e in per_rank[event.rank][: per_rank[event.rank].index(event)]
            if e.kind == event.kind
            or (e.end_s is not None and e.end_s <= event.start_s)
        ]

    waiting = [sent for sent, _ in pairs]
    while waiting:
        later = []
        for sent in waiting:
            needed = before(sent) + before(other_end[id(sent)])
            sends = [e if e.kind == "send" else other_end[id(e)] for e in needed]
            if all(id(e) in steps for e in sends):
                steps[id(sent)] = 1 + max((steps[id(e)] for e in sends), default=-1)
            else:
                later.append(sent)
        if len(later) == len(waiting):
            raise ValueError("the messages of this trace wait for one another")
        waiting = later
    return steps


def chrome_events(events: Sequence[Event]) -> list[dict]:
    """Return the events in the Chrome trace format: one row per rank, times in us."""
    start = min((e.start_s for e in events), default=0.0)
    rows: list[dict] = [
        {
            "ph": "M",
            "name": "thread_name",
            "pid": 0,
            "tid": r,
            "args": {"name": f"rank {r}"},
        }
        for r in sorted({e.rank for e in events})
    ]
    for e in events:
        end_s = e.start_s if e.end_s is None else e.end_s
        rows.append(
            {
                "ph": "X",
                "pid": 0,
                "tid": e.rank,
                "cat": e.kind,
                "name": f"{e.label} {e.op}".strip(),
                "ts": (e.start_s - start) * 1e6,
                "dur": (end_s - e.start_s) * 1e6,
                "args": {
                    "bytes": e.bytes,
                    "dtype": e.dtype,
                    "peer": e.peer,
                    "at": e.site,
                },
            }
        )
    for number, (sent, received) in enumerate(pair_ends(events)):
        arrow = {"cat": "message", "name": "message", "id": number, "pid": 0}
        received_s = received.start_s if received.end_s is None else received.end_s
        rows.append(
            arrow | {"ph": "s", "tid": sent.rank, "ts": (sent.start_s - start) * 1e6}
        )
        rows.append(
            arrow
            | {
                "ph": "f",
                "bp": "e",
                "tid": received.rank,
                "ts": (received_s - start) * 1e6,
            }
        )
    return rows
