"""The exercises of chapter 5, in the order of its pages: its own, then its parts'."""

from dlsys_code.book.exercises import Exercise

EXERCISES: dict[str, Exercise] = {}
