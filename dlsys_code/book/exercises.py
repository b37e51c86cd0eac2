"""Exercises that a machine checks: `check(name, answer)` says what is right or wrong.

An exercise asks for a program, a function or a number::

    check("all_reduce", mine)      mine(x, group) -> result, run on real ranks
    check("choose", mine)          mine(...) -> answer, called here
    check("ring_bytes", 140e6)     a number in the unit that the question names
    hint("all_reduce")             one step of help; hint("all_reduce", 2) the next

This module says what an exercise is, `exercises_numbers` judges a number,
`exercises_functions` calls a function, `exercises_running` runs a program on its ranks
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
Outcome = Callable[[Sequence[Tensor]], Sequence[Tensor]]  # inputs -> results
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
    pattern: says how a right program's messages do not go as they should.  mistaken:
    what comes out on all ranks of a likely mistake, from their inputs.  uses: torch's
    collectives that it may call; what it sends then costs nothing here.  x: what the
    page calls the tensor that a rank brings.  stuck: what has likely been overlooked
    where so many ranks wait for ever.
    """

    sizes: Sequence[tuple[int, int]]
    answer: Answer
    most: Price
    least: Price
    hints: Sequence[str]
    call: Call = plainly
    one_at_a_time: bool = False
    pattern: Look = nothing_more
    mistaken: Mapping[str, Outcome] = field(default_factory=dict)
    uses: Sequence[str] = ()
    x: str = "x"
    stuck: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Puzzle:
    """A function to write that needs no ranks.

    cases: makes the arguments to try.  fault: what is wrong with the answer to one of
    them, in Chinese; "" for a right answer.  shown: the arguments of a case, for the
    reader.  copied: a call gets copies of the arguments; not where the answer is a
    change of them, nor where they have gradients, which a copy lacks.
    """

    cases: Callable[[], Sequence[tuple]]
    fault: Callable[..., str]
    shown: Callable[..., str]
    hints: Sequence[str]
    copied: bool = True


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
