"""Right answers to the programs asked for in chapter 4, and likely wrong ones."""

import os
import signal

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn.functional import pad

from dlsys_code.primitive import ring
from dlsys_code.world import exchange, receive, send, shift


def swap(x: Tensor, group: ProcessGroup) -> Tensor:
    other = 1 - group.rank()
    return exchange(x, group, to=other, source=other)


def broadcast(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r, reach = group.size(), group.rank(), 1
    while reach < p:
        if r < reach and r + reach < p:
            send(x, group, to=r + reach)
        elif reach <= r < 2 * reach:
            x = receive(x, group, source=r - reach)
        reach *= 2
    return x


def broadcast_in_chunks(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    chunks = list(x.chunk(p)) if r == 0 else [None] * p
    like = x.chunk(p)[0]
    if r == 0:
        for chunk in chunks:
            send(chunk, group, to=1)
    else:
        chunks[0] = receive(like, group, source=r - 1)
        for i in range(1, p):
            if r < p - 1:
                chunks[i] = exchange(chunks[i - 1], group, to=r + 1, source=r - 1)
            else:
                chunks[i] = receive(like, group, source=r - 1)
        if r < p - 1:
            send(chunks[-1], group, to=r + 1)
    return torch.cat(chunks)


def all_gather(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    rows = {r: x}
    for step in range(p - 1):
        rows[(r - 1 - step) % p] = shift(rows[(r - step) % p], group)
    return torch.cat([rows[i] for i in range(p)])


def reduce_scatter(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    rows = x.view(p, -1)
    partial = rows[(r - 1) % p]
    for step in range(p - 1):
        partial = shift(partial, group) + rows[(r - 2 - step) % p]
    return partial


def all_reduce(x: Tensor, group: ProcessGroup) -> Tensor:
    padded = pad(x, (0, -len(x) % group.size()))
    return all_gather(reduce_scatter(padded, group), group)[: len(x)]


def doubling(x: Tensor, group: ProcessGroup) -> Tensor:
    distance = 1
    while distance < group.size():
        peer = group.rank() ^ distance
        x = x + exchange(x, group, to=peer, source=peer)
        distance *= 2
    return x


def all_reduce_six(x: Tensor, group: ProcessGroup) -> Tensor:
    r = group.rank()
    peer, side = r ^ 1, r % 2
    halves = x.view(2, -1)
    third = (
        halves[side] + exchange(halves[1 - side], group, to=peer, source=peer)
    ).view(3, -1)
    place, right, left = r // 2, (r + 2) % 6, (r - 2) % 6
    partial = third[(place - 1) % 3]
    for step in range(2):
        arrived = exchange(partial, group, to=right, source=left)
        partial = arrived + third[(place - 2 - step) % 3]
    rows = {place: partial}
    for step in range(2):
        rows[(place - 1 - step) % 3] = exchange(
            rows[(place - step) % 3], group, to=right, source=left
        )
    half = torch.cat([rows[i] for i in range(3)])
    other = exchange(half, group, to=peer, source=peer)
    return torch.cat([other, half] if side else [half, other])


def all_to_all(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    pieces, rows = x.chunk(p), {}
    rows[r] = pieces[r]
    for step in range(1, p):
        to, source = (r + step) % p, (r - step) % p
        rows[source] = exchange(pieces[to], group, to=to, source=source)
    return torch.cat([rows[i] for i in range(p)])


def head_on(x: Tensor, group: ProcessGroup) -> Tensor:
    send(x, group, to=1 - group.rank())
    return receive(x, group, source=1 - group.rank())


def torchs_own(x: Tensor, group: ProcessGroup) -> Tensor:
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


def the_books(x: Tensor, group: ProcessGroup) -> Tensor:
    return ring.all_reduce(x, group)


def whole_arrays_round_the_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    """A "ring" that moves p / 2 times the bytes."""
    total, passing = x.clone(), x
    for _ in range(group.size() - 1):
        passing = shift(passing, group)
        total = total + passing
    return total


def averaged(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group) / group.size()


def added_twice(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group) * group.size()


def changed_input(x: Tensor, group: ProcessGroup) -> Tensor:
    total = all_reduce(x, group)
    x.zero_()
    return total


def nothing(x: Tensor, group: ProcessGroup) -> None:
    all_reduce(x, group)


def own_input(x: Tensor, group: ProcessGroup) -> Tensor:
    return x.clone()


def rounded_down(x: Tensor, group: ProcessGroup) -> Tensor:
    """The elements that do not share equally are forgotten."""
    k = len(x) // group.size() * group.size()
    return torch.cat([all_reduce(x[:k], group), x[k:]])


def one_element_wrong(x: Tensor, group: ProcessGroup) -> Tensor:
    total = all_reduce(x, group)
    total[1] += group.rank() == 1
    return total


def flat_for_rows(x: Tensor, group: ProcessGroup) -> Tensor:
    return all_reduce(x, group).view(1, -1)


def raising(x: Tensor, group: ProcessGroup) -> Tensor:
    raise ValueError("I do not know")


def dying(x: Tensor, group: ProcessGroup) -> Tensor:
    if group.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return all_reduce(x, group)


def sent_too_much(x: Tensor, group: ProcessGroup) -> Tensor:
    total = all_reduce(x, group)
    if group.rank() == 0:
        dist.isend(x, 1)
    return total


def unchunked_chain(x: Tensor, group: ProcessGroup) -> Tensor:
    r, p = group.rank(), group.size()
    x = receive(x, group, source=r - 1) if r else x
    if r < p - 1:
        send(x, group, to=r + 1)
    return x
