"""How new processes start: from a server that has torch loaded, and without a script.

Sources: Python's multiprocessing, "Contexts and start methods".
"""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext

PRELOAD = ["torch", "torch.distributed", "numpy", "cloudpickle"]  # not this package
PRELOAD += ["torch._dynamo"]  # a process's first optimizer would load it, for a second
_one_at_a_time = threading.Lock()  # starting a process borrows attributes of __main__


def start_method() -> BaseContext:
    """Return how to start processes: from a server with torch loaded, or from nothing.

    A plain fork would copy the threads and locks of the calling process.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


@contextmanager
def starting() -> Iterator[BaseContext]:
    """Give the context that starts processes, which do not run the caller's script.

    A new process runs the file that `__main__` names; for the moment it names none.
    """
    with uninterrupted(), _one_at_a_time, hidden_main():
        yield start_method()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off an interrupt from the keyboard until the block is over.

    The server ends when a request to it stops halfway, and the next call would find it
    dying.  Masking the signal would not do: another thread of a kernel may take it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def hidden_main() -> Iterator[None]:
    """Hide which script or notebook this process runs."""
    main = sys.modules["__main__"]
    names = [name for name in ("__spec__", "__file__") if hasattr(main, name)]
    kept = {name: getattr(main, name) for name in names}
    try:
        main.__spec__ = None
        if "__file__" in kept:
            del main.__file__
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)
