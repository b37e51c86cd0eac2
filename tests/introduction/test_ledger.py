"""Every moment of a step is on one line of the ledger, and on the right one."""

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.introduction import average_gradients, ledger, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.world import Trace, compute, receive, send
from dlsys_code.world.journal import Event

SMALL = Recipe(model=GPTConfig(width=16, layers=1, heads=2, key_value_heads=1))


def event(rank: int, kind: str, start_s: float, end_s: float, **more) -> Event:
    op = more.pop("op", kind)
    group = more.pop("group", (0, 1))
    return Event(0, kind, op, rank, start_s, end_s, group=group, **more)


def optimizer(rank: int, end_s: float) -> Event:
    return event(rank, "compute", end_s - 1, end_s, op="optimizer")


def of_one_rank(*events: Event) -> ledger.Ledger:
    """A step from 10 s to 20 s, the last second of which is the update."""
    border = [optimizer(0, 10), optimizer(0, 20)]
    return ledger.of_trace(Trace([None], [*border, *events]))


def test_what_nobody_marks_is_other():
    step = of_one_rank(event(0, "compute", 11, 14))
    assert step == ledger.Ledger(compute_s=4, exposed_s=0, bubble_s=0, other_s=6)


def test_communication_behind_compute_is_not_counted():
    step = of_one_rank(
        event(0, "compute", 11, 14), event(0, "collective", 12, 16, group=(0,))
    )
    assert step == ledger.Ledger(compute_s=4, exposed_s=2, bubble_s=0, other_s=4)


def test_a_wait_within_a_span_is_not_compute():
    """As in tensor parallelism: the product after an all-reduce needs its result."""
    step = of_one_rank(
        event(0, "compute", 11, 18),
        event(0, "collective", 12, 16, group=(0,), wait_s=13),
    )
    assert step == ledger.Ledger(compute_s=5, exposed_s=3, bubble_s=0, other_s=2)


def test_a_wait_after_the_end_costs_nothing():
    step = of_one_rank(
        event(0, "compute", 11, 18),
        event(0, "collective", 12, 16, group=(0,), wait_s=17),
    )
    assert step == ledger.Ledger(compute_s=8, exposed_s=0, bubble_s=0, other_s=2)


def test_who_waits_within_a_span_for_one_who_comes_late_is_in_a_bubble():
    events = [
        *(optimizer(rank, 10) for rank in (0, 1)),
        event(0, "compute", 11, 18),
        event(0, "collective", 12, 17, wait_s=12),
        event(1, "collective", 15, 17, wait_s=15),
        *(optimizer(rank, 20) for rank in (0, 1)),
    ]
    (first,) = ledger.steps_of_rank(
        [e for e in events if e.rank == 0], ledger.ready_at(events)
    )
    assert first == ledger.Ledger(compute_s=3, exposed_s=2, bubble_s=3, other_s=2)


def test_a_span_within_a_span_is_counted_once():
    step = of_one_rank(event(0, "compute", 11, 15), event(0, "compute", 12, 13))
    assert step.compute_s == 5


def test_an_event_that_crosses_the_border_counts_inside_only():
    step = of_one_rank(event(0, "collective", 8, 12, group=(0,)))
    assert step.exposed_s == 2


def test_the_first_waits_for_the_last_and_then_both_communicate():
    events = []
    for rank, came in ((0, 11), (1, 15)):
        events += [
            optimizer(rank, 10),
            event(rank, "collective", came, 17),
            optimizer(rank, 20),
        ]
    first, second = (
        list(
            ledger.steps_of_rank(
                [e for e in events if e.rank == rank], ledger.ready_at(events)
            )
        )
        for rank in (0, 1)
    )
    assert first == [ledger.Ledger(compute_s=1, exposed_s=2, bubble_s=4, other_s=3)]
    assert second == [ledger.Ledger(compute_s=1, exposed_s=2, bubble_s=0, other_s=7)]
    mean = ledger.of_trace(Trace([None, None], events))
    assert mean == (first[0] + second[0]) / 2


def test_a_receive_waits_for_its_sender():
    events = [
        optimizer(0, 10),
        event(0, "recv", 11, 16, peer=1),
        optimizer(0, 20),
        optimizer(1, 10),
        event(1, "send", 14, 16, peer=0),
        optimizer(1, 20),
    ]
    mean = ledger.of_trace(Trace([None, None], events))
    assert (mean.bubble_s, mean.exposed_s) == (3 / 2, (2 + 2) / 2)


def test_collectives_of_different_groups_do_not_meet():
    events = [
        event(0, "collective", 1, 2, group=(0, 1)),
        event(1, "collective", 5, 6, group=(0, 1)),
        event(0, "collective", 3, 4, group=(0,)),
    ]
    assert list(ledger.ready_at(events).values()) == [5, 5, 3]


def test_the_step_is_the_median_one():
    ends = [0, 10, 12, 40, 43]  # steps of 10, 2, 28 and 3 seconds
    step = ledger.of_trace(Trace([None], [optimizer(0, end) for end in ends]))
    assert step.step_s == 3


times = st.integers(0, 100).map(float)
spans = st.tuples(st.sampled_from(["compute", "collective"]), times, times, times)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(spans, max_size=8))
def test_the_lines_add_up_to_the_step(drawn):
    events = [
        event(0, kind, min(a, b), max(a, b), group=(0,), op="work", wait_s=wait)
        for kind, a, b, wait in drawn
    ]
    borders = [optimizer(0, 1), optimizer(0, 90)]
    step = ledger.of_trace(Trace([None], [*borders, *events]))
    assert step.step_s == 89
    assert min(vars(step).values()) >= 0


def test_fewer_than_two_steps_are_refused():
    with pytest.raises(ValueError, match=r"two steps or more.*not \[1\]"):
        ledger.of_trace(Trace([None], [optimizer(0, 1)]))


def two_steps():
    text, group = tokens.documentation(), dist.group.WORLD
    return list(average_gradients.train(SMALL, text, group, steps=2))


@pytest.mark.parametrize("p", [1, 2, 4])
def test_a_recorded_run_has_a_ledger(world, p):
    trace = world(p).trace(two_steps)
    step = ledger.of_trace(trace)
    ends = [
        [e.end_s for e in trace.events if e.rank == r and e.op == "optimizer"]
        for r in range(p)
    ]
    assert step.step_s == pytest.approx(sum(b - a for a, b in ends) / p)
    assert min(vars(step).values()) >= 0
    assert step.compute_s > 0 and step.exposed_s > 0


def passed_on():
    group = dist.group.WORLD
    for _ in range(2):
        if group.rank() == 0:
            send(torch.ones(4), group, to=1)
        else:
            receive(torch.ones(4), group, source=0)
        with compute(ledger.LAST):
            pass


def test_point_to_point_is_on_the_ledger_too(world):
    step = ledger.of_trace(world(2).trace(passed_on))
    assert step.exposed_s > 0
