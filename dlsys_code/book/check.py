"""`check` and `hint`: what a reader calls for the exercises of every chapter."""

from dlsys_code.book.exercises import Program, Question, Task, Verdict, answer_to, judge
from dlsys_code.book.exercises_primitive import EXERCISES as PRIMITIVE

EXERCISES: dict[str, Task | Question] = {**PRIMITIVE}


def check(name: str, answer: Program | float) -> Verdict:
    """Say whether an answer to the exercise of that name is right, and if not, why.

    answer: a program, mine(x, group) -> result, or a number in the unit asked for.
    Errors: ValueError for a name that is no exercise, TypeError for no program.
    """
    exercise = named(name)
    if isinstance(exercise, Question):
        return answer_to(exercise, answer)
    if not callable(answer):
        raise TypeError(f"{name} 要一个函数 mine(x, group)，不是 {answer!r}")
    return judge(exercise, answer)


def hint(name: str, step: int = 1) -> str:
    """Return one hint; the next step says more.

    Errors: ValueError for a name that is no exercise, or a step that there is not.
    """
    hints = named(name).hints
    if not 1 <= step <= len(hints):
        raise ValueError(f"{name} 有 {len(hints)} 步提示，没有第 {step} 步")
    return f"提示 {step}/{len(hints)}：{hints[step - 1]}"


def named(name: str) -> Task | Question:
    """Return the exercise of that name."""
    if name not in EXERCISES:
        raise ValueError(f"没有习题 {name}；有：{'、'.join(EXERCISES)}")
    return EXERCISES[name]
