"""`python -m dlsys_code link`: alpha, 1/beta and n_1/2 between two ranks, measured.

A line for each size, then the fit with its intervals; the same command under torchrun
measures between two machines.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from dlsys_code.book import measured
from dlsys_code.book.arguments import first_rank, refusing
from dlsys_code.book.drawing import Drawing
from dlsys_code.book.race import checked_ranks
from dlsys_code.communication.fit import Fit, fit_link
from dlsys_code.communication.ping_pong import SIZES, Rally, ping_pong
from dlsys_code.communication.shared_memory import shared_memory
from dlsys_code.introduction.units import GB, parse_bytes, show_bytes, us
from dlsys_code.world import World
from dlsys_code.world.device import running_job
from dlsys_code.world.watched import Transport, gloo

TRANSPORTS: dict[str, Transport] = {"sockets": gloo, "memory": shared_memory}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--ranks", type=int, help="默认 2；在 torchrun 下是作业的")
    parser.add_argument(
        "--pair", type=int, nargs=2, default=(0, 1), metavar="RANK", help="默认 0 1"
    )
    parser.add_argument("--rounds", type=int, default=30, help="默认 30")
    parser.add_argument("-e", "--max", metavar="SIZE", default="16M", help="默认 16M")
    parser.add_argument(
        "--transport",
        choices=TRANSPORTS,
        help="memory 是同一台机器上的共享内存；默认 sockets，有 GPU 时 NCCL",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="散点与拟合")


def main(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Measure the link that the arguments name; return 1 if no link explains it.

    A bad argument ends the command with code 2 before any rank is started.
    """
    first = first_rank()
    with refusing(parser, ValueError):
        world, rally = planned(args)
    with world:
        times_s = ping_pong(world, rally)
    try:
        found = fit_link(times_s)
    except ValueError as error:
        if first:
            print(f"拟合不了，换大一些的 --max 或多几轮：{error}")
        return 1
    if first:
        print(*report(world, rally, times_s, found), sep="\n")
        if args.plot:
            args.plot.write_text(drawn(times_s, found).svg, encoding="utf-8")
    return 0


def planned(args: argparse.Namespace) -> tuple[World, Rally]:
    """Return the ranks, not started yet, and what they are to send.

    Errors: ValueError for arguments that do not fit.
    """
    job = running_job()
    ranks = checked_ranks(2 if args.ranks is None and not job else args.ranks)
    if max(args.pair) >= ranks:
        raise ValueError(
            f"--pair {args.pair[0]} {args.pair[1]}：{ranks} 个 rank 的编号是 0 到 "
            f"{ranks - 1}"
        )
    plot = args.plot
    if plot and not (plot.parent.is_dir() and plot.suffix == ".svg"):
        raise ValueError(f"写不了 {plot}：文件夹要存在，图的名字以 .svg 结尾")
    most = parse_bytes(args.max)
    sizes = [n for n in SIZES if n <= most]
    if len(sizes) < 3:
        raise ValueError(f"--max {args.max}：至少 {SIZES[2]} B，三种大小才能拟合")
    rally = Rally(sizes=sizes, rounds=args.rounds, pair=tuple(args.pair))
    device = "cpu" if args.transport else None
    transport = TRANSPORTS[args.transport or "sockets"]
    return World(ranks, device=device, transport=transport), rally


def report(
    world: World, rally: Rally, times_s: Mapping[int, Sequence[float]], found: Fit
) -> list[str]:
    """Return the lines of the table and of the fit."""
    how = "NCCL" if world.device == "cuda" else world.transport.__name__
    a, b = rally.pair
    lines = [f"# rank {a} 与 rank {b}，{how}，{rally.rounds} 轮，单程时间 [us]"]
    lines.append(f"#{'size':>9}{'fastest':>11}{'median':>11}{'fit':>11}{'error':>8}")
    for n, samples in sorted(times_s.items()):
        error = found.errors[n]
        predicted = found.link.latency_s + n * found.link.seconds_per_byte
        row = (min(samples), median(samples), predicted)
        times = "".join(f"{t / us:11.1f}" for t in row)
        lines.append(f"{show_bytes(n):>10}{times}{error:+8.0%}")
    low, high = (t / us for t in found.latency_interval_s)
    slow, fast = (b / GB for b in found.bandwidth_interval)
    link = found.link
    return [
        *lines,
        f"# alpha   {link.latency_s / us:8.1f} us    95%：{low:.1f} 到 {high:.1f}",
        f"# 1/beta  {link.bandwidth / GB:8.2f} GB/s  95%：{slow:.2f} 到 {fast:.2f}",
        f"# n_1/2   {show_bytes(link.half_bandwidth_bytes):>8}",
    ]


def drawn(times_s: Mapping[int, Sequence[float]], found: Fit) -> Drawing:
    """Return the plot of the samples with the fitted curve."""
    return measured.links(
        {"ping-pong": measured.Measured(times_s, found)},
        alt="单程时间随消息大小的变化，双对数坐标：点是样本，曲线是拟合，两条虚线是 "
        "alpha 和 beta n，点线是 n_1/2",
    )
