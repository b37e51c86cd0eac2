"""Wrong answers to the exercises, each noted with what the verdict must say of it."""

from collections.abc import Callable
from typing import NamedTuple


class Wrong(NamedTuple):
    """A wrong answer.  said: what of the verdict is compared."""

    exercise: str
    mine: Callable
    said: tuple[str, ...]


def noting(answers: list[Wrong]) -> Callable:
    """Return a decorator, wrong(exercise, *said), that adds a function to a list."""

    def wrong(exercise: str, *said: str) -> Callable:
        def note(mine: Callable) -> Callable:
            answers.append(Wrong(exercise, mine, said))
            return mine

        return note

    return wrong
