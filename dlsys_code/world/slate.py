"""Every call of a World begins on a clean slate.

The ranks of a warm pool live on between calls, so what one program changes the next one
would see.  `Slate` remembers a rank as it was when the pool started and puts back::

    environment, folder, import path     as the calling process has them now
    random numbers                       torch, random and numpy, each from seed 0
    torch's defaults                     dtype, device, gradients, threads, global hooks
    process groups                       all but the group of the whole world are left

What cannot be put back (a thread or a process still running, the world's group
destroyed) is reported, and the World starts new ranks for its next call.
"""

import multiprocessing
import os
import random
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.modules import module as hooks
from torch.optim import optimizer as optimizer_hooks


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


@dataclass
class Slate:
    """The state of a fresh rank.  own: the variables that only this rank has."""

    own: dict[str, str]
    device: torch.device | None = None
    filters: list = field(default_factory=lambda: list(warnings.filters))
    threads: set[int] = field(default_factory=set)

    def wipe(self, surroundings: Surroundings) -> None:
        """Put everything back, in the surroundings of the caller."""
        os.environ.clear()
        os.environ.update(surroundings.environ | self.own)
        os.chdir(surroundings.folder)
        sys.path[:] = surroundings.path
        warnings.filters[:] = self.filters
        self._seed()
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(self.device)
        torch.set_grad_enabled(True)
        torch.set_num_threads(1)
        if torch.are_deterministic_algorithms_enabled():  # the setter imports a lot
            torch.use_deterministic_algorithms(False)
        for holder in (hooks, optimizer_hooks):
            for name in [n for n in vars(holder) if n.startswith("_global_")]:
                if isinstance(vars(holder)[name], dict):
                    vars(holder)[name].clear()
        self.threads = {t.ident for t in threading.enumerate()}

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Run a program on a clean slate in a process that goes on afterwards."""
        here, filters, dtype = (
            Surroundings.here(),
            list(warnings.filters),
            torch.get_default_dtype(),
        )
        states = random.getstate(), torch.get_rng_state(), np.random.get_state()
        threads, device = torch.get_num_threads(), torch.get_default_device()
        self.wipe(here)
        try:
            yield
        finally:
            self.wipe(here)
            torch.set_default_dtype(dtype)
            torch.set_default_device(device)
            torch.set_num_threads(threads)
            warnings.filters[:] = filters
            random.setstate(states[0])
            torch.set_rng_state(states[1])
            np.random.set_state(states[2])

    def _seed(self) -> None:
        random.seed(0)
        torch.manual_seed(0)
        np.random.seed(0)

    def leave_groups(self) -> None:
        """Destroy the process groups that the program made."""
        if dist.is_initialized():
            for group in list(dist.distributed_c10d._world.pg_map):
                if group is not dist.group.WORLD:
                    dist.destroy_process_group(group)

    def is_clean(self) -> bool:
        """Return False if something of the program is still at work in this rank."""
        new = [t for t in threading.enumerate() if t.ident not in self.threads]
        return (
            dist.is_initialized() and not new and not multiprocessing.active_children()
        )
