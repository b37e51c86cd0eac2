"""A product of matrices that ranks share: who has which number, and who must add up."""

from collections.abc import Mapping, Sequence
from itertools import product

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from dlsys_code.book.drawing import CYCLE, INK, Drawing, draw

EVERYBODY, PARTS = -1, -2  # owners of a number: all ranks alike, or each a part of it
LOOKS = {EVERYBODY: ("#c8c8c8", ""), PARTS: ("#ffffff", "////")}
SIGNS = ("·", "=")  # between the matrices
Matrix = tuple[str, Tensor, Tensor]  # name, numbers, owners


def products(panels: Mapping[str, Sequence[Matrix]], *, alt: str) -> Drawing:
    """Return one product under the other, each of three matrices.

    panels: a title, and for each matrix its name, its numbers, and who owns each: a
    rank, `EVERYBODY` or `PARTS`.  Ranks differ by colour.
    Errors: ValueError for a rank that has no colour of its own.
    """
    shown = [owners for matrices in panels.values() for *_, owners in matrices]
    ranks = 1 + max(int(owners.max()) for owners in shown)
    if ranks > len(CYCLE):
        raise ValueError(f"{len(CYCLE)} ranks can be told apart, not {ranks}")

    def paint(figure: Figure) -> None:
        grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (title, matrices) in zip(grid, panels.items(), strict=True):
            _paint_product(axes, title, matrices)

    return draw(paint, size=(6.2, 2.1 * len(panels)), alt=alt)


def _paint_product(axes: Axes, title: str, matrices: Sequence[Matrix]) -> None:
    axes.axis("off")
    axes.set_title(title, fontsize=9, loc="left")
    left, deepest = 0.0, max(len(numbers) for _, numbers, _ in matrices)
    for name, numbers, owners in matrices:
        top = (deepest - len(numbers)) / 2
        columns = numbers.size(1)
        axes.text(left + columns / 2, top - 0.2, name, ha="center", fontsize=9)
        for y, x in product(range(len(numbers)), range(columns)):
            at = left + x, top + y
            _cell(axes, at, numbers[y, x].item(), owners[y, x].item())
        left += columns + 1.2
    at = 0.0
    for sign, (_, numbers, _) in zip(SIGNS, matrices[:-1], strict=True):
        at += numbers.size(1) + 1.2
        axes.text(at - 0.6, deepest / 2, sign, ha="center", va="center", fontsize=13)
    axes.set(xlim=(-0.2, left - 1.0), ylim=(deepest + 0.2, -0.9), aspect="equal")


def _cell(axes: Axes, at: tuple[float, float], number: float, owner: int) -> None:
    colour, hatch = LOOKS.get(owner, (CYCLE[owner], ""))
    axes.add_patch(
        Rectangle(
            (at[0] + 0.04, at[1] + 0.04),
            0.92,
            0.92,
            facecolor=(*to_rgb(colour), 0.35),
            hatch=hatch,
            edgecolor="#999999",
            linewidth=0.5,
        )
    )
    box = {"facecolor": "#ffffff", "edgecolor": "none", "pad": 0.6} if hatch else None
    axes.text(
        at[0] + 0.5,
        at[1] + 0.52,
        f"{number:g}",
        ha="center",
        va="center",
        fontsize=8,
        color=INK,
        bbox=box,
    )
