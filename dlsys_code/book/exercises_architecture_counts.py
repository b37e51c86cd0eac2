"""How the exercises of chapter 2 hold a count, or several, against the right one.

A wrong count is looked up among those that a likely mistake gives, so that the reader
hears which mistake it is.
"""

from collections.abc import Mapping, Sequence

from dlsys_code.book.exercises_numbers import in_range, is_number, no_number

Near = Mapping[str, float]  # what was overlooked -> the count that comes of it
CLOSE = 1e-9  # relative: counts are exact, but for the way they were worked out


def fault_of_count(answer: object, right: float, near: Near) -> str:
    """Say what a wrong count has overlooked; "" for the right one."""
    if not is_number(answer):
        return no_number(answer)
    count = in_range(answer)
    if same(count, right):
        return ""
    for said, wrong in near.items():
        if same(count, wrong):
            return f"{count:,.10g}：{said}"
    side = "小" if count < right else "大"
    return f"{count:,.10g}，偏{side}，应当是 {right:,.10g}"


def fault_of_counts(
    answer: object, right: Mapping[str, float], near: Sequence[Near]
) -> str:
    """Say which of several counts is wrong, and why; "" where all are right.

    right: name -> count, in the order asked for.  near: for each of them.
    """
    try:
        counts = tuple(answer)
    except TypeError:
        counts = ()
    if len(counts) != len(right):
        return f"返回了 {answer!r}，要 ({', '.join(right)})"
    for (name, value), count, known in zip(right.items(), counts, near, strict=True):
        if fault := fault_of_count(count, value, known):
            return f"{name} {fault}"
    return ""


def same(a: float, b: float) -> bool:
    """Return whether two counts are one."""
    return abs(a - b) <= CLOSE * abs(b)
