"""How new processes start: from a server that has torch loaded, and without a script.

Sources: Python's multiprocessing, "Contexts and start methods".
"""

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext

PRELOAD = ["torch", "torch.distributed", "numpy", "cloudpickle"]  # not this package
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
    with _one_at_a_time, hidden_main():
        yield start_method()


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
