"""What holds the life of the ranks to the life of the process that started them.

A rank cannot watch over itself: it may be stopped by a signal, or caught in C where no
Python runs.  So every pool has one more process, the guard.  It makes the pool's folder
and waits on a pipe that closes when the parent ends, however it ends; then it kills
the ranks with all that they have started, and removes the folder::

    parent  --pipe--  guard         the parent dies: the pipe closes
                        |
              folder/pid-17, pid-18 the ranks, each entered by itself

A rank enters itself in the folder before it does anything else.  The folder is renamed
before the entries are read: a rank that comes too late finds no folder, and ends.
"""

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from multiprocessing import Process
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path


def start(context: BaseContext) -> tuple[Process, Connection, Path]:
    """Start a guard; return its process, the pipe that it watches, and its folder."""
    pipe, its_pipe = context.Pipe()
    process = context.Process(target=guard, args=(its_pipe,), name="guard")
    process.start()
    its_pipe.close()
    return process, pipe, pipe.recv()


def guard(pipe: Connection) -> None:
    """Send the parent the path of a new folder; clean up when the parent lets go."""
    leave_session()
    folder = Path(tempfile.mkdtemp(prefix="world-"))
    with suppress(OSError, EOFError):
        pipe.send(folder)
        pipe.recv()
    clean_up(folder)


def enter(folder: Path) -> None:
    """Put this process under the guard's watch.

    Errors: FileNotFoundError if the pool has ended in the meantime.
    """
    leave_session()
    (folder / f"pid-{os.getpid()}").touch()


def leave_session() -> None:
    """Let signals for the parent's process group pass, as Jupyter's interrupt is."""
    if hasattr(os, "setsid"):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def clean_up(folder: Path) -> None:
    """Kill the processes entered in a folder, and remove it; harmless when repeated."""
    over = folder.with_name(f"{folder.name}-over")
    with suppress(FileNotFoundError):
        folder.rename(over)
    for entry in over.glob("pid-*"):
        kill_group(int(entry.name.removeprefix("pid-")))
    shutil.rmtree(over, ignore_errors=True)


def kill_group(pid: int) -> None:
    """Kill a rank and the processes that it has started."""
    kill = getattr(os, "killpg", os.kill)
    with suppress(ProcessLookupError, PermissionError):
        kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
