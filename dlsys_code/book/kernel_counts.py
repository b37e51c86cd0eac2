"""What the kernel says that a piece of Python made it do, on Linux.

A thread's system calls and bytes stand in `/proc/thread-self/io`, which counts reads
and writes of files, and of sockets where they are used as files: by `os.read` and
`os.write`, not by `send` and `recv`.  `getrusage` counts its context switches.

Source: Linux, Documentation/filesystems/proc.rst; getrusage(2).
"""

import os
import resource
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy
import torch.distributed as dist


class KernelWork(NamedTuple):
    """What the kernel did for one thread."""

    system_calls: int  # reads and writes
    copied_bytes: int  # between the program and the kernel
    sleeps: int  # voluntary context switches


def kernel_work(action: Callable[[], object], *, times: int = 1) -> KernelWork:
    """Run `action` so often and return what the kernel did for it, in this thread.

    Errors: RuntimeError on a system that does not count for each thread.
    """
    _check_system()
    before, looked = _so_far()
    for _ in range(times):
        action()
    after, _ = _so_far()
    # The first look is itself a read, counted only after it has seen the counters.
    return KernelWork(
        system_calls=after.system_calls - before.system_calls - 1,
        copied_bytes=after.copied_bytes - before.copied_bytes - looked,
        sleeps=after.sleeps - before.sleeps,
    )


def ping_pong_sleeps(turns: int) -> dict[str, int]:
    """Return how often this rank of two slept in a ping-pong, over TCP and over memory.

    Over memory the rank that waits reads one number again and again.
    Errors: RuntimeError as of `kernel_work`.
    """
    _check_system()
    rank = dist.get_rank()
    link, memory = _connect(rank), _share_a_number(rank)

    def over_tcp() -> None:
        for turn in range(turns):
            if turn % 2 == rank:
                os.write(link.fileno(), b".")
            else:
                os.read(link.fileno(), 1)

    def over_memory() -> None:
        for turn in range(turns):
            if turn % 2 == rank:
                memory[0] = turn + 1
            while memory[0] <= turn:
                pass

    sleeps = {}
    for name, play in (("TCP", over_tcp), ("shared memory", over_memory)):
        dist.barrier()
        sleeps[name] = kernel_work(play).sleeps
    dist.barrier()
    link.close()
    return sleeps


def _check_system() -> None:
    if sys.platform != "linux":
        raise RuntimeError(f"Linux counts what a thread does, {sys.platform} does not")


def _connect(rank: int) -> socket.socket:
    if rank == 0:
        with socket.create_server(("127.0.0.1", 0)) as server:
            _tell(server.getsockname())
            return server.accept()[0]
    return socket.create_connection(_tell(None))


def _share_a_number(rank: int) -> numpy.ndarray:
    if rank == 0:
        file = os.memfd_create("number")
        os.ftruncate(file, 8)
    path = _tell(f"/proc/{os.getpid()}/fd/{file}" if rank == 0 else None)
    number = numpy.memmap(path, numpy.int64, "r+", shape=1)
    dist.barrier()
    if rank == 0:
        os.close(file)  # both have it mapped, and it ends with them
    return number


def _tell(something: object) -> object:
    """Return what rank 0 has, on both."""
    box = [something]
    dist.broadcast_object_list(box, 0)
    return box[0]


def _so_far() -> tuple[KernelWork, int]:
    """Return what was counted until now, and the bytes that this look has read."""
    file = os.open("/proc/thread-self/io", os.O_RDONLY)
    text = os.read(file, 4096).decode()
    os.close(file)
    io = {name: int(n) for name, n in (line.split(":") for line in text.splitlines())}
    calls, moved = io["syscr"] + io["syscw"], io["rchar"] + io["wchar"]
    sleeps = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    return KernelWork(calls, moved, sleeps), len(text)
