"""The exercises of chapter 5, in the order of its pages: its own, then its parts'."""

from dlsys_code.book.exercises import Exercise
from dlsys_code.book.exercises_system_auto import EXERCISES as AUTO
from dlsys_code.book.exercises_system_context import EXERCISES as CONTEXT
from dlsys_code.book.exercises_system_data import EXERCISES as DATA
from dlsys_code.book.exercises_system_main import EXERCISES as MAIN
from dlsys_code.book.exercises_system_tensor import EXERCISES as TENSOR
from dlsys_code.book.exercises_system_zero import EXERCISES as ZERO

EXERCISES: dict[str, Exercise] = MAIN | DATA | ZERO | TENSOR | CONTEXT | AUTO
