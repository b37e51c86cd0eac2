"""`check` and `hint`: what a reader calls for the exercises of every chapter."""

from collections.abc import Callable

from dlsys_code.book.exercises import (
    Exercise,
    Puzzle,
    Question,
    Verdict,
    judge_function,
    judge_number,
)
from dlsys_code.book.exercises_architecture import EXERCISES as ARCHITECTURE
from dlsys_code.book.exercises_communication import EXERCISES as COMMUNICATION
from dlsys_code.book.exercises_introduction import EXERCISES as INTRODUCTION
from dlsys_code.book.exercises_primitive import EXERCISES as PRIMITIVE
from dlsys_code.book.exercises_running import LIMIT_S, judge

EXERCISES: dict[str, Exercise] = INTRODUCTION | ARCHITECTURE | COMMUNICATION | PRIMITIVE


def check(name: str, answer: Callable | float, *, limit_s: float = LIMIT_S) -> Verdict:
    """Say whether an answer to the exercise of that name is right, and if not, why.

    answer: a program, mine(x, group) -> result, another function, or a number in the
    unit asked for.  limit_s: of one run of a program [s].
    Errors: ValueError for a name that is no exercise, TypeError for no function.
    """
    exercise = named(name)
    if isinstance(exercise, Question):
        return judge_number(exercise, answer)
    if not callable(answer):
        raise TypeError(f"{name} 要一个函数，不是 {answer!r}")
    if isinstance(exercise, Puzzle):
        return judge_function(exercise, answer)
    return judge(exercise, answer, limit_s=limit_s)


def hint(name: str, step: int = 1) -> str:
    """Return one hint; the next step says more.

    Errors: ValueError for a name that is no exercise, or a step that there is not.
    """
    hints = named(name).hints
    if not 1 <= step <= len(hints):
        raise ValueError(f"{name} 有 {len(hints)} 步提示，没有第 {step} 步")
    return f"提示 {step}/{len(hints)}：{hints[step - 1]}"


def named(name: str) -> Exercise:
    """Return the exercise of that name."""
    if name not in EXERCISES:
        raise ValueError(f"没有习题 {name}；有：{'、'.join(EXERCISES)}")
    return EXERCISES[name]
