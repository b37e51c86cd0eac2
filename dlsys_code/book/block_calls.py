"""What the stream of tokens passes in one block: its parts, and the calls between them.

`passes` runs a block on real ranks and writes down what it went through, with the
tokens that this rank had before and after; `draw_passes` draws that, the heights in
proportion to the tokens.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.distributed as dist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.book.drawing import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    RED,
    SKY,
    Drawing,
    draw,
)
from dlsys_code.introduction.average_gradients import torch_sum
from dlsys_code.introduction.gpt import GPT, GPTConfig, rotations
from dlsys_code.primitive.adjoint import Collective
from dlsys_code.system import sequence_parallel, tensor_parallel

COLOURS = {
    "norm": GREEN,
    "attention": BLUE,
    "feed-forward": SKY,
    "all-reduce": RED,
    "reduce-scatter": ORANGE,
    "all-gather": ORANGE,
}
WIDE, NARROW, GAP = 2.1, 1.5, 0.12
PARTS = {
    "norm_1": "norm",
    "attention": "attention",
    "norm_2": "norm",
    "feed_forward": "feed-forward",
}


class Passed(NamedTuple):
    """A part of the block, or a call; tokens of a sample that this rank has there."""

    name: str
    before: int
    after: int


def passes(config: GPTConfig, T: int, *, tokens_shared: bool) -> list[Passed]:
    """Return what the stream passes on this rank of a World, in order.

    tokens_shared: between branches, as under `sequence_parallel`.
    """
    noted: list[Passed] = []

    def noting(name: str, collective: Collective) -> Collective:
        def call(x: Tensor, group: ProcessGroup) -> Tensor:
            y = collective(x, group)
            noted.append(Passed(name, x.size(1), y.size(1)))
            return y

        return call

    ends = partial(
        tensor_parallel.replicated, all_reduce=noting("all-reduce", torch_sum)
    )
    if tokens_shared:
        ends = partial(
            sequence_parallel.sharded,
            all_gather=noting("all-gather", sequence_parallel.gather_tokens),
            reduce_scatter=noting("reduce-scatter", sequence_parallel.sum_tokens),
        )
    tp = dist.group.WORLD
    block = tensor_parallel.TensorParallelGPT(GPT(config), tp, ends=ends).blocks[0]
    for part, name in PARTS.items():
        block.get_submodule(part).register_forward_hook(note(noted, name))
    x = torch.ones(1, T // tp.size() if tokens_shared else T, config.width)
    with torch.no_grad():
        block(x, *rotations(T, config, x))
    return noted


def note(noted: list[Passed], name: str) -> Callable:
    """Return a hook that notes the tokens a module was given, and those it returned."""

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        noted.append(Passed(name, inputs[0].size(1), output.size(1)))

    return hook


def draw_passes(lanes: Mapping[str, Sequence[Passed]], *, alt: str) -> Drawing:
    """Return a lane for each way through a block, left to right.

    A box is as high as the tokens that the rank has there; a call may change that.
    """

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(lanes), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (title, lane) in zip(grid, lanes.items(), strict=True):
            _paint_lane(axes, title, lane)

    return draw(paint, size=(7.4, 1.35 * len(lanes) + 0.1), alt=alt)


def _paint_lane(axes: Axes, title: str, lane: Sequence[Passed]) -> None:
    axes.axis("off")
    axes.set_facecolor(PAPER)
    axes.set_title(title, fontsize=9, loc="left", pad=2)
    most = max(max(p.before, p.after) for p in lane)
    left = 0.0
    for name, before, after in lane:
        width = WIDE if name in PARTS.values() else NARROW
        low, high = before / most / 2, after / most / 2
        corners = [(0, -low), (width, -high), (width, high), (0, low)]
        axes.add_patch(
            Polygon(
                [(left + x, y) for x, y in corners],
                facecolor=COLOURS[name],
                alpha=0.45,
                edgecolor=INK,
                linewidth=0.6,
            )
        )
        label = name.replace("-", "-\n") if width == NARROW else name
        axes.text(left + width / 2, 0, label, ha="center", va="center", fontsize=7)
        axes.text(
            left + width / 2, -0.56, f"{after}", ha="center", va="top", fontsize=7
        )
        left += width + GAP
    axes.set(xlim=(-0.1, left + 0.1), ylim=(-0.75, 0.55))
