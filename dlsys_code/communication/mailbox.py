"""A mailbox in shared memory: a ring of slots, and two semaphores that count them.

Two processes of one host can see the same memory, so a message between them need not
pass through the kernel.  The sender copies a piece into a slot and the receiver copies
it out; while one slot is emptied the next is filled::

    sender                           slots                  receiver
    take one of `free`         +---+---+---+---+            take one of `full`
    copy into the next slot -> | 4 | 5 | 2 | 3 | ->         copy out of the next slot
    post one to `full`         +---+---+---+---+            post one to `free`

A piece costs two copies, and four calls that do not enter the kernel; over sockets the
two copies are the kernel's.  Nothing but slots and semaphores is shared: each side
keeps its own count of turns.

Order of memory.  A processor may let others see two stores in the other order (ARM
does, x86 does not): the receiver would see "slot full" and read what was there before.
So "full" must not be an ordinary number.  A semaphore synchronizes memory: what was
written before a sem_post is there for the process whose sem_trywait takes that post, on
every processor.  The two calls must be on the same semaphore, as they are here; a lock
of each side's own would not do.

Sources: E. W. Dijkstra, "Cooperating sequential processes" (1965), the bounded buffer;
POSIX.1-2017, Base Definitions, 4.12 "Memory Synchronization", and sem_post.
"""

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

LINE = 64  # bytes; what two processes change lies on different lines of the cache
PAGE = 4096
HEAD = ctypes.c_int64 * 2  # before each piece: tag and length of the whole message


class Instant(ctypes.Structure):
    """A point in time, as C knows it."""

    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _of_c(
    name: str, *arguments: type, result: type = ctypes.c_int, sleeps: bool = False
) -> Callable | None:
    """Return a function of C; it keeps the lock of Python unless it may sleep."""
    if sys.platform != "linux":  # elsewhere a semaphore cannot lie in shared memory
        return None
    function = getattr((ctypes.CDLL if sleeps else ctypes.PyDLL)(None), name)
    function.argtypes, function.restype = arguments, result
    return function


_init = _of_c("sem_init", ctypes.c_void_p, ctypes.c_int, ctypes.c_uint)
_try = _of_c("sem_trywait", ctypes.c_void_p)
_timed = _of_c("sem_timedwait", ctypes.c_void_p, ctypes.POINTER(Instant), sleeps=True)
post = _of_c("sem_post", ctypes.c_void_p)
_addresses_and_bytes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
copy = _of_c("memmove", *_addresses_and_bytes, result=ctypes.c_void_p) or ctypes.memmove


def start(semaphore: int, count: int) -> None:
    """Make the semaphore at an address, to be shared between processes."""
    if _init(semaphore, 1, count):
        raise OSError(f"sem_init cannot make a semaphore that counts {count}")


def take(semaphore: int) -> bool:
    """Take one from a semaphore; return False at once when it stands at 0."""
    return _try(semaphore) == 0


def take_within(semaphore: int, limit_s: float) -> bool:
    """Sleep until one can be taken, a signal comes or the limit is over."""
    seconds, rest = divmod(time.time() + limit_s, 1)
    return _timed(semaphore, Instant(int(seconds), int(rest * 1e9))) == 0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where things lie in the memory of a group: bells, then a box for each pair.

    A rank that has nothing to do sleeps on its bell; whoever fills or frees a slot of
    its boxes rings.  Memory that no message touches is never given out by the kernel.
    Errors: ValueError when there are no ranks or slots, or a slot has no bytes.
    """

    ranks: int
    slots: int
    slot_bytes: int

    def __post_init__(self):
        if min(self.ranks, self.slots, self.slot_bytes) < 1:
            raise ValueError(
                f"{self.ranks} ranks with {self.slots} slots of {self.slot_bytes} bytes"
                ": each must be at least 1"
            )

    @property
    def stride(self) -> int:
        """Bytes from one slot to the next."""
        return LINE + -(-self.slot_bytes // LINE) * LINE

    @property
    def box_bytes(self) -> int:
        """Bytes of one box, whole pages."""
        return -(-(2 * LINE + self.slots * self.stride) // PAGE) * PAGE

    @property
    def first_box(self) -> int:
        """Where the boxes begin, behind the bells."""
        return -(-self.ranks * LINE // PAGE) * PAGE

    @property
    def bytes(self) -> int:
        """Bytes of everything."""
        return self.first_box + self.ranks * (self.ranks - 1) * self.box_bytes

    def box(self, source: int, destination: int) -> int:
        """Return where the box from one rank to another begins; none is to itself."""
        column = destination - (destination > source)
        return self.first_box + (source * (self.ranks - 1) + column) * self.box_bytes


class Mailbox:
    """One direction between two processes, as one of them sees it.

    address: where the box begins in the memory of this process.
    """

    def __init__(self, address: int, layout: Layout):
        self.full, self.free = address, address + LINE
        self.slots = [
            address + 2 * LINE + i * layout.stride for i in range(layout.slots)
        ]
        self.turn = 0  # slots that this side has filled, or emptied

    def start(self) -> None:
        """Make the semaphores; one process does, before any other looks."""
        start(self.full, 0)
        start(self.free, len(self.slots))

    def put(self, tag: int, total: int, piece: int, n: int) -> bool:
        """Copy n bytes at `piece` into the next slot; return False if none is free."""
        if not take(self.free):
            return False
        slot = self.next_slot()
        HEAD.from_address(slot)[:] = tag, total
        copy(slot + LINE, piece, n)
        post(self.full)
        return True

    def peek(self) -> tuple[int, int, int] | None:
        """Return tag, total and address of the next piece, None if there is none."""
        if not take(self.full):
            return None
        slot = self.next_slot()
        return *HEAD.from_address(slot), slot + LINE

    def release(self) -> None:
        """Give back the slot that `peek` has shown."""
        post(self.free)

    def next_slot(self) -> int:
        """Return the address of the slot whose turn it is."""
        slot = self.slots[self.turn % len(self.slots)]
        self.turn += 1
        return slot
