"""Programs that print, and programs with results of every kind."""

import ctypes
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass

import torch
import torch.distributed as dist


def print_from_everywhere():
    """Python, C, the system call and a child, one line each, in this order."""
    rank = dist.get_rank()
    print("python", rank)
    print("error", rank, file=sys.stderr)
    libc = ctypes.CDLL(None)
    libc.printf(b"printf %d\n", rank)
    libc.puts(b"puts")
    os.write(1, b"write\n")
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    print("[Gloo] is dropped")
    print("分布式 ⇄")
    print("10%\r50%\r100%")
    print("no end of line", end="")


def print_and_fail():
    print("before")
    if dist.get_rank() == 1:
        ctypes.CDLL(None).printf(b"last words\n")
        os.abort()
    dist.barrier()


def warn():
    warnings.warn("careful", UserWarning, stacklevel=1)


def keep_quiet():
    """Prints nothing."""


def print_backwards(rounds):
    """Rank p - 1 prints first, rank 0 last."""
    for turn in range(rounds):
        for rank in reversed(range(dist.get_world_size())):
            dist.barrier()
            if dist.get_rank() == rank:
                print("turn", turn)


@dataclass
class Report:
    """A class that both sides know."""

    rank: int
    total: torch.Tensor


def report():
    total = torch.ones(3)
    dist.all_reduce(total)
    return Report(dist.get_rank(), total)


def tensors():
    """A small view of a large tensor, bf16, an empty tensor, a parameter."""
    rank = dist.get_rank()
    return {
        "view": torch.arange(1_000_000)[rank : rank + 1],
        "bf16": torch.full((2,), rank, dtype=torch.bfloat16),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "complex": torch.full((2,), 1j * rank),
        "conjugate": torch.full((2,), 1j).conj(),
        "flag": torch.tensor(True),
        "sparse": torch.eye(2).to_sparse(),
        "transposed": torch.arange(6).view(2, 3).t(),
    }


def rank_and(value):
    return dist.get_rank(), value


def large(size):
    """A result of `size` bytes on rank 1."""
    return torch.ones(size, dtype=torch.uint8) if dist.get_rank() == 1 else None


def length(x):
    return x.numel()
