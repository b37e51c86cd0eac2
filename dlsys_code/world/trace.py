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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from itertools import pairwise
from math import inf
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

        Errors: ValueError if a message has only one end in the trace, or if messages
        with several tags cross so that they have no steps.
        """
        pairs = pair_ends(self.events)
        steps = one_port_steps(self.events, pairs)
        return sorted(
            Message(step, sent.rank, received.rank, sent.bytes)
            for step, (sent, received) in zip(steps, pairs, strict=True)
        )

    def bytes_sent(self) -> list[int]:
        """Return the bytes that each rank sent point to point."""
        total = [0] * len(self.results)
        for event in self.events:
            total[event.rank] += event.bytes if event.kind == "send" else 0
        return total

    def save(self, path: str | Path) -> Path:
        """Write the trace in the Chrome format; open it in Perfetto or chrome://tracing.

        Every rank is a group of rows, one for each thing that it does at the same time;
        an arrow joins the two ends of a message.
        """
        path = Path(path)
        path.write_text(json.dumps({"traceEvents": list(chrome_rows(self.events))}))
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
) -> list[int]:
    """Return the step of each pair, the two ends of a message.

    A message goes one step after the latest message that its sender or its receiver
    was busy with before: an earlier one in the same direction, or one that had ended.
    """
    number = {id(end): n for n, pair in enumerate(pairs) for end in pair}
    needs: dict[int, set[int]] = {n: set() for n in range(len(pairs))}
    of_rank: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if id(event) in number:
            of_rank[event.rank].append(event)
    for ends in of_rank.values():
        for event, before in busy_before(ends):
            needs[number[id(event)]].add(number[id(before)])
    steps: dict[int, int] = {}
    try:
        for n in TopologicalSorter(needs).static_order():
            steps[n] = 1 + max((steps[m] for m in needs[n]), default=-1)
    except CycleError:
        raise ValueError(
            "this run has no steps: a rank waited for messages in another order than "
            "they were sent in; look at its events instead"
        ) from None
    return [steps[n] for n in range(len(pairs))]


def busy_before(ends: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    """Yield each message end of one rank with the latest ones that it comes after.

    A send comes after the one begun before it, a receive after the one that ended
    before it, for receives may be begun early; either comes after the last one begun in
    the other direction among those that had ended.
    """
    sends = [event for event in ends if event.kind == "send"]
    receives = [event for event in ends if event.kind == "recv"]
    receives.sort(key=lambda event: inf if event.end_s is None else event.end_s)
    for row in (sends, receives):
        for before, event in pairwise(row):
            yield event, before
    over: dict[str, Event] = {}  # the last one begun of those that had ended
    running: dict[str, list[tuple[float, int, Event]]] = {"send": [], "recv": []}
    for event in ends:
        other = "recv" if event.kind == "send" else "send"
        while running[other] and running[other][0][0] <= event.start_s:
            _, _, ended = heappop(running[other])
            if other not in over or over[other].seq < ended.seq:
                over[other] = ended
        if other in over:
            yield event, over[other]
        if event.end_s is not None:
            heappush(running[event.kind], (event.end_s, event.seq, event))


def chrome_rows(events: Sequence[Event]) -> Iterator[dict]:
    """Yield the events in the Chrome trace format: a process per rank, times in us."""
    zero_s = min((e.start_s for e in events), default=0.0)
    for rank in sorted({e.rank for e in events}):
        about = {"ph": "M", "pid": rank}
        yield about | {"name": "process_name", "args": {"name": f"rank {rank}"}}
        yield about | {"name": "process_sort_index", "args": {"sort_index": rank}}
    lanes = lanes_of(events)
    for e in events:
        yield {
            "ph": "X",
            "pid": e.rank,
            "tid": lanes[id(e)],
            "cat": e.kind,
            "name": f"{e.label} {e.op}".strip(),
            "ts": (e.start_s - zero_s) * 1e6,
            "dur": (end_of(e) - e.start_s) * 1e6,
            "args": {"bytes": e.bytes, "dtype": e.dtype, "peer": e.peer, "at": e.site},
        }
    for number, (sent, received) in enumerate(pair_ends(events)):
        arrow = {"cat": "message", "name": "message", "id": number}
        tail = {"ph": "s", "pid": sent.rank, "tid": lanes[id(sent)]}
        head = {"ph": "f", "bp": "e", "pid": received.rank, "tid": lanes[id(received)]}
        # The head must lie inside its slice: halfway between send and arrival at most.
        arrival_s = max(received.start_s, (sent.start_s + end_of(received)) / 2)
        yield arrow | tail | {"ts": (sent.start_s - zero_s) * 1e6}
        yield arrow | head | {"ts": (arrival_s - zero_s) * 1e6}


def end_of(event: Event) -> float:
    """Return when an event ended [s]; its start if nobody waited for its end."""
    return event.start_s if event.end_s is None else event.end_s


def lanes_of(events: Sequence[Event]) -> dict[int, int]:
    """Return the row of each event, keyed by id(), so that slices of a row nest."""
    lanes: dict[int, int] = {}
    open_ends: dict[int, list[list[float]]] = defaultdict(list)  # rank -> row -> ends
    for event in sorted(events, key=lambda e: (e.rank, e.start_s, -end_of(e))):
        rows = open_ends[event.rank]
        for row in rows:
            while row and row[-1] <= event.start_s:
                row.pop()
        fits = (n for n, row in enumerate(rows) if not row or row[-1] >= end_of(event))
        lane = next(fits, len(rows))
        if lane == len(rows):
            rows.append([])
        rows[lane].append(end_of(event))
        lanes[id(event)] = lane
    return lanes
