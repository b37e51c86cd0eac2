"""`check` and `hint`: what a reader calls for the exercises of every chapter."""

from collections.abc import Callable
from difflib import get_close_matches

from dlsys_code.book.exercises import Exercise, Puzzle, Question, Verdict
from dlsys_code.book.exercises_architecture import EXERCISES as ARCHITECTURE
from dlsys_code.book.exercises_communication import EXERCISES as COMMUNICATION
from dlsys_code.book.exercises_functions import judge_function
from dlsys_code.book.exercises_introduction import EXERCISES as INTRODUCTION
from dlsys_code.book.exercises_numbers import judge_number
from dlsys_code.book.exercises_primitive import EXERCISES as PRIMITIVE
from dlsys_code.book.exercises_running import LIMIT_S, judge
from dlsys_code.book.exercises_system import EXERCISES as SYSTEM
from dlsys_code.world.pool import checked_limit_s

EXERCISES: dict[str, Exercise] = (
    INTRODUCTION | ARCHITECTURE | COMMUNICATION | PRIMITIVE | SYSTEM
)


def check(name: str, answer: Callable | float, *, limit_s: float = LIMIT_S) -> Verdict:
    """Say whether an answer to the exercise of that name is right, and if not, why.

    answer: a program, mine(x, group) -> result, another function, or a number in the
    unit asked for.  limit_s: of one run of a program, or one call of a function [s].
    Errors: ValueError for a name that is no exercise, or a limit that is none.
    """
    exercise, limit_s = named(name), checked_limit_s(limit_s)
    if isinstance(exercise, Question):
        return judge_number(exercise, answer)
    if not callable(answer):
        return Verdict(False, [f"{name} 要一个函数，不是 {answer!r}"])
    if isinstance(exercise, Puzzle):
        return judge_function(exercise, answer, limit_s=limit_s)
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
    if name in EXERCISES:
        return EXERCISES[name]
    near = get_close_matches(str(name), EXERCISES, cutoff=0.5)
    more = f"最像的是 {'、'.join(near)}" if near else "名字写在题号后面"
    raise ValueError(f"没有习题 {name}；{more}")
