"""An emulated cluster's run, predicted beside measured: a figure and a table."""

from collections.abc import Collection, Iterator

from matplotlib.figure import Figure

from dlsys_code.book.drawing import PAPER, Drawing, draw, scale, told_apart
from dlsys_code.introduction.units import ms, show_bytes
from dlsys_code.primitive.hosts_run import Run


def table(run: Run, sizes: Collection[int]) -> Iterator[str]:
    """Yield one line for every algorithm and each of these sizes.

    It says what was predicted and measured, and the error.
    """
    yield f"{run.source}; times in ms"
    yield f"{'':14}{'size':>8}{'predicted':>11}{'measured':>10}{'error':>8}"
    for row in [row for row in run.rows if row.size in sizes]:
        yield (
            f"{row.name:14}{show_bytes(row.size):>8}{row.predicted_s / ms:>11.1f}"
            f"{row.measured_s / ms:>10.1f}{row.error:>+8.0%}"
        )


def curves(run: Run, *, alt: str) -> Drawing:
    """Return predicted times as lines and measured ones as points, by size.

    A bar goes from the fastest to the slowest run.
    """
    sizes = sorted({row.size for row in run.rows})
    names = {row.name: [run.row(row.name, n) for n in sizes] for row in run.rows}
    drawn = told_apart("algorithms", names)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(
            facecolor=PAPER,
            xlabel="bytes per rank",
            ylabel="time of an all-reduce [ms]",
            title="line: predicted, point: measured"
            + ("" if run.source == "live" else f" ({run.source})"),
        )
        for name, rows, colour, marker in drawn:
            predicted = [row.predicted_s / ms for row in rows]
            middle = [row.measured_s / ms for row in rows]
            down = [(row.measured_s - min(row.times_s)) / ms for row in rows]
            up = [(max(row.times_s) - row.measured_s) / ms for row in rows]
            axes.plot(sizes, predicted, color=colour, label=name)
            axes.errorbar(sizes, middle, (down, up), fmt=marker, color=colour)
        scale(axes, sizes)

    return draw(paint, size=(6.0, 3.8), alt=alt)
