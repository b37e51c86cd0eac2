"""What section 05.2's exercises hold against an answer, by hand and by real steps."""

from contextlib import nullcontext
from math import ceil

import cloudpickle
import mistakes_system_zero
import pytest
from mistakes_system_zero import SAID
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.book import exercises_running
from dlsys_code.book import exercises_system_zero_counts as zero
from dlsys_code.book.exercises import Puzzle, Verdict
from dlsys_code.book.exercises_functions import judge_function
from dlsys_code.book.exercises_numbers import judge_number
from dlsys_code.book.exercises_running import judge
from dlsys_code.book.exercises_system_zero import EXERCISES
from dlsys_code.world import shift

cloudpickle.register_pickle_by_value(mistakes_system_zero)  # as a notebook's functions


def square_of_norm(x: Tensor, group: ProcessGroup) -> Tensor:
    total = passing = x.square().sum().view(1)
    for _ in range(group.size() - 1):
        passing = shift(passing, group)
        total = total + passing
    return total


RIGHT = {
    "pieces": lambda sizes, p, r: zero.pieces(sizes, p, r),
    "bytes_of_a_step": lambda *step: zero.bytes_of_a_step(*step),
    "gather_order": lambda units: zero.gather_order(units),
    "inside_and_between": lambda n, g, R: zero.inside_and_between(n, g, R),
    "square_of_norm": square_of_norm,
}


def verdict(name: str, answer: object) -> Verdict:
    exercise = EXERCISES[name]
    if isinstance(exercise, Puzzle):
        return judge_function(exercise, answer, limit_s=10)
    return judge(exercise, answer, limit_s=10)


@pytest.fixture
def warm(world, monkeypatch):
    """Keep the worlds of all tests open from judgement to judgement."""
    monkeypatch.setattr(
        exercises_running, "World", lambda p, device: nullcontext(world(p))
    )


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.usefixtures("warm")
def test_right_answers_are_right(name):
    assert verdict(name, RIGHT[name]).right


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("noted", SAID, ids=lambda noted: noted.mine.__name__)
def test_wrong_answers_are_told_why(noted):
    found = verdict(noted.exercise, noted.mine)
    assert not found.right
    for said in noted.said:
        assert said in str(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [("shard_gigabytes", 13 * (2 + 14 / 8)), ("ranks_that_fit", ceil(70 * 16 / 40))],
)
def test_the_numbers_by_hand(name, value):
    question = EXERCISES[name]
    assert judge_number(question, value).right
    for wrong, said in question.near.items():
        found = judge_number(question, wrong)
        assert not found.right
        assert said in str(found)


def test_the_pieces_of_all_ranks_are_the_weights_once():
    for sizes, p, _ in zero.CUTS:
        everyone = [zero.pieces(sizes, p, r) for r in range(p)]
        whole = [(w, i) for w, size in enumerate(sizes) for i in range(size)]
        found = [(w, i) for own in everyone for w, a, b in own for i in range(a, b)]
        assert found == whole


def test_every_hint_is_there():
    assert all(exercise.hints for exercise in EXERCISES.values())
    assert len(EXERCISES) == 7
