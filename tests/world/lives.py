"""Programs and scripts whose processes a test counts."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from dlsys_code.world import World


def pids_with_child() -> list[int]:
    """This rank and a child that would live for ever."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    return [os.getpid(), child.pid]


def tell_and_do(folder, act=None):
    """Write the pids of this rank and a child to a file, then wait or worse.

    act: what every rank does; without it each rank does something else.
    """
    text = " ".join(map(str, pids_with_child()))
    file = Path(folder, f"{dist.get_rank()}.writing")
    file.write_text(text)
    file.rename(file.with_suffix(".pids"))
    act = act or ("sleep", "stop", "hold the lock")[dist.get_rank()]
    if act == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if act == "hold the lock":
        re.match(r"(a+)+$", "a" * 40 + "b")
    time.sleep(1000)


def nested(ranks):
    """A World of its own inside every rank."""
    with World(ranks, device="cpu") as inner:
        return dist.get_rank(), inner(rank)


def do_or_nest(folder, act):
    """Ranks 0 to 2 tell and do; the others have two ranks of their own that do so."""
    if dist.get_rank() < 3:
        tell_and_do(folder, act)
    with World(2, device="cpu") as inner:
        inner(tell_and_do, Path(folder, str(dist.get_rank())), act, timeout_s=1000)


def rank():
    return dist.get_rank()


def tell_nothing_and_sleep():
    time.sleep(1000)


def pid():
    return os.getpid()


def big_then_stop(size):
    """Rank 1 stops itself while the others have their result."""
    x = torch.ones(size, dtype=torch.uint8)
    if dist.get_rank() == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    return x


def stop_on_load():
    os.kill(os.getpid(), signal.SIGSTOP)


class StopsWhenLoaded:
    """An argument that stops the rank that unpacks it."""

    def __reduce__(self):
        return stop_on_load, ()


class StopsWhenPacked:
    """A result that stops the rank that packs it."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGSTOP)
        return int, ()


def return_stopper():
    return StopsWhenPacked() if dist.get_rank() == 1 else None


def ignore(*_):
    """Takes anything."""
