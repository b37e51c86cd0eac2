"""Programs whose ranks disagree about a call."""

import torch
import torch.distributed as dist

from dlsys_code.world import label


def shape():
    dist.all_reduce(torch.ones(4 if dist.get_rank() == 1 else 3))


def dtype():
    """Equal bytes: silent garbage in torch."""
    kind = torch.int32 if dist.get_rank() == 1 else torch.float32
    dist.all_reduce(torch.ones(4, dtype=kind))


def root():
    dist.broadcast(torch.ones(4), src=1 if dist.get_rank() == 1 else 0)


def reduction():
    op = dist.ReduceOp.MAX if dist.get_rank() == 1 else dist.ReduceOp.SUM
    dist.all_reduce(torch.ones(4), op=op)


def op():
    if dist.get_rank() == 1:
        dist.barrier()
    else:
        dist.all_reduce(torch.ones(4))


def line():
    """Two like collectives in swapped order: silent garbage in torch."""
    a, b = torch.ones(2), torch.zeros(2)
    if dist.get_rank() == 1:
        dist.all_reduce(b)
        dist.all_reduce(a)
    else:
        dist.all_reduce(a)
        dist.all_reduce(b)


def label_of_collective():
    """The same from one line of a loop, told apart by label."""
    named = [("weights", torch.ones(2)), ("bias", torch.zeros(2))]
    for name, x in reversed(named) if dist.get_rank() == 1 else named:
        with label(name):
            dist.all_reduce(x)


def split():
    """Rank 1 sends two numbers to rank 0, which expects one."""
    ranks = dist.get_world_size()
    sends, expects = [1] * ranks, [1] * ranks
    if dist.get_rank() == 1:
        sends[0] = 2
    inputs, outputs = torch.ones(sum(sends)), torch.empty(ranks)
    dist.all_to_all_single(outputs, inputs, expects, sends)


def message(sent, expected, names=("", "")):
    """Rank 0 sends one tensor, rank 1 expects another."""
    if dist.get_rank() == 0:
        with label(names[0]):
            dist.send(sent, 1)
    if dist.get_rank() == 1:
        with label(names[1]):
            dist.recv(expected, 0)
