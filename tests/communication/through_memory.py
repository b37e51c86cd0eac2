"""Programs that ranks run over shared memory, shared by its tests."""

import gc
import os
import signal
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.primitive.contenders import COLLECTIVES, Arena
from dlsys_code.world import control

BIG = 2**22  # float32: 16 MiB, sixteen times the slots of a box


def values(rank: int, count: int, dtype: torch.dtype) -> Tensor:
    """Values whose sum depends on the order; other ones on each rank."""
    noise = torch.randn(count, generator=torch.Generator().manual_seed(rank)) * 9
    return noise.to(dtype)


def every_collective(counts: list[int], dtype: torch.dtype) -> dict[str, Tensor]:
    """What every algorithm of chapter 4, and torch, makes of this rank's values."""
    group = dist.group.WORLD
    p, r = group.size(), group.rank()
    results = {}
    for count in counts:
        for name, collective in COLLECTIVES.items():
            chunks = p if collective.by_chunks else 1
            sends = chunks if collective.sends_all else 1
            keeps = chunks if collective.keeps_all else 1
            for algorithm, run in collective.contenders.items():
                x = values(r, sends * count, dtype)
                arena = Arena(
                    x=x,
                    out=torch.zeros(keeps * count, dtype=dtype),
                    scratch=torch.empty(3 * chunks * count, dtype=dtype),
                    group=group,
                    root=count % p,
                )
                with control.off():
                    got = run(arena)
                if collective.keeps_all or not collective.rooted or r == arena.root:
                    results[f"{name} by {algorithm}, {count}"] = got
    return results


def bits(x: Tensor | None) -> list[int] | None:
    return None if x is None else x.contiguous().view(-1).view(torch.uint8).tolist()


def head_on(count: int) -> bool:
    """Both ranks of a pair send before either receives."""
    me = dist.get_rank()
    peer = me ^ 1
    mine, theirs = torch.full((count,), float(me)), torch.empty(count)
    leaving = dist.isend(mine, peer)
    arriving = dist.irecv(theirs, peer)
    arriving.wait()
    leaving.wait()
    return bool((theirs == peer).all())


def tags_in_reverse(counts: list[int]) -> list[bool]:
    """Messages with tags 0, 1, ... are received in the other order."""
    if dist.get_rank() == 0:
        works = [
            dist.isend(torch.full((n,), float(n)), 1, tag=tag)
            for tag, n in enumerate(counts)
        ]
        for work in works:
            work.wait()
        return []
    right = []
    for tag, n in reversed([*enumerate(counts)]):
        got = torch.empty(n)
        dist.recv(got, 0, tag=tag)
        right.append(bool((got == n).all()))
    return right


def order_within_a_tag(n: int) -> list[float]:
    """Twenty messages, two tags, received one tag after the other."""
    if dist.get_rank() == 0:
        for i in range(20):
            dist.isend(torch.full((n,), float(i)), 1, tag=i % 2).wait()
        return []
    rows = torch.zeros(20, n)
    works = [dist.irecv(row, 0, tag=1) for row in rows[:10]]
    works += [dist.irecv(row, 0, tag=0) for row in rows[10:]]
    for work in works:
        work.wait()
    return rows[:, -1].tolist()


def from_any(n: int, tag: int) -> list[tuple[int, float]]:
    """Rank 0 takes what comes; each other rank sends two messages."""
    ranks = dist.get_world_size()
    if dist.get_rank():
        for i in range(2):
            dist.send(torch.full((n,), dist.get_rank() + 100.0 * i), 0, tag=tag)
        return []
    got, seen = torch.zeros(n), []
    for _ in range(2 * (ranks - 1)):
        source = dist.recv(got, tag=tag)
        seen.append((source, got[-1].item()))
    return seen


def in_two_groups(count: int) -> list[float]:
    """Messages of two groups between the same two ranks, the later group first."""
    groups = [dist.new_group([0, 1]) for _ in range(2)]
    me = dist.get_rank()
    if me > 1:
        return []
    got = [torch.zeros(count) for _ in groups]
    leaving = [
        dist.isend(torch.full((count,), 10.0 * i + me), 1 - me, group=group)
        for i, group in enumerate(groups)
    ]
    for i in (1, 0):
        dist.recv(got[i], 1 - me, group=groups[i])
    for work in leaving:
        work.wait()
    return [x[-1].item() for x in got]


def collective_before_the_wait(count: int) -> float:
    """Rank 0 is in an all-reduce while rank 1 still needs its pieces."""
    me, x = dist.get_rank(), torch.ones(count)
    if me == 0:
        leaving = dist.isend(x, 1)
        total = torch.ones(1)
        dist.all_reduce(total)
        leaving.wait()
    else:
        total = torch.ones(1)
        if me == 1:
            dist.recv(x, 0)
        dist.all_reduce(total)
    return total.item()


def wrong_size(sent: int, expected: int) -> str:
    """What the receiver says; a message after it arrives all the same."""
    got = torch.zeros(1)
    if dist.get_rank() == 0:
        dist.isend(torch.ones(sent), 1).wait()
        dist.isend(torch.full((1,), 7.0), 1).wait()
        return ""
    try:
        dist.recv(torch.empty(expected), 0)
    except ValueError as error:
        dist.recv(got, 0)
        return f"{error}; then {got.item():g}"
    return "no error"


def bad_calls() -> list[str]:
    """What calls say that can move nothing."""
    group = dist.group.WORLD.inner
    x = torch.ones(2, 3)
    calls = [
        lambda: group.send([x.T], 1 - dist.get_rank()),
        lambda: group.recv([x], dist.get_rank()),
        lambda: group.send([x], 2),
        lambda: group.recv([x], -1),
    ]
    said = []
    for call in calls:
        try:
            call()
        except ValueError as error:
            said.append(str(error))
    return said


def wait_a_little() -> None:
    """A receive that nobody answers, with a limit of its own."""
    if dist.get_rank() == 0:
        dist.irecv(torch.ones(1), 1).wait(timedelta(seconds=0.3))
    dist.barrier()


def one_dies(rank: int) -> None:
    """One rank is killed in the middle of a message of 16 MiB."""
    x = torch.ones(BIG)
    if dist.get_rank() == rank:
        dist.isend(x, 1 - rank)
        os.kill(os.getpid(), signal.SIGKILL)
    dist.recv(x, rank)


def mapped() -> int:
    """How much memory of this transport the rank holds."""
    gc.collect()
    with open("/proc/self/maps") as maps:
        return sum("dlsys-" in line for line in maps)


def make_groups(n: int) -> int:
    """Use some groups; they are left when the call is over."""
    for _ in range(n):
        group = dist.new_group()
        dist.send(
            torch.ones(1), group=group, group_dst=1
        ) if dist.get_rank() == 0 else (
            dist.recv(torch.ones(1), group=group, group_src=0)
        )
    return mapped()
