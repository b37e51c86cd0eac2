"""`python -m dlsys_code train`: train the small GPT and print how its loss falls.

One process trains alone, and P ranks share the batch and average their gradients: the
losses are the same but for rounding.  Under torchrun or srun the command joins the
running job, and its first rank prints.
"""

import argparse
import contextlib
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.book.arguments import first_rank, refusing
from dlsys_code.introduction import average_gradients, serial, tokens
from dlsys_code.introduction.serial import Recipe
from dlsys_code.world import RankError, World
from dlsys_code.world.device import choose_device, running_job

DTYPES = {"float32": torch.float32, "float64": torch.float64}
LINES = 20  # about as many of the steps are printed
WEEK_S = 7 * 24 * 3600.0  # a World has a limit of time; training has none of its own
GLANCE_S = 0.1  # between two looks at what the first rank has written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    whole = Recipe()
    parser.add_argument(
        "--text", nargs="+", metavar="FILE", help="默认 Python 自带的文档"
    )
    parser.add_argument("--steps", type=int, default=60, help="默认 60")
    parser.add_argument(
        "--batch",
        type=int,
        default=whole.batch,
        help="每步的样本数，所有 rank 合计，默认 %(default)s",
    )
    parser.add_argument(
        "--sequence",
        type=int,
        default=whole.sequence,
        metavar="T",
        help="每个样本的词元数，默认 %(default)s",
    )
    parser.add_argument("--ranks", type=int, help="默认 1；在 torchrun 下是作业的")
    parser.add_argument(
        "--seed", type=int, default=whole.seed, help="权重和样本由它决定，默认 0"
    )
    parser.add_argument("--dtype", choices=DTYPES, default="float32")


def main(parser: argparse.ArgumentParser, args: argparse.Namespace) -> int:
    """Train as the arguments say; return 1 if a rank failed or the loss is no number.

    A bad argument ends the command with code 2 before any rank is started.
    """
    with refusing(parser, OSError, ValueError):
        world, recipe, text = planned(args)
    if first_rank():
        print(title(world, recipe, text), flush=True)
    try:
        if world is None:
            alone(recipe, text, args.steps)
        else:
            together(world, recipe, text, args.steps)
    except (FloatingPointError, RankError) as error:
        complain(parser.prog, error)
        return 1
    return 0


def planned(args: argparse.Namespace) -> tuple[World | None, Recipe, Tensor]:
    """Return the ranks, not started yet, None for this process alone; recipe and text.

    Errors: ValueError for arguments that do not fit; OSError for an unreadable file.
    """
    if args.steps < 1:
        raise ValueError(f"--steps {args.steps}：至少 1 步")
    if not 0 <= args.seed < 2**63:
        raise ValueError(f"--seed {args.seed}：从 0 到 2^63 - 1")
    recipe = Recipe(
        batch=args.batch,
        sequence=args.sequence,
        seed=args.seed,
        dtype=DTYPES[args.dtype],
    )
    text = tokens.read(args.text) if args.text else tokens.documentation()
    tokens.places(text, recipe.sequence)
    job = running_job()
    ranks = args.ranks if args.ranks is not None else job.ranks if job else 1
    world = World(ranks, timeout_s=WEEK_S) if job or ranks != 1 else None
    average_gradients.samples_each(recipe, ranks)
    return world, recipe, text


def title(world: World | None, recipe: Recipe, text: Tensor) -> str:
    """Return what stands over the lines."""
    with torch.device("meta"):
        parameters = sum(x.numel() for x in serial.fresh_model(recipe).parameters())
    ranks, device = (world.ranks, world.device) if world else (1, choose_device(1))
    threads = 1 if world else torch.get_num_threads()
    return (
        f"# {parameters:,} 个参数，{recipe.dtype}；文本 {len(text):,} 字节；"
        f"每步 {recipe.batch} x {recipe.sequence} 个词元\n"
        f"# {ranks} 个 rank，{device}，各 {threads} 个线程，torch {torch.__version__}\n"
        "#  step      loss    tokens/s"
    )


def alone(recipe: Recipe, text: Tensor, steps: int) -> None:
    """Train in this process and print."""
    with torch.device(choose_device(1)):
        for line in report(serial.train(recipe, text, steps=steps), recipe, steps):
            print(line, flush=True)


def together(world: World, recipe: Recipe, text: Tensor, steps: int) -> None:
    """Train on the ranks and print what the first one reports, as it comes."""
    with world, contextlib.ExitStack() as following:
        file = None if running_job() else following.enter_context(followed())
        world(share_of_training, recipe, text, steps, file)


def share_of_training(
    recipe: Recipe, text: Tensor, steps: int, file: Path | None
) -> None:
    """Train as one rank; the first one reports to a file, or on its standard output."""
    group = dist.group.WORLD
    with open(file, "a") if file else contextlib.nullcontext(sys.stdout) as out:
        for line in report(whole_losses(recipe, text, group, steps), recipe, steps):
            if group.rank() == 0:
                print(line, file=out, flush=True)


def whole_losses(
    recipe: Recipe, text: Tensor, group: ProcessGroup, steps: int
) -> Iterator[float]:
    """Yield the loss of each step's whole batch, on every rank."""
    for own in average_gradients.train(recipe, text, group, steps=steps):
        loss = torch.tensor(own, dtype=torch.float64)
        yield average_gradients.torch_sum(loss, group).item() / group.size()


def report(losses: Iterator[float], recipe: Recipe, steps: int) -> Iterator[str]:
    """Yield a line for some steps as they end, evenly spread, and one for the run.

    Speeds are of the steps since the line before: the first step has none, for it also
    builds the model.
    """
    every = max(1, steps // LINES)
    first = loss = next(losses)
    began = then = perf_counter()
    shown = 0
    yield f"{0:>7}  {first:>8.4f}"
    for step, loss in enumerate(losses, start=1):
        if step % every == 0 or step == steps - 1:
            now = perf_counter()
            rate = (step - shown) * recipe.tokens_per_step / (now - then)
            yield f"{step:>7}  {loss:>8.4f}  {rate:>10,.0f}"
            shown, then = step, now
    yield f"# {steps} 步，loss 从 {first:.4f} 到 {loss:.4f} nat/token"
    if shown:
        rate = shown * recipe.tokens_per_step / (then - began)
        yield f"# 后 {shown} 步用了 {then - began:.1f} s，{rate:,.0f} tokens/s"


@contextlib.contextmanager
def followed() -> Iterator[Path]:
    """Give a file and print here, as they come, the lines that are written to it."""
    with tempfile.NamedTemporaryFile("r") as lines:
        over = threading.Event()

        def follow() -> None:
            while not over.wait(GLANCE_S):
                print(lines.read(), end="", flush=True)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield Path(lines.name)
        finally:
            over.set()
            follower.join()
            print(lines.read(), end="", flush=True)


def complain(program: str, error: FloatingPointError | RankError) -> None:
    """Say in one line what ended the run; of a job's ranks the one that failed does."""
    job = running_job()
    if isinstance(error, FloatingPointError):
        print(f"{program}: {error}", file=sys.stderr)
    elif job is None or job.rank == error.rank:
        print(f"{program}: rank {error.rank}: {error.cause}", file=sys.stderr)
