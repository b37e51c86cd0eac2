"""Every call of a World begins on a clean slate.

The ranks of a warm pool live on between calls, so what one program changes the next one
would see.  `Slate` remembers a rank as it was when the pool started and puts back::

    environment, folder, import path     as the calling process has them now
    random numbers                       torch, random and numpy, each from seed 0
    defaults of torch                    dtype, device, gradients, threads, hooks, ...
    ways to print                        sys.stdout, print options, warnings, logging
    process groups                       all but the group of the whole world are left

What cannot be put back (a thread or a process still running, the world's group
destroyed, a message under way) is reported, and the World starts new ranks for its next
call.  Modules stay imported, with what they hold, as in any Python process.
"""

import importlib
import logging
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.modules import module as module_hooks
from torch.optim import optimizer as optimizer_hooks
from torch.utils import _device

from dlsys_code.world import journal


@dataclass(frozen=True)
class Surroundings:
    """Where the calling process stands; it travels to the ranks with every call."""

    environ: dict[str, str]
    folder: str
    path: list[str]

    @classmethod
    def here(cls) -> "Surroundings":
        """Return the surroundings of this process."""
        return cls(dict(os.environ), os.getcwd(), list(sys.path))

    def enter(self, own: dict[str, str]) -> None:
        """Make these the surroundings of this process.  own: more variables."""
        if dict(os.environ) != self.environ | own:  # every write goes through C
            os.environ.clear()
            os.environ.update(self.environ | own)
        os.chdir(self.folder)
        sys.path[:] = self.path
        importlib.invalidate_caches()  # a file may have been written just now


def _hooks() -> list[dict]:
    """Return torch's tables of hooks that apply to every module or optimizer."""
    return [
        table
        for holder in (module_hooks, optimizer_hooks)
        for name, table in sorted(vars(holder).items())
        if name.startswith("_global_") and isinstance(table, dict)
    ]


def _put_hooks(tables: list[dict]) -> None:
    for table, kept in zip(_hooks(), tables, strict=True):
        table.clear()
        table.update(kept)


def _put_filters(filters: list) -> None:
    warnings.resetwarnings()  # it also forgets which warnings were shown
    warnings.filters.extend(filters)


def _put_handlers(handlers: list[logging.Handler]) -> None:
    logging.root.handlers[:] = handlers


def _put_deterministic(wanted: bool) -> None:
    if torch.are_deterministic_algorithms_enabled() != wanted:  # the setter is slow
        torch.use_deterministic_algorithms(wanted)


# How to read a setting that a program may change, and how to put it back.
SETTINGS: list[tuple[Callable[[], object], Callable[[object], None]]] = [
    (torch.get_default_dtype, torch.set_default_dtype),
    (lambda: _device.CURRENT_DEVICE, torch.set_default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.are_deterministic_algorithms_enabled, _put_deterministic),
    (lambda: [dict(table) for table in _hooks()], _put_hooks),
    (
        lambda: copy(torch._tensor_str.PRINT_OPTS),
        lambda options: vars(torch._tensor_str.PRINT_OPTS).update(vars(options)),
    ),
    (np.get_printoptions, lambda options: np.set_printoptions(**options)),
    (lambda: list(warnings.filters), _put_filters),
    (lambda: list(logging.root.handlers), _put_handlers),
    (lambda: logging.root.level, logging.root.setLevel),
    (lambda: sys.stdout, lambda stream: setattr(sys, "stdout", stream)),
    (lambda: sys.stderr, lambda stream: setattr(sys, "stderr", stream)),
]


def read_settings() -> list[object]:
    """Return the settings of this process as they are now."""
    return [read() for read, _ in SETTINGS]


def put_back(settings: list[object]) -> None:
    """Make the settings of this process what `read_settings` returned."""
    for (_, write), value in zip(SETTINGS, settings, strict=True):
        write(value)


def seed() -> None:
    """Begin the random numbers of every library anew."""
    random.seed(0)
    torch.manual_seed(0)
    np.random.seed(0)


@dataclass
class Slate:
    """The state of a fresh rank, taken now.  own: variables that only it has."""

    own: dict[str, str]
    settings: list[object] = field(default_factory=read_settings)
    threads: set[int] = field(default_factory=set)

    def wipe(self, surroundings: Surroundings) -> None:
        """Put everything back, in the surroundings of the caller."""
        surroundings.enter(self.own)
        put_back(self.settings)
        seed()
        self.threads = {t.ident for t in threading.enumerate()}

    @contextmanager
    def lent(self, device: torch.device | None) -> Iterator[None]:
        """Run a program on a clean slate in a process that goes on afterwards."""
        here, threads = Surroundings.here(), torch.get_num_threads()
        states = random.getstate(), torch.get_rng_state(), np.random.get_state()
        self.wipe(here)
        torch.set_default_device(device)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            self.wipe(here)
            torch.set_num_threads(threads)
            random.setstate(states[0])
            torch.set_rng_state(states[1])
            np.random.set_state(states[2])

    def leave_groups(self) -> None:
        """Destroy the process groups that the program made."""
        if dist.is_initialized():
            for group in list(dist.distributed_c10d._world.pg_map):
                if group is not dist.group.WORLD:
                    dist.destroy_process_group(group)

    def is_clean(self) -> bool:
        """Return False if something of the program is still at work in this rank."""
        return (
            dist.is_initialized()
            and not journal.current().under_way
            and not {t.ident for t in threading.enumerate()} - self.threads
            and not has_children()
        )


def has_children() -> bool:
    """Return whether this process has a child that runs or has not been waited for."""
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
