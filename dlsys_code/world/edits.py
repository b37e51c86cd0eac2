"""An edited module takes effect at the next call.

Python imports a file once per process, so a warm rank would go on running the old code.
Each rank reports the source files that it has imported; when one of them changes, the
World starts new ranks, which import it afresh.
"""

import os
import sys


class Imported:
    """The source files that this rank has imported, each with its time of change.

    fresh: the modules of a rank that has run no program; of these only this package's
    count.
    """

    def __init__(self, fresh: set[str]):
        self.seen = {name for name in fresh if not name.startswith("dlsys_code")}
        self.times: dict[str, int] = {}

    def files(self) -> dict[str, int]:
        """Return path -> time of change [ns] as it was when first seen."""
        for name in set(sys.modules) - self.seen:
            self.seen.add(name)
            path = getattr(sys.modules[name], "__file__", None) or ""
            if path.endswith(".py") and "site-packages" not in path:
                self.times[path] = time_of_change(path)
        return self.times


def time_of_change(path: str) -> int:
    """Return when a file was last written [ns], 0 if there is no such file."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def unchanged(times: dict[str, int]) -> bool:
    """Return whether all files still have their time of change."""
    return all(time_of_change(path) == then for path, then in times.items())
