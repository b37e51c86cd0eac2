"""The ledger of one step: where its time goes, the same four lines in every chapter.

At every moment of a step a rank does one of four things::

    compute    it is inside a span that the program marks, compute("forward") and so on,
               and waits for nobody
    exposed    it communicates, all who take part are there, and it computes nothing
    bubble     it waits in a call for a rank that has not come yet, and computes nothing
    other      none of these: the program itself, copies, reading the data

The four add up to the time of the step.  Communication behind compute is not counted:
it costs nothing, until the program waits for its end, also inside a span.  A step ends
where the span "optimizer" ends; the first one also pays for buffers and caches and is
left out.

Source: this book; the trace has what it needs, see `world.trace`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from dlsys_code.world import Trace
from dlsys_code.world.journal import Event
from dlsys_code.world.trace import pair_ends

LAST = "optimizer"  # the span that ends a step
TALK = ("collective", "send", "recv")


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The time of one step by what it was spent on, as the mean over the ranks [s]."""

    compute_s: float
    exposed_s: float
    bubble_s: float
    other_s: float

    @property
    def step_s(self) -> float:
        """The time of the whole step [s]."""
        return self.compute_s + self.exposed_s + self.bubble_s + self.other_s

    def __add__(self, more: "Ledger") -> "Ledger":
        """Return the sum, line by line."""
        return Ledger(**{line: t + vars(more)[line] for line, t in vars(self).items()})

    def __truediv__(self, by: float) -> "Ledger":
        """Return every line divided by a number."""
        return Ledger(**{line: t / by for line, t in vars(self).items()})


def of_trace(trace: Trace) -> Ledger:
    """Return the ledger of the median step of a recorded run.

    Errors: ValueError unless every rank has marked the same number of steps, at least
    two, with the span "optimizer".
    """
    ready = ready_at(trace.events)
    ranks = [
        list(steps_of_rank([e for e in trace.events if e.rank == rank], ready))
        for rank in range(len(trace.results))
    ]
    counts = {len(steps) for steps in ranks}
    if len(counts) != 1 or counts <= {0}:
        raise ValueError(
            f'a ledger needs two steps or more that end with the span "{LAST}" on '
            f"every rank, not {[1 + len(steps) for steps in ranks]}"
        )
    none = Ledger(compute_s=0.0, exposed_s=0.0, bubble_s=0.0, other_s=0.0)
    means = [sum(same, none) / len(same) for same in zip(*ranks, strict=True)]
    middle = median_low(step.step_s for step in means)
    return next(step for step in means if step.step_s == middle)


def ready_at(events: Sequence[Event]) -> dict[int, float]:
    """Return id(event) -> when the last rank that a call waits for had come [s]."""
    meetings = [list(pair) for pair in pair_ends(events)]
    turns: dict[tuple, list[Event]] = defaultdict(list)
    made: dict[tuple, int] = defaultdict(int)
    for event in events:
        if event.kind == "collective":
            mine = (event.group, event.rank)
            turns[event.group, made[mine]].append(event)  # the k-th of each rank meet
            made[mine] += 1
    return {
        id(event): max(one.start_s for one in meeting)
        for meeting in [*meetings, *turns.values()]
        for event in meeting
    }


def steps_of_rank(events: Sequence[Event], ready: dict[int, float]) -> Iterator[Ledger]:
    """Yield the ledger of every step of one rank but the first."""
    ended = [e for e in events if e.end_s is not None]
    borders = [e.end_s for e in ended if e.kind == "compute" and e.op == LAST]
    for start_s, end_s in pairwise(borders):
        inside = [e for e in ended if e.end_s > start_s and e.start_s < end_s]
        yield sorted_out(inside, ready, start_s, end_s)


def sorted_out(
    events: Sequence[Event], ready: dict[int, float], start_s: float, end_s: float
) -> Ledger:
    """Return the ledger of one stretch of time of one rank."""
    computing = [(e.start_s, e.end_s) for e in events if e.kind == "compute"]
    talking = [e for e in events if e.kind in TALK]
    moving = [(max(e.start_s, ready[id(e)]), e.end_s) for e in talking]
    waiting = [(e.start_s, ready[id(e)]) for e in talking]
    held_up = [
        (e.wait_s, ready[id(e)], e.end_s) for e in talking if e.wait_s is not None
    ]
    lines = [  # the first that covers a moment has it
        ("bubble_s", [(wait, min(there, end)) for wait, there, end in held_up]),
        ("exposed_s", [(max(wait, there), end) for wait, there, end in held_up]),
        ("compute_s", computing),
        ("exposed_s", moving),
        ("bubble_s", waiting),
        ("other_s", [(start_s, end_s)]),
    ]
    marks = {start_s, end_s, *(t for _, spans in lines for span in spans for t in span)}
    spent = dict.fromkeys(("compute_s", "exposed_s", "bubble_s", "other_s"), 0.0)
    for a, b in pairwise(sorted(t for t in marks if start_s <= t <= end_s)):
        name = next(
            name for name, spans in lines if any(s <= a and b <= e for s, e in spans)
        )
        spent[name] += b - a
    return Ledger(**spent)
