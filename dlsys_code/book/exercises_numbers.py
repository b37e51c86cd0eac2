"""A reader's number: whether it is one, whether it is right, and what it overlooks.

A number is right to one in a thousand.  A wrong one was often rounded on the way, so
that it need only be within one in a hundred of what a likely mistake gives.
"""

from inspect import isfunction
from math import inf
from numbers import Real

import numpy as np
from torch import Tensor

from dlsys_code.book.exercises import Question, Verdict

RIGHT, LIKELY = 1e-3, 1e-2  # relative


def judge_number(question: Question, given: object) -> Verdict:
    """Hold a number against the answer, then against what likely mistakes give."""
    if not is_number(given):
        return Verdict(False, [f"要一个数（{question.unit}），不是 {named(given)}"])
    number = in_range(given)
    shown = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"
    if close(number, question.value):
        return Verdict(True, [f"{shown} {question.unit}"])
    if said := overlooked(question, number):
        return Verdict(False, [f"{shown} {question.unit}：{said}"])
    if number % 1 == 0 and abs(number - question.value) < 0.5:
        return Verdict(False, [f"{shown} {question.unit}：取整太早"])
    side = "小" if number < question.value else "大"
    return Verdict(False, [f"{shown} {question.unit}，偏{side}"])


def overlooked(question: Question, number: float) -> str:
    """Say which likely mistake a wrong number comes of; "" if of none."""
    off = abs(number - question.value)
    likely = {
        abs(number - wrong): said
        for wrong, said in question.near.items()
        if close(number, wrong, LIKELY) and abs(number - wrong) < off
    }
    return likely[min(likely)] if likely else ""


def is_number(answer: object) -> bool:
    """Return whether an answer is a number; True, False and nan are none."""
    return (
        isinstance(answer, Real) and not isinstance(answer, bool) and answer == answer
    )


def is_whole(answer: object) -> bool:
    """Return whether an answer is a whole number, be it written 3 or 3.0."""
    return is_number(answer) and answer % 1 == 0


def no_number(answer: object, wanted: str = "一个数") -> str:
    """Say that something else came back than a number."""
    return f"返回了 {named(answer)}，要{wanted}"


def named(answer: object) -> str:
    """Return what is no number as the reader is told of it."""
    if isinstance(answer, Tensor | np.ndarray) and answer.ndim == 0:
        return f"{answer!r}（加 .item() 就是一个数）"
    return f"{answer.__name__} 这个函数" if isfunction(answer) else repr(answer)


def in_range(number: float) -> float:
    """Return a number as a float, infinite where it is too large for one."""
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


def close(a: float, b: float, tolerance: float = RIGHT) -> bool:
    """Return whether two numbers agree to one in a thousand, or as told."""
    return abs(a - b) <= tolerance * abs(b)
