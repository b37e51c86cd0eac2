"""Memory that several processes of one host share, and that nobody leaves behind.

Shared memory has a name in /dev/shm and outlives its processes.  So one rank makes it,
the others find it, and once all have it the name is removed; the memory itself goes
with the last process, however that ends::

    rank 0    make, say the name ........ all have it: remove the name
    rank r    ........ attach, say so

Whoever is killed in these milliseconds leaves the name to Python's resource tracker,
which removes it when the program has ended; if that is killed too, the next program
removes it.

Source: Python, multiprocessing.shared_memory (what `track` is for).
"""

import ctypes
import os
import secrets
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import torch.distributed as dist

from dlsys_code.introduction.units import show_bytes

FOLDER = Path("/dev/shm")
PREFIX = "dlsys-"  # then the process that made it
ATTACHED_S = 60.0  # a name that is older has been forgotten, if its maker has ended


class Segment:
    """Shared memory as this process sees it.  address: where it begins here."""

    def __init__(self, memory: SharedMemory):
        view = ctypes.c_char.from_buffer(memory.buf)
        self.address = ctypes.addressof(view)
        self.close = weakref.finalize(self, _close, [view], memory)


def _close(views: list[ctypes.c_char], memory: SharedMemory) -> None:
    views.clear()  # Python does not close memory that is still looked at
    memory.close()


def share(
    size: int,
    store: dist.Store,
    rank: int,
    ranks: int,
    *,
    limit: timedelta,
    prepare: Callable[[int], None],
) -> Segment:
    """Return memory that all ranks of a group see; every one of them calls this.

    prepare: called on rank 0 with the address, before any other rank sees the memory.
    Errors: ValueError when the host has too little, or a rank is on another host.
    """
    if rank == 0:
        memory = make(size)
        try:
            segment = Segment(memory)
            prepare(segment.address)
            store.set("segment", memory.name)
            store.wait([f"attached/{r}" for r in range(1, ranks)], limit)
        finally:
            memory.unlink()
        return segment
    store.wait(["segment"], limit)
    segment = Segment(attach(store.get("segment").decode(), rank))
    store.set(f"attached/{rank}", b"")
    return segment


def make(size: int) -> SharedMemory:
    """Return new shared memory.

    Errors: ValueError when the host has too little: what is missing would only show
    when it is written to, by a signal that ends the process.
    """
    remove_forgotten()
    disk = os.statvfs(FOLDER)
    if (left := disk.f_bavail * disk.f_frsize) < size:
        raise ValueError(
            f"{show_bytes(size)} of {FOLDER} are needed and {show_bytes(left)} are "
            "left: take fewer or smaller slots, or give a container more (--shm-size)"
        )
    name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    return SharedMemory(name, create=True, size=size)


def attach(name: str, rank: int) -> SharedMemory:
    """Return the shared memory of that name, made and removed by another process.

    Errors: ValueError when this host has none of that name.
    """
    try:
        if sys.version_info >= (3, 13):
            return SharedMemory(name, track=False)
        with _untracked():
            return SharedMemory(name)
    except FileNotFoundError:
        raise ValueError(
            f"rank {rank} does not find the memory that rank 0 has made: "
            "shared memory joins ranks of one host"
        ) from None


@contextmanager
def _untracked() -> Iterator[None]:
    """Hide from the resource tracker what is attached: it would remove it once more."""
    register = resource_tracker.register
    resource_tracker.register = lambda name, kind: None
    try:
        yield
    finally:
        resource_tracker.register = register


def remove_forgotten() -> None:
    """Remove the names of memory whose makers were killed, with all that watch them."""
    for path in FOLDER.glob(f"{PREFIX}*-*"):
        with suppress(FileNotFoundError, PermissionError, ValueError):
            maker = int(path.name.split("-")[1])
            old = time.time() - path.stat().st_mtime > ATTACHED_S
            if old and has_ended(maker):
                path.unlink()


def has_ended(process: int) -> bool:
    """Return whether a process is there no more, or has ended unnoticed."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"
