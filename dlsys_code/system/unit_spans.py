"""When the units of a model compute: spans in the trace for each pass through each.

A trace sees every collective, but between them only what a program marks.  Hooks of
torch mark it without a line in the model::

    forward 2     from before the forward pass of unit 2 until its output is there
    backward 2    from the gradient of its output until the gradient of its input

Hooks run in the order in which they were set: mark the units last, so that what other
hooks fetch is not counted as computing.

Source: PyTorch documentation, `torch.nn.Module.register_forward_pre_hook` and
`torch.Tensor.register_hook`.
"""

from collections.abc import Sequence
from contextlib import ExitStack

from torch import Tensor, nn

from dlsys_code.world import compute


def mark_passes(units: Sequence[nn.Module], *, first: int = 0) -> None:
    """Mark the passes through units, numbered from `first`, that follow.

    Each unit takes a tensor first and returns one.
    """
    for number, unit in enumerate(units, first):
        Passes(number, unit)


class Passes:
    """The passes through one unit, by hooks on it and on its input and output."""

    def __init__(self, number: int, unit: nn.Module):
        self.number, self.open = number, ExitStack()
        unit.register_forward_pre_hook(self.enter)
        unit.register_forward_hook(self.leave)

    def enter(self, _: nn.Module, inputs: tuple) -> None:
        """Begin the forward pass; backward ends at the gradient of the first input."""
        if inputs[0].requires_grad:
            inputs[0].register_hook(lambda _: self.open.close())
        self.open.enter_context(compute(f"forward {self.number}"))

    def leave(self, _: nn.Module, inputs: tuple, output: Tensor) -> None:
        """End the forward pass; backward begins at the gradient of the output."""
        self.open.close()
        if output.requires_grad:
            output.register_hook(self.turn)

    def turn(self, _: Tensor) -> None:
        """Begin the backward pass."""
        self.open.enter_context(compute(f"backward {self.number}"))
