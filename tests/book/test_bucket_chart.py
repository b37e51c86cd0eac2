"""What hides and what shows; gradients that are there and gradients that are sent."""

import torch
import torch.distributed as dist

from dlsys_code.book.bucket_chart import Span, lines, ready_and_sent, spans, stairs_of
from dlsys_code.system.bucket_overlap import travels
from dlsys_code.world import compute

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
    drawn = lines({"all at once": PLAN, "buckets": PLAN}, alt=ALT)
    assert drawn.svg == lines({"all at once": PLAN, "buckets": PLAN}, alt=ALT).svg
    for text in ("all at once", "buckets", "backward", "hidden", "exposed"):
        assert f"<!-- {text} -->" in drawn.svg


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
