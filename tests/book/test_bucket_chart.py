"""What hides and what shows; gradients that are there and gradients that are sent."""

import torch
import torch.distributed as dist

from dlsys_code.book.bucket_chart import (
    Span,
    lines,
    ready_and_sent,
    spans,
    spans_of,
    stairs_of,
)
from dlsys_code.system.bucket_overlap import travels
from dlsys_code.world import compute
from dlsys_code.world.journal import Event

ALT = "两行横条：上面一行先算完再发，下面一行边算边发"
PLAN = travels([2, 4, 4], backward_s=10.0, price=lambda n: 1.0 + 0.5 * n)


def test_what_travels_after_backward_is_exposed():
    found = [span for span in spans(PLAN) if span.start_s < span.end_s]
    assert found == [
        Span("backward", 0.0, 2.0),
        Span("hidden", 2.0, 4.0),
        Span("backward", 2.0, 6.0),
        Span("hidden", 6.0, 9.0),
        Span("backward", 6.0, 10.0),
        Span("exposed", 10.0, 13.0),
    ]
    late = travels([1, 9], backward_s=10.0, price=lambda n: 10.0)
    cut = [span for span in spans(late) if span.kind != "backward"]
    assert cut == [
        Span("hidden", 1.0, 10.0),
        Span("exposed", 10.0, 11.0),
        Span("hidden", 11.0, 11.0),
        Span("exposed", 11.0, 21.0),
    ]


def test_a_plan_is_drawn_alike_every_time():
    def panels() -> dict:
        return {"all at once": spans(PLAN), "buckets": spans(PLAN)}

    drawn = lines(panels(), alt=ALT)
    assert drawn.svg == lines(panels(), alt=ALT).svg
    for text in ("all at once", "buckets", "backward", "hidden", "exposed"):
        assert f"<!-- {text} -->" in drawn.svg


def test_a_record_begins_with_its_last_backward():
    def event(op: str, start_s: float, end_s: float) -> Event:
        return Event(0, "any", op, 0, start_s, end_s)

    record = [
        event("backward", 1.0, 2.0),
        event("all_reduce", 1.5, 3.0),
        event("backward", 10.0, 20.0),
        event("all_reduce", 12.0, 14.0),
        event("all_reduce", 19.0, 23.0),
    ]
    found = [span for span in spans_of(record) if span.start_s < span.end_s]
    assert found == [
        Span("backward", 0.0, 10.0),
        Span("hidden", 2.0, 4.0),
        Span("hidden", 9.0, 10.0),
        Span("exposed", 10.0, 13.0),
    ]


def two_gradients() -> None:
    for name in ("b", "a"):
        with compute(name):
            pass
        if name == "b":
            dist.all_reduce(torch.ones(3))
    with compute("something else"):
        dist.all_reduce(torch.ones(2))


def test_stairs_follow_the_order_of_events(world):
    trace = world(2).trace(two_gradients)
    for r in range(2):
        mine = [event for event in trace.events if event.rank == r]
        there, sent = stairs_of(mine, {"a": 8, "b": 12})
        assert there == [0, 12, 12, 20, 20]
        assert sent == [0, 0, 12, 12, 20]


def test_stairs_are_drawn_alike_every_time():
    runs = {"after": ([0, 12, 20, 20], [0, 0, 0, 20]), "during": ([0, 12], [0, 12])}
    drawn = ready_and_sent(runs, alt=ALT)
    assert drawn.svg == ready_and_sent(runs, alt=ALT).svg
    for text in ("after", "during", "there", "sent", "event of rank 0"):
        assert f"<!-- {text} -->" in drawn.svg
