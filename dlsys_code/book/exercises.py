"""Exercises that a machine checks: `check(name, answer)` says what is right or wrong.

An exercise asks for a program, a function or a number::

    check("all_reduce", mine)      mine(x, group) -> result, run on real ranks
    check("choose", mine)          mine(...) -> answer, called here
    check("ring_bytes", 140e6)     a number in the unit that the question names
    hint("all_reduce")             one step of help; hint("all_reduce", 2) the next

This module says what an exercise is, `exercises_running` runs a program on its ranks
and `exercises_diagnosis` says in Chinese what is wrong with the outcome.  The exercises
themselves stand in a module for each chapter, `check` and `hint` in `check`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.communication.cost import Cost
from dlsys_code.primitive.contenders import Answer
from dlsys_code.world import Trace

Program = Callable[[Tensor, ProcessGroup], Tensor]
Call = Callable[[Program, Tensor, ProcessGroup], Tensor]  # how a rank runs a program
Price = Callable[[int, int, int], Cost]  # p, elements, bytes of one
Look = Callable[[Trace], Sequence[str]]  # what a run shows, in Chinese; nothing if well


def plainly(mine: Program, x: Tensor, group: ProcessGroup) -> Tensor:
    """Call a program on this rank."""
    return mine(x, group)


def nothing_more(trace: Trace) -> list[str]:
    """Ask no more of a run."""
    return []


@dataclass(frozen=True, kw_only=True)
class Task:
    """A program to write.

    sizes: (ranks, elements on each) to try; what a half-right program can do comes
    first, so that the verdict can say where it stops.  answer: what a rank must return,
    from the inputs of all, as in a race.  most: the cost that is still right.  least: a
    bound that no program beats.  hints: in Chinese, each one says more.  call: how a
    rank calls the program.  one_at_a_time: a rank may not send while it receives.
    pattern: says how a right program's messages do not go as they should.
    """

    sizes: Sequence[tuple[int, int]]
    answer: Answer
    most: Price
    least: Price
    hints: Sequence[str]
    call: Call = plainly
    one_at_a_time: bool = False
    pattern: Look = nothing_more


@dataclass(frozen=True, kw_only=True)
class Puzzle:
    """A function to write that needs no ranks.

    cases: makes the arguments to try.  fault: what is wrong with the answer to one of
    them, in Chinese; "" for a right answer.  shown: the arguments of a case, for the
    reader.
    """

    cases: Callable[[], Sequence[tuple]]
    fault: Callable[..., str]
    shown: Callable[..., str]
    hints: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Question:
    """A number to find.  near: wrong answers that say what was overlooked."""

    value: float
    unit: str
    near: Mapping[float, str] = field(default_factory=dict)
    hints: Sequence[str] = ()


Exercise = Task | Puzzle | Question


@dataclass(frozen=True)
class Verdict:
    """What the reader is told."""

    right: bool
    lines: Sequence[str]

    def __repr__(self) -> str:
        head, *more = self.lines
        return "\n".join([f"{'对' if self.right else '不对'}：{head}", *more])


def judge_number(question: Question, given: object) -> Verdict:
    """Hold a number against the answer, to one in a thousand."""
    if not is_number(given):
        return Verdict(False, [f"要一个数，单位 {question.unit}，不是 {given!r}"])
    shown = f"{given:,.0f}" if abs(given) >= 1000 else f"{given:.4g}"
    if close(given, question.value):
        return Verdict(True, [f"{shown} {question.unit}"])
    for wrong, said in question.near.items():
        if close(given, wrong):
            return Verdict(False, [f"{shown} {question.unit}：{said}"])
    side = "小" if given < question.value else "大"
    return Verdict(False, [f"{shown} {question.unit} 偏{side}"])


def is_number(answer: object, kind: type = int | float) -> bool:
    """Return whether an answer is a number of that kind; True and False are none."""
    return isinstance(answer, kind) and not isinstance(answer, bool)


def close(a: float, b: float) -> bool:
    """Return whether two numbers agree to one in a thousand."""
    return abs(a - b) <= 1e-3 * abs(b)


def judge_function(puzzle: Puzzle, mine: Callable) -> Verdict:
    """Call a reader's function for every case, until one goes wrong."""
    cases = puzzle.cases()
    for case in cases:
        try:
            fault = puzzle.fault(mine(*case), *case)
        except Exception as error:  # whatever a reader's code may raise
            fault = f"抛出异常 {type(error).__name__}: {error}"
        if fault:
            return Verdict(False, [puzzle.shown(*case), fault])
    return Verdict(True, [f"试了 {len(cases)} 组参数，都对"])
