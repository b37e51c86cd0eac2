"""Every module can be imported where there is no Linux below it.

Functions that need it say so when they are called; the pages of the book, the figures
and the arithmetic need none of it.
"""

import subprocess
import sys

ELSEWHERE = """
import importlib, os, pkgutil, sys
import matplotlib.figure, networkx, psutil, resource, scipy.optimize, torch
import torch.distributed.run

linux_only = ("memfd_create", "sched_getaffinity", "sched_setscheduler", "setns")
for name in linux_only:
    if hasattr(os, name):
        delattr(os, name)
del resource.RUSAGE_THREAD
sys.platform = "darwin"

import dlsys_code
for module in pkgutil.walk_packages(dlsys_code.__path__, "dlsys_code."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

from dlsys_code.book.kernel_counts import kernel_work
from dlsys_code.communication.hosts import why_not
from dlsys_code.communication.shared_memory import shared_memory

for call in (lambda: kernel_work(print), lambda: shared_memory(None, 0, 1, None)):
    try:
        call()
    except (RuntimeError, ValueError) as error:
        assert "Linux" in str(error), error
    else:
        raise AssertionError("no error")
assert "Linux" in why_not()
"""


def test_without_linux_modules_import_and_functions_say_what_they_need():
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
