"""What section 05.4's exercises hold against an answer."""

import pytest
import torch
from mistakes_system_context import SAID, swapped
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.book import exercises_system_context as context
from dlsys_code.book.check import check
from dlsys_code.system.context_parallel import busiest, contiguous, zigzag


@pytest.mark.parametrize("answer", SAID, ids=lambda answer: answer.mine.__name__)
def test_a_wrong_answer_is_told_what_is_wrong(answer):
    verdict = check(answer.exercise, answer.mine)
    assert not verdict.right
    for said in answer.said:
        assert said in repr(verdict)


def own_heads(x: Tensor, group: ProcessGroup) -> Tensor:
    return torch.cat([piece.view(2, -1) for piece in swapped(x, group)], 1).flatten()


def in_lockstep(held: list[list[int]]) -> int:
    p = len(held)
    return sum(
        max(sum(q >= k for q in held[r] for k in held[r - i]) for r in range(p))
        for i in range(p)
    )


def test_right_answers_are_right():
    answers = {
        "merge_two": lambda *blocks: context.merged(*blocks),
        "early_and_late": lambda T, p, r: zigzag(T, p, r).tolist(),
        "in_lockstep": in_lockstep,
        "own_heads": own_heads,
        "ulysses_from": 8,
        "ring_megabytes": 15 * 2 * 8 * 8192 * 128 * 2 / 1e6,
        "fewest_bytes": lambda *sizes: context.fewest(*sizes),
    }
    assert answers.keys() == context.EXERCISES.keys()
    for name, answer in answers.items():
        verdict = check(name, answer)
        assert verdict.right, verdict


@pytest.mark.parametrize("layout", [contiguous, zigzag])
def test_the_pairs_in_turn_are_those_of_the_section(layout):
    held = [layout(24, 4, r).tolist() for r in range(4)]
    assert context.in_lockstep(held) == busiest(24, 4, layout)


def test_near_misses_are_told_apart_from_the_answer():
    for exercise in (context.EXERCISES[n] for n in ("ring_megabytes", "ulysses_from")):
        assert all(abs(near - exercise.value) > 1e-2 * near for near in exercise.near)


@pytest.mark.parametrize(
    ("held", "turns"),
    [([[3, 4], [2, 5], [0, 1]], 11), ([[2, 7], [3, 6], [4, 5], [0, 1]], 15)],
)
def test_the_busiest_rank_of_a_step_need_not_be_that_of_another(held, turns):
    assert context.in_lockstep(held) == turns
    assert (held,) in context.some_held()


def test_where_two_ways_send_as_much_either_is_right():
    costs = context.possible(4, 4, 2)
    assert costs["gathered"] == costs["Ulysses"] < costs["ring"]
    assert not any(context.fault_of_choice(way, 4, 4, 2) for way in list(costs)[1:])
