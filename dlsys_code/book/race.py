"""`python -m dlsys_code bench`: race our collectives against torch's, print and draw.

One row for each contender at each size, in the columns of nccl-tests, then the name of
the algorithm and how it compares with torch: the median over the rounds, and the
quartiles.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import torch
from matplotlib.figure import Figure

from dlsys_code.book.arguments import first_rank, refusing
from dlsys_code.book.drawing import CYCLE, INK, PAPER, Drawing, draw
from dlsys_code.introduction.units import MiB, parse_bytes, show_bytes
from dlsys_code.primitive.bench import (
    REFERENCE,
    Heat,
    Row,
    counts,
    race,
    unit_bytes,
)
from dlsys_code.primitive.contenders import COLLECTIVES, Collective, Contender
from dlsys_code.world import World
from dlsys_code.world.device import running_job

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float32, torch.float64, torch.float16, torch.bfloat16),
        *(torch.int8, torch.uint8, torch.int32, torch.int64),
    )
}
SMALLEST = 8  # bytes, where the reader does not say
IN_PLACE = "into_"  # how the names of those end that want their tensors on the CPU
HEADER = """\
#       size         count      type   redop    root      time   algbw   busbw  #wrong\
  algorithm           time/torch  quartiles
#        (B)    (elements)                                (us)  (GB/s)  (GB/s)\
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("collective", choices=COLLECTIVES, metavar="COLLECTIVE")
    parser.add_argument(
        "--algorithm", action="append", metavar="NAME", help="可重复；默认全部"
    )
    parser.add_argument("--ranks", type=int, help="默认 4；在 torchrun 下是作业的")
    # torchrun takes --max for the beginning of its --max-restarts, also behind the
    # module's name; -b and -e are nccl-tests' letters.
    parser.add_argument(
        "-b", "--min", metavar="SIZE", help="默认 8，或每个 rank 一个元素"
    )
    parser.add_argument(
        *("-e", "--max"),
        metavar="SIZE",
        default="64M",
        help="默认 64M；torchrun 下用 -e",
    )
    parser.add_argument("--factor", type=int, default=4, help="默认 4")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--rounds", type=int, default=30, help="默认 30")
    parser.add_argument("--root", type=int, default=0, help="默认 0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="各行的全部字段")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="总线带宽图")
    parser.epilog = "COLLECTIVE：" + "、".join(COLLECTIVES)


def main(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Run the race that the arguments describe; return 1 if a result was wrong.

    A bad argument ends the command with code 2 before any rank is started.
    """
    first = first_rank()
    with refusing(parser, ValueError):
        world, heats = planned(args)
    rows: list[Row] = []
    with world:
        for number, heat in enumerate(heats, start=1):
            if first and number == 1:
                print(title(world, heat), flush=True)
            some = race(world, heat)
            rows += some
            if first:
                progress = f"[{number}/{len(heats)}] {show_bytes(some[0].size_bytes)}"
                print(progress, file=sys.stderr, flush=True)
                print(*map(line, some), sep="\n", end="\n\n", flush=True)
    if first:
        print(*summary(rows), sep="\n")
        save(rows, args.json, args.plot)
    return int(any(row.wrong for row in rows))


def planned(args: argparse.Namespace) -> tuple[World, list[Heat]]:
    """Return the ranks, not started yet, and a heat for each size.

    Errors: ValueError, in Chinese, for arguments that do not fit.
    """
    ranks = checked_ranks(args.ranks)
    if args.rounds < 1:
        raise ValueError(f"--rounds {args.rounds}：至少 1 轮")
    if not 0 <= args.root < ranks:
        raise ValueError(
            f"--root {args.root}：{ranks} 个 rank 的编号是 0 到 {ranks - 1}"
        )
    for path, suffix in ((args.json, ""), (args.plot, ".svg")):
        if path and not (path.parent.is_dir() and path.suffix.endswith(suffix)):
            raise ValueError(f"写不了 {path}：文件夹要存在，图的名字以 .svg 结尾")
    collective, dtype = COLLECTIVES[args.collective], DTYPES[args.dtype]
    elements = checked_counts(args, collective, ranks)
    world = World(ranks, device=None)
    contenders = chosen(collective, args.algorithm, world.device)
    return world, [
        Heat(
            collective=collective,
            contenders=contenders,
            count=count,
            dtype=dtype,
            root=args.root,
            rounds=args.rounds,
        )
        for count in elements
    ]


def checked_ranks(wanted: int | None) -> int:
    """Return how many ranks race: the job's, where there is one.

    Errors: ValueError for less than one, or another number than the job's.
    """
    job = running_job()
    ranks = wanted if wanted is not None else job.ranks if job else 4
    if ranks < 1:
        raise ValueError(f"--ranks {ranks}：至少 1 个 rank")
    if job and ranks != job.ranks:
        raise ValueError(f"--ranks {ranks}：{job.launcher} 已经启动了 {job.ranks} 个")
    return ranks


def checked_counts(
    args: argparse.Namespace, collective: Collective, ranks: int
) -> list[int]:
    """Return the elements of every size.

    Errors: ValueError for text that is no size, or sizes without an element.
    """
    unit = unit_bytes(collective, ranks, DTYPES[args.dtype])
    try:
        low = parse_bytes(args.min) if args.min else max(SMALLEST, unit)
        high = parse_bytes(args.max)
    except ValueError as error:
        raise ValueError(f"--min 和 --max 写成 8、64K、1M：{error}") from None
    if low < unit:
        whose = f"{ranks} 个 rank 各一个" if collective.by_chunks else "一个"
        raise ValueError(f"--min {low} B 不足 {unit} B，即{whose} {args.dtype}")
    if high < low or args.factor < 2:
        raise ValueError(
            f"从 {low} B 到 {high} B，每次乘 {args.factor}：后者不小于前者，乘数至少 2"
        )
    return counts(low, high, factor=args.factor, unit=unit)


def chosen(
    collective: Collective, names: Sequence[str] | None, device: str
) -> dict[str, Contender]:
    """Return torch's own and the algorithms named; all that the device has for None.

    Errors: ValueError for a name that is not there.
    """
    there = {
        name: run
        for name, run in collective.contenders.items()
        if device == "cpu" or not name.endswith(IN_PLACE)
    }
    for name in names or ():
        if name not in there:
            raise ValueError(
                f"{collective.name} 在 {device} 上没有算法 {name}，"
                f"有 {len(there)} 个：{'、'.join(there)}"
            )
    return {
        name: run
        for name, run in there.items()
        if not names or name in names or name == REFERENCE
    }


def title(world: World, heat: Heat) -> str:
    """Return what stands over the table."""
    backend = "NCCL" if world.device == "cuda" else "gloo"
    return (
        f"# {heat.collective.name}：{world.ranks} 个 rank，{world.device}，{backend}，"
        f"torch {torch.__version__}，每种尺寸 {heat.rounds} 轮\n#\n{HEADER}"
    )


def line(row: Row) -> str:
    """Return one line of the table."""
    low, high = row.ratio_quartiles
    return (
        f"{row.size_bytes:>12}  {row.count:>12}  {row.type:>8}  {row.redop:>6}  "
        f"{row.root:>6}  {row.time_us:>8.1f}  {row.algbw_GB_per_s:>6.2f}  "
        f"{row.busbw_GB_per_s:>6.2f}  {row.wrong:>6}  {row.algorithm:<18}  "
        f"{row.ratio:>10.2f}  [{low:.2f}, {high:.2f}]"
    )


def narrow(rows: Sequence[Row]) -> str:
    """Return a table for a page: only the columns in which the rows differ."""
    lines = [
        "#   size  algorithm           time   algbw  busbw #wrong  time/torch\n"
        "#                             (us)  (GB/s) (GB/s)         [quartiles]"
    ]
    for row in rows:
        low, high = row.ratio_quartiles
        lines.append(
            f"{show_bytes(row.size_bytes):>8}  {row.algorithm:<15}{row.time_us:>9.1f}"
            f"  {row.algbw_GB_per_s:>6.2f} {row.busbw_GB_per_s:>6.2f} {row.wrong:>6}"
            f"  {row.ratio:.2f} [{low:.2f}, {high:.2f}]"
        )
    return "\n".join(lines)


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what stands under the table: the wrong elements, the ratios over sizes."""
    wrong = sum(row.wrong for row in rows)
    yield f"# 错误的元素：{wrong}，{'有错' if wrong else '全对'}"
    yield "# 用时除以 torch 的用时，各尺寸的中位数："
    for name in dict.fromkeys(row.algorithm for row in rows):
        own = [row for row in rows if row.algorithm == name]
        small = [row.ratio for row in own if row.size_bytes < MiB]
        large = [row.ratio for row in own if row.size_bytes >= MiB]
        texts = [
            f"{label} {median(ratios):.2f}"
            for label, ratios in (("1 MiB 以下", small), ("1 MiB 起", large))
            if ratios
        ]
        yield f"#   {name:<18}  {'，'.join(texts)}"


def save(rows: Sequence[Row], data: Path | None, figure: Path | None) -> None:
    """Write the rows as JSON, and the plot as SVG, where a path is given."""
    if data:
        data.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if figure:
        figure.write_text(bus_bandwidth(rows).svg, encoding="utf-8")


def bus_bandwidth(rows: Sequence[Row]) -> Drawing:
    """Return bus bandwidth over size: a colour for each algorithm, in place solid."""
    names = list(dict.fromkeys(row.algorithm for row in rows))
    families = list(dict.fromkeys(name.removesuffix("_" + IN_PLACE) for name in names))
    colours = dict(zip(families, (INK, *CYCLE), strict=False))
    first = rows[0]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot(
            facecolor=PAPER, xlabel="size [B]", ylabel="bus bandwidth [GB/s]"
        )
        for name in names:
            own = [row for row in rows if row.algorithm == name]
            solid = name == REFERENCE or name.endswith(IN_PLACE)
            axes.plot(
                [row.size_bytes for row in own],
                [row.busbw_GB_per_s for row in own],
                color=colours[name.removesuffix("_" + IN_PLACE)],
                linestyle="-" if solid else ":",
                marker="o",
                markersize=3,
                label=name,
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: show_bytes(value))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.legend(frameon=False, fontsize=7)

    sizes = [row.size_bytes for row in rows]
    return draw(
        paint,
        size=(6.4, 4.0),
        alt=(
            f"{first.ranks} 个 rank 的 {first.collective}，从 {show_bytes(min(sizes))} "
            f"到 {show_bytes(max(sizes))}，{len(names)} 种算法的总线带宽；"
            "实线是 torch 和原地的版本，虚线是易读的版本"
        ),
    )
