"""A board on which the ranks of one host pin up every call before they make it.

Ranks that disagree about a call seldom get a wrong answer together; mostly they crash
in C++ or wait for ever.  So each rank first pins up what it is about to do, then looks
at what the others have pinned up for the same call.  Of any two ranks the later one
sees both notes before it has moved a byte, so a mismatch is named before it can do
harm, and no rank ever waits for another::

    rank 0   pins "all_reduce float32 (3,)"    looks: nothing yet      goes on
    rank 1   pins "all_reduce float32 (4,)"    looks: rank 0 differs   stops

A note is a line appended to the rank's own file, so writing needs no lock.
"""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

Note = dict[str, object]
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
LOOK_AGAIN_S = 1.0  # how long a mismatch waits for the notes of the other ranks


class Board:
    """One rank's view of the board of one call.

    folder: a folder that all ranks share.  call: the number of the call of the World.
    """

    def __init__(self, folder: Path, rank: int, call: int):
        self.folder, self.rank, self.call = folder, rank, call
        (folder / f"notes-{call - 1}-{rank}").unlink(missing_ok=True)  # all are past it
        self.mine = os.open(folder / f"notes-{call}-{rank}", APPEND, 0o600)
        self.files: dict[int, tuple[int, int]] = {}  # rank -> file descriptor, offset
        self.notes: dict[tuple[str, int], Note] = {}  # (key, rank) -> note

    def pin(self, key: str, note: Note) -> None:
        """Pin up this rank's note about the call that all ranks know as `key`."""
        self.notes[key, self.rank] = note
        os.write(self.mine, json.dumps([key, note]).encode() + b"\n")

    def note(self, key: str, rank: int) -> Note | None:
        """Return what `rank` has pinned up for `key`, None if nothing yet."""
        if (key, rank) not in self.notes:
            self._read(rank)
        return self.notes.get((key, rank))

    def wait_for(self, key: str, ranks: Iterable[int]) -> dict[int, Note]:
        """Return the notes of `ranks`, giving those that are late a short while."""
        limit = time.monotonic() + LOOK_AGAIN_S
        while time.monotonic() < limit and any(not self.note(key, r) for r in ranks):
            os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
        found = {rank: self.note(key, rank) for rank in ranks}
        return {rank: note for rank, note in found.items() if note}

    def close(self) -> None:
        """Close the files; the notes stay for the process that watches the ranks."""
        for descriptor in (self.mine, *(file for file, _ in self.files.values())):
            os.close(descriptor)

    def _read(self, rank: int) -> None:
        if rank not in self.files:
            try:
                path = self.folder / f"notes-{self.call}-{rank}"
                self.files[rank] = os.open(path, os.O_RDONLY), 0
            except FileNotFoundError:
                return
        descriptor, offset = self.files[rank]
        size = os.fstat(descriptor).st_size - offset
        if size:
            lines = os.pread(descriptor, size, offset).split(b"\n")
            for line in lines[:-1]:
                key, note = json.loads(line)
                self.notes[key, rank] = note
            self.files[rank] = descriptor, offset + size - len(lines[-1])
