"""Lines of the program: which file counts as the program, and how its lines are named.

A traceback of a parallel program runs through torch, this package and Python's own
library.  The reader wants the line that they wrote, under a name that is the same on
every machine: "<cell> line 5" or "train.py line 12".
"""

import linecache
import re
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

Frame = tuple[str, int, str]  # file, line, function

PACKAGE = str(Path(__file__).parents[1])
LIBRARIES = (
    *{sysconfig.get_path(p) for p in ("stdlib", "platstdlib", "purelib", "platlib")},
    str(Path(torch.__file__).parent),
    str(Path(__file__).parent),
    "<frozen",
)
TRANSPORTS = tuple(  # what works below torch in a chapter, as gloo does in C++
    f"{PACKAGE}/communication/{module}.py"
    for module in ("mailbox", "queues", "shared_memory", "shared_segment")
)
LONGEST = 12  # frames shown of a traceback; a recursion has a thousand


@cache
def is_program(filename: str) -> bool:
    """Return whether a file is the reader's or a chapter's, and no library's."""
    if filename.startswith(PACKAGE):
        return not filename.startswith((LIBRARIES[-2], *TRANSPORTS))
    return not filename.startswith(LIBRARIES)


@cache
def short_path(filename: str) -> str:
    """Return a file's name without what differs between machines.

    A notebook cell becomes "<cell>", a file of this package "dlsys_code/..." and one of
    torch "torch/...", any other file its last part.
    """
    path = filename.replace("\\", "/")
    if "ipykernel_" in path:
        return "<cell>"
    for package in ("dlsys_code", "torch"):
        _, found, inside = path.rpartition(f"/{package}/")
        if found:
            return f"{package}/{inside}"
    return path.rpartition("/")[2]


def call_site() -> str:
    """Return the line of the program that led here, for example "<cell> line 5"."""
    frame = sys._getframe(1)
    while frame is not None:
        if is_program(frame.f_code.co_filename):
            return f"{short_path(frame.f_code.co_filename)} line {frame.f_lineno}"
        frame = frame.f_back
    return "a thread of torch"


def place(frames: Sequence[Frame]) -> str:
    """Return the innermost of the lines, for example "<cell> line 5"; "" if none."""
    return f"{short_path(frames[-1][0])} line {frames[-1][1]}" if frames else ""


def source_of(frame: Frame) -> str:
    """Return the text of a line as this process knows it, cells of notebooks too."""
    file, number, _ = frame
    linecache.checkcache(file)
    return linecache.getline(file, number).strip()


def show(frames: Sequence[Frame]) -> str:
    """Return a short traceback: the lines of the program, outermost first."""
    lines = []
    for file, number, function in shortened(frames):
        lines.append(f"  {short_path(file)} line {number}, in {function}")
        if source := source_of((file, number, function)):
            lines.append(f"    {source}")
    if len(frames) > LONGEST:
        lines.append(f"  (the ends of a traceback of more than {LONGEST} lines)")
    return "\n".join(lines)


def shortened(frames: Sequence[Frame]) -> Sequence[Frame]:
    """Return both ends of a long traceback."""
    if len(frames) <= LONGEST:
        return frames
    return [*frames[: LONGEST // 2], *frames[-LONGEST // 2 :]]


def constant(text: str) -> str:
    """Drop what differs from run to run: ports, addresses in memory, folders."""
    text = re.sub(r"(\[[\d.:a-f]+\]):\d+", r"\1", text)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x...", text)
    text = re.sub(r"[^\s'\"]*ipykernel_\d+/\d+\.py", "<cell>", text)
    return re.sub(r"/\S*/(?=(torch|dlsys_code)/)", "", text)
