"""The stack of a cluster: one training step as each level sees it.

A level is a box with what it does and what can be counted there; the arrow below it
says what it hands to the next level down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from dlsys_code.book.drawing import INK, PAPER, Drawing, arrow, draw, told_apart

WIDTH, HEIGHT, GAP = 10.0, 1.0, 0.62  # of a box, and to the next one
MIDDLE = 1.15  # where the name begins


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One level of the stack.

    level: its short name, "L2".  name: what works there.  does: what that is in this
    step.  counted: numbers of the step at this level.  hands_down: what the level below
    gets; nothing for the lowest.
    """

    level: str
    name: str
    does: str
    counted: str
    hands_down: str = ""


def draw_stack(layers: Sequence[Layer], *, alt: str) -> Drawing:
    """Return the levels as boxes, the first on top.

    Errors: ValueError for no level, when one but the lowest hands nothing down or the
    lowest does, and for more levels than there are colours.
    """
    above = [bool(layer.hands_down) for layer in layers]
    if not layers or above != [True] * (len(layers) - 1) + [False]:
        raise ValueError(
            "every level but the lowest hands something down: "
            f"{[layer.level for layer in layers if not layer.hands_down]} do not"
        )
    looks = told_apart("levels", {layer.level: layer for layer in layers})

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(facecolor=PAPER)
        axes.axis("off")
        bottom = -(len(layers) - 1) * (HEIGHT + GAP)
        axes.set(xlim=(-0.1, WIDTH + 0.1), ylim=(bottom - 0.1, HEIGHT + 0.1))
        for i, (_, layer, colour, _) in enumerate(looks):
            _paint(axes, layer, colour, -i * (HEIGHT + GAP))

    return draw(paint, size=(7.0, 0.92 * len(layers) + 0.1), alt=alt)


def _paint(axes: Axes, layer: Layer, colour: str, y: float) -> None:
    """Draw one box whose lower edge is at y, and the arrow below it."""
    for x, width, face in ((0, WIDTH, (*to_rgb(colour), 0.13)), (0, 0.9, colour)):
        axes.add_patch(
            FancyBboxPatch(
                (x, y),
                width,
                HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=face,
                edgecolor=colour,
                linewidth=1.0,
            )
        )
    middle = y + HEIGHT / 2
    level = {"ha": "center", "va": "center", "color": "white", "fontweight": "bold"}
    axes.text(0.45, middle, layer.level, fontsize=12, **level)
    axes.text(MIDDLE, y + 0.68, layer.name, va="center", fontsize=10, fontweight="bold")
    axes.text(MIDDLE, y + 0.27, layer.does, va="center", fontsize=8.5)
    axes.text(WIDTH - 0.2, middle, layer.counted, ha="right", va="center", fontsize=8.5)
    if layer.hands_down:
        arrow(axes, (2.0, y), (2.0, y - GAP), INK)
        axes.text(2.2, y - GAP / 2, layer.hands_down, va="center", fontsize=8.5)
