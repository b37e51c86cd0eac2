"""The same ring over sockets and over shared memory, against gloo, beside two limits.

In every round each contender runs once, in shuffled order, after a barrier; a sample is
the time of the slowest rank, and the ratio to gloo is taken within a round.  A ring of
two ranks with n bytes sends n bytes from each rank, so neither can be faster than::

    copying    2 copies of n bytes: into the box, and out of the other rank's
    sockets    n bytes sent and n received by one core, by bare system calls

Source: T. Hoefler and R. Belli, "Scientific benchmarking of parallel computing
systems", SC15 (2015).
"""

import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from statistics import quantiles

import torch
import torch.distributed as dist

from dlsys_code.communication.mailbox import copy
from dlsys_code.primitive.in_place import ring_all_reduce_into_
from dlsys_code.world import control

WARM_UP = 2  # rounds that do not count
TURNS = 5  # of which the fastest is the limit
PIECE = 2**18  # bytes handed to a socket at once
Times = dict[str, list[float]]  # contender -> seconds in each round


def contenders(x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return what is raced on a World with another transport; all of them change x.

    None is watched but the last, which is the ring as a program of the World runs it.
    """
    plain, watched = dist.new_group(backend="gloo"), dist.group.WORLD
    scratch = torch.empty(2 * x.numel())
    return {
        "gloo": lambda: dist.all_reduce(x, group=plain),
        "ring, sockets": lambda: ring_all_reduce_into_(x, plain, scratch=scratch),
        "ring, memory": lambda: ring_all_reduce_into_(
            x, watched.inner, scratch=scratch
        ),
        "the same, watched": lambda: ring_all_reduce_into_(x, watched, scratch=scratch),
    }


def slowest(seconds: float) -> float:
    """Return the largest of the times of all ranks."""
    longest = torch.tensor(seconds, dtype=torch.float64)
    dist.all_reduce(longest, op=dist.ReduceOp.MAX)
    return longest.item()


def race(size: int, rounds: int, limit_s: float) -> Times:
    """Race at one size [bytes]; the program of every rank of a World.

    limit_s: no round begins after so many seconds of racing.
    """
    x, order, spent_s, turn = torch.zeros(size // 4), random.Random(0), 0.0, 0
    racing = contenders(x)
    times: Times = {name: [] for name in racing}
    while turn < WARM_UP + rounds and (spent_s < limit_s or turn < WARM_UP + 2):
        for name in order.sample(list(racing), len(racing)):
            x.fill_(1)
            dist.barrier()
            with control.off():
                begin = time.perf_counter()
                racing[name]()
                seconds = slowest(time.perf_counter() - begin)
            if x[-1] != dist.get_world_size():
                raise ArithmeticError(f"{name} gives {x[-1]}")
            spent_s += seconds
            times[name] += [seconds] if turn >= WARM_UP else []
        turn += 1
    return times


def ratios(times: Times, name: str) -> list[float]:
    """Return the lower quartile, median and upper quartile of time over gloo's."""
    pairs = zip(times[name], times["gloo"], strict=True)
    return quantiles([own / gloo for own, gloo in pairs], n=4)


def copying_s(size: int) -> float:
    """Return how long a core takes to copy `size` bytes twice [s]."""
    x, y = torch.ones(size, dtype=torch.uint8), torch.empty(size, dtype=torch.uint8)
    seconds = []
    for _ in range(TURNS):
        begin = time.perf_counter()
        copy(y.data_ptr(), x.data_ptr(), size)
        copy(x.data_ptr(), y.data_ptr(), size)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def sockets_s(size: int) -> float:
    """Return how long one core takes to send and receive `size` bytes over TCP [s].

    One thread does both in turn: what it has sent it receives again.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
    data = memoryview(bytearray(size))
    seconds = []
    with here, there:
        here.setblocking(False)
        for _ in range(TURNS):
            begin, sent, got = time.perf_counter(), 0, 0
            while got < size:
                with suppress(BlockingIOError):  # the kernel holds as much as it takes
                    sent += here.send(data[sent : sent + PIECE])
                got += there.recv_into(data[got:sent])
            seconds.append(time.perf_counter() - begin)
    return min(seconds)
