"""Plans put one after the other, and plans of a group on the ranks of all."""

from dlsys_code.communication.plan import in_turn, on_ranks
from dlsys_code.world import Message


def test_the_second_plan_starts_when_the_first_has_ended():
    first = [Message(0, 0, 1, 8), Message(1, 1, 2, 8)]
    second = [Message(0, 2, 0, 4)]
    assert in_turn(first, second) == [*first, Message(2, 2, 0, 4)]
    assert in_turn(second, first) == [
        Message(0, 2, 0, 4),
        Message(1, 0, 1, 8),
        Message(2, 1, 2, 8),
    ]


def test_an_empty_plan_takes_no_step():
    plan = [Message(0, 0, 1, 8)]
    assert in_turn([], plan, [], plan) == [Message(0, 0, 1, 8), Message(1, 0, 1, 8)]
    assert in_turn() == []


def test_a_plan_takes_the_ranks_of_its_group():
    assert on_ranks([5, 3], [Message(2, 0, 1, 8)]) == [Message(2, 5, 3, 8)]
