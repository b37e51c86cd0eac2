"""Programs that leave a message, or a collective, with one end only."""

import torch
import torch.distributed as dist


def send_to_nobody(source, destination, tag=0):
    if dist.get_rank() == source:
        dist.isend(torch.full((2,), 99.0), destination, tag=tag)


def receive_from_nobody(source, destination):
    if dist.get_rank() == destination:
        dist.irecv(torch.empty(2), source)


def receive_from_any(destination):
    if dist.get_rank() == destination:
        dist.irecv(torch.empty(2))


def one_collective_more(rank):
    dist.all_reduce(torch.ones(2))
    if dist.get_rank() == rank:
        dist.all_reduce(torch.ones(2), async_op=True)


def one_receive_less():
    """Rank 0 sends two numbers, rank 1 takes one."""
    if dist.get_rank() == 0:
        for number in (1.0, 2.0):
            dist.isend(torch.tensor([number]), 1)
    if dist.get_rank() == 1:
        dist.recv(torch.empty(1), 0)


def receive(source, destination):
    """A right message: 7."""
    got = torch.full((2,), 7.0)
    if dist.get_rank() == source:
        dist.send(got, destination)
    if dist.get_rank() == destination:
        got.zero_()
        dist.recv(got, source)
    return got[0].item()
