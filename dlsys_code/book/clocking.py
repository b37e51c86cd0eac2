"""`python -m dlsys_code clocks`: three clocks for workers of which one is slow, timed.

One rank serves, the others train a small GPT with real gradients; a line for each bound
on staleness.  The same command under torchrun runs on several machines.
"""

import argparse
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch.distributed as dist
from torch import Tensor

from dlsys_code.architecture import asynchronous
from dlsys_code.architecture.asynchronous import Job
from dlsys_code.architecture.staleness import ASP, BSP, checked_bound
from dlsys_code.architecture.stragglers import Fixed, Random, Times
from dlsys_code.architecture.updates import Run
from dlsys_code.book.arguments import first_rank, refusing
from dlsys_code.book.losses import Against, losses
from dlsys_code.book.race import checked_ranks
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.units import ms
from dlsys_code.world import World
from dlsys_code.world.device import running_job

MODEL = GPTConfig(width=24, layers=2, heads=6, key_value_heads=3, hidden=20)
SAMPLES = 12  # of a worker in an update


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "--workers", type=int, help="默认 2；在 torchrun 下是作业的减一"
    )
    parser.add_argument("--updates", type=int, default=80, help="默认 80，所有工人合计")
    parser.add_argument(
        "--bounds",
        type=float,
        nargs="+",
        default=[BSP, 3, ASP],
        metavar="σ",
        help="陈旧度的界，默认 0 3 inf",
    )
    parser.add_argument(
        "--slow", type=int, default=4, metavar="K", help="掉队者慢几倍，默认 4"
    )
    parser.add_argument(
        "--chance",
        type=float,
        metavar="Q",
        help="每次更新都以这个概率慢；默认总是 0 号工人慢",
    )
    parser.add_argument("--ballast", type=int, default=0, help="每次多做几次矩阵乘法")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="损失的两幅图")


def main(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Run the jobs that the arguments name, one after the other.

    A bad argument ends the command with code 2 before any rank is started.
    """
    with refusing(parser, ValueError):
        world, jobs = planned(args)
    text, runs = tokens.documentation(), {}
    with world:
        world(trained, next(iter(jobs.values())), text)  # the first pays for caches
        for name, job in jobs.items():
            runs[name] = world(trained, job, text)[0]
    if first_rank():
        print(*report(runs), sep="\n")
        if args.plot:
            args.plot.write_text(drawn(runs), encoding="utf-8")
    return 0


def trained(job: Job, text: Tensor) -> Run | None:
    """What every rank runs."""
    return asynchronous.train(job, text, dist.group.WORLD)


def planned(args: argparse.Namespace) -> tuple[World, dict[str, Job]]:
    """Return the ranks, not started yet, and a job for each bound.

    Errors: ValueError for arguments that do not fit.
    """
    workers = args.workers if args.workers or running_job() else 2
    ranks = checked_ranks(None if workers is None else workers + 1)
    if ranks < 2:
        raise ValueError(f"--workers {ranks - 1}：至少 1 个工人")
    plot = args.plot
    if plot and not (plot.parent.is_dir() and plot.suffix == ".svg"):
        raise ValueError(f"写不了 {plot}：文件夹要存在，图的名字以 .svg 结尾")
    recipe = serial.Recipe(
        model=MODEL, batch=SAMPLES * (ranks - 1), sequence=32, learning_rate=0.2
    )
    straggler: Times = (
        Fixed(0, args.slow) if args.chance is None else Random(args.chance, args.slow)
    )
    make = partial(
        Job,
        recipe=recipe,
        updates=args.updates,
        slowness=straggler,
        ballast=args.ballast,
    )
    jobs = {f"σ = {bound:g}": make(bound=checked_bound(bound)) for bound in args.bounds}
    return World(ranks, device="cpu"), jobs


def report(runs: Mapping[str, Run]) -> Iterator[str]:
    """Give the lines of the table."""
    yield "#      bound  ms/update  staleness  lead    loss  updates"
    for name, run in runs.items():
        *_, (_, _, loss) = run.losses() or [(0, 0.0, run.updates[-1].loss)]
        yield (
            f"{name:>12}{run.time_per_update_s() / ms:11.1f}"
            f"{run.mean_staleness():11.2f}{max(run.leads()):6}{loss:8.3f}"
            f"  {run.updates_each()}"
        )


def drawn(runs: Mapping[str, Run]) -> str:
    """Return the loss against updates and against time, as SVG."""
    rows = {name: run.losses() for name, run in runs.items()}
    by_update = {n: [(done, loss) for done, _, loss in r] for n, r in rows.items()}
    by_time = {n: [(s / ms, loss) for _, s, loss in r] for n, r in rows.items()}
    return losses(
        [Against("updates", by_update), Against("time [ms]", by_time)],
        alt="左图是损失随更新次数的变化，右图是随时间的变化，每个界一条线",
    ).svg
