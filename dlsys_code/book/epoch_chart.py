"""An epoch as a table: which rank reads which samples in which step.

A column is a step, a row a rank.  A sample that was read before is framed, and those
that nobody reads stand below.
"""

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dlsys_code.book.drawing import BLUE, INK, PAPER, RED, Drawing, draw

Epoch = Sequence[Sequence[Sequence[int]]]  # step -> rank -> samples


def epochs(panels: Mapping[str, Epoch], samples: int, *, alt: str) -> Drawing:
    """Return one table for each way of sharing out `samples` samples."""

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, epoch) in zip(grid, panels.items(), strict=True):
            _paint_epoch(axes, title, epoch, samples)

    ranks = max(len(step) for epoch in panels.values() for step in epoch)
    return draw(paint, size=(2.5 * len(panels), 0.42 * ranks + 1.1), alt=alt)


def cells(epoch: Epoch) -> Iterator[tuple[int, int, int, int, bool]]:
    """Yield step, rank, place, sample and whether it was read before, in that order."""
    read: set[int] = set()
    for number, step in enumerate(epoch):
        for rank, own in enumerate(step):
            for place, sample in enumerate(own):
                yield number, rank, place, sample, sample in read
                read.add(sample)


def unread(epoch: Epoch, samples: int) -> list[int]:
    """Return the samples that are in no step."""
    read = {sample for _, _, _, sample, _ in cells(epoch)}
    return [sample for sample in range(samples) if sample not in read]


def _paint_epoch(axes: Axes, title: str, epoch: Epoch, samples: int) -> None:
    ranks = max(map(len, epoch))
    most = max(len(own) for step in epoch for own in step)
    for number, rank, place, sample, again in cells(epoch):
        x, y = number + place / most * 0.9, rank
        axes.add_patch(
            Rectangle(
                (x + 0.03, y + 0.08),
                0.9 / most - 0.04,
                0.84,
                facecolor=(RED if again else BLUE) + "30",
                edgecolor=RED if again else "#999999",
                linewidth=1.6 if again else 0.5,
            )
        )
        axes.text(
            x + 0.45 / most + 0.01, y + 0.5, sample, ha="center", va="center", color=INK
        )
    left_out = unread(epoch, samples)
    note = f"never read: {', '.join(map(str, left_out))}" if left_out else ""
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("\n".join(["step", note]), fontsize=8)
    axes.set(xlim=(0, len(epoch)), ylim=(ranks, 0), facecolor=PAPER)
    axes.set_xticks([i + 0.45 for i in range(len(epoch))], range(len(epoch)))
    axes.set_yticks([r + 0.5 for r in range(ranks)], [f"r{r}" for r in range(ranks)])
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
