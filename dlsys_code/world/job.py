"""A World inside a job that torchrun or srun has started.

Nothing is started here: this process is already a rank.  It runs the program, tells the
others through the job's store how it went, and returns the results of all ranks, so the
lines that follow see the same list that a warm pool would have returned.

When a rank fails, every rank that is not caught in a collective raises the same
`RankError`; a rank that is caught ends itself at the limit of time, or is ended by the
launcher before.
"""

import atexit
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist

from dlsys_code.world import journal, verdict, watched
from dlsys_code.world.device import Job
from dlsys_code.world.failure import Diagnosis
from dlsys_code.world.journal import Journal
from dlsys_code.world.mail import Reply
from dlsys_code.world.parcel import unpack
from dlsys_code.world.rank import run_program
from dlsys_code.world.slate import Slate
from dlsys_code.world.trace import Trace
from dlsys_code.world.watched import Transport

GAVE_UP = 3  # exit code of a rank that ends itself


class Joined:
    """This process's part in a running job.  device: "cpu" or "cuda".

    What the program prints is not collected here: a launcher shows it as it comes.
    """

    def __init__(self, job: Job, ranks: int, *, device: str, transport: Transport):
        if ranks != job.ranks:
            raise ValueError(
                f"World({ranks}) inside a job of {job.ranks} ranks: "
                f"{job.launcher} has already decided how many there are"
            )
        self.job, self.device, self.transport = job, device, transport
        self.calls = 0
        self.side: dist.ProcessGroup | None = None  # carries results, unwatched

    def run(
        self, program: Callable, args: tuple, name: str, limit_s: float, traced: bool
    ) -> Trace:
        """Run the program on this rank; return the results of all ranks on each."""
        self._enter()
        self.calls += 1
        notes = journal.open_journal(Journal(self.job.rank, traced))
        watchdog = threading.Timer(limit_s, give_up, (name, limit_s))
        watchdog.daemon = True
        watchdog.start()
        try:
            with Slate({}).lent(self._device()):
                reply = run_program(program, args, notes)
            self._agree(reply, name, limit_s)
        finally:
            watchdog.cancel()
        everyone: list[Reply] = [reply] * self.job.ranks
        dist.all_gather_object(everyone, reply, group=self.side)
        results = [unpack(r.result) for r in everyone]
        return Trace(results, [event for r in everyone for event in r.events])

    def _device(self) -> torch.device | None:
        on_gpu = self.device == "cuda"
        return torch.device("cuda", self.job.local_rank) if on_gpu else None

    def _enter(self) -> None:
        """Join the job's process group, unless the program has done so already."""
        if self.side is not None:
            return
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl"
            if self.device == "cuda":
                torch.cuda.set_device(self._device())
            else:
                torch.set_num_threads(1)
                backend = watched.register(self.transport)
            dist.init_process_group(
                backend,
                rank=self.job.rank,
                world_size=self.job.ranks,
                device_id=self._device(),
            )
            atexit.register(leave)
        self.side = dist.new_group(backend="gloo")

    def _agree(self, reply: Reply, name: str, limit_s: float) -> None:
        """Tell every rank how this one did; raise one error if any has failed."""
        store = dist.distributed_c10d._get_default_store()
        keys = [f"world/{self.calls}/{rank}" for rank in range(self.job.ranks)]
        short = replace(reply, result=b"", events=[])
        store.set(keys[self.job.rank], pickle.dumps(short))
        if reply.kind != "returned":
            store.set(f"world/{self.calls}/failed", b"")
        replies = collect(store, keys, f"world/{self.calls}/failed")
        diagnosis = Diagnosis(name, self.job.ranks, limit_s)
        for rank, said in replies.items():
            if said.kind != "returned":
                diagnosis.failures[rank] = verdict.of_reply(rank, said)
        if not diagnosis.failures:
            verdict.compare_counts(replies, diagnosis)
        if diagnosis.failures:
            raise diagnosis.error()


def collect(store: dist.Store, keys: list[str], failed: str) -> dict[int, Reply]:
    """Return what every rank said; after a failure, what was said by then.

    The watchdog of the call limits the wait.
    """
    replies: dict[int, Reply] = {}
    while len(replies) < len(keys):
        over = store.check([failed])
        for rank, key in enumerate(keys):
            with suppress(dist.DistStoreError):  # not said within 0.1 s
                if rank not in replies:
                    store.wait([key], timedelta(seconds=0.1))
                    replies[rank] = pickle.loads(store.get(key))
        if over:
            break
    return replies


def give_up(name: str, limit_s: float) -> None:
    """End this rank, saying where it was: it may be caught where nothing is raised."""
    frame = sys._current_frames()[threading.main_thread().ident]
    print(
        f"{name}() did not finish in {limit_s:g} s; this rank was in", file=sys.stderr
    )
    traceback.print_stack(frame, file=sys.stderr)
    sys.stderr.flush()
    os._exit(GAVE_UP)


def leave() -> None:
    """Leave the job's group at the end of the script."""
    if dist.is_initialized():
        dist.destroy_process_group()
