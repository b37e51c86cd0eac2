"""What section 3 of chapter 5 holds against an answer, and what it says of mistakes."""

import mistakes_system_tensor as mistakes
import pytest

from dlsys_code.book import exercises_system_tensor_checks as checks
from dlsys_code.book.check import check, hint
from dlsys_code.book.exercises import Question
from dlsys_code.book.exercises_system_tensor import EXERCISES


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answers_are_right(name):
    verdict = check(name, mistakes.RIGHT[name])
    assert verdict.right, verdict
    assert hint(name) and EXERCISES[name].hints


@pytest.mark.parametrize("case", mistakes.SAID, ids=lambda case: case.mine.__name__)
def test_mistakes_are_called_by_their_names(case):
    verdict = check(case.exercise, case.mine)
    assert not verdict.right
    for said in case.said:
        assert said in str(verdict)


@pytest.mark.parametrize(
    "name", [n for n, e in EXERCISES.items() if isinstance(e, Question)]
)
def test_near_misses_of_numbers_say_what_was_overlooked(name):
    question = EXERCISES[name]
    for number, said in question.near.items():
        assert said in str(check(name, number))
    assert not check(name, 3 * question.value).right


def test_the_numbers_by_hand():
    assert EXERCISES["tensor_sends"].value == pytest.approx(15.032385536)
    assert EXERCISES["logits_or_three"].value == 21376


def test_the_layers_have_three_answers():
    best = [mistakes.RIGHT["fastest_degree"](*case) for case in checks.LAYERS]
    assert best == [8, 8, 64, 1, 64, 4]
