"""All that a rank prints, in rank order, the same text on every run.

Ranks print at once, from Python, C and C++, and so do the processes that they start.
Each rank's output goes to a file of its own; after the call the parent shows the files
one after the other, every line with its rank.  What differs from run to run is dropped:
gloo's "[Gloo] ..." lines, times in the log lines of torch, folders in warnings.
"""

import ctypes
import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dlsys_code.world.sources import short_path

TORCH_LOG = re.compile(r"^(?:\[rank\d+\]:)?\[([A-Z])\d{4} [\d:.]+ (?:\d+ )?")
LINE_BUFFERED = 1  # _IOLBF of C


def prints_file(folder: Path, rank: int) -> Path:
    """Return the file that holds what a rank printed during the latest call."""
    return folder / f"prints-{rank}"


def capture(file: Path) -> io.TextIOWrapper:
    """Send all that this process prints to `file`; return its new sys.stdout."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    if os.name == "posix":
        with suppress(ValueError):  # a C library that names its stdout otherwise
            libc = ctypes.CDLL(None)
            c_stdout = ctypes.c_void_p.in_dll(libc, "stdout")
            libc.setvbuf(c_stdout, None, LINE_BUFFERED, 0)
    raw = io.FileIO(1, "w", closefd=False)
    return io.TextIOWrapper(raw, "utf-8", line_buffering=True, write_through=True)


def forget() -> None:
    """Drop what this process has printed so far."""
    os.ftruncate(1, 0)


def flush(prints: io.TextIOWrapper) -> None:
    """Push out what Python, C and C++ still hold in their buffers."""
    prints.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


def shorten_warnings() -> None:
    """Show the warnings of this process without folders."""
    warnings.formatwarning = _warning_text


def _warning_text(message, category, filename, lineno, line=None) -> str:
    return f"{short_path(filename)} line {lineno}: {category.__name__}: {message}\n"


def shown(folder: Path, ranks: int) -> Iterator[str]:
    """Yield the printed lines of all ranks, in rank order."""
    for rank in range(ranks):
        file = prints_file(folder, rank)
        text = file.read_bytes().decode("utf-8", "replace") if file.exists() else ""
        for line in text.removesuffix("\n").split("\n") if text else ():
            if not line.startswith("[Gloo]"):
                yield f"[rank {rank}] {tidy(line)}"


def tidy(line: str) -> str:
    """Return the last state of an overwritten line, without the time of a log."""
    last = line.rstrip("\r").rpartition("\r")[2]
    return TORCH_LOG.sub(r"[\1 ", last)
