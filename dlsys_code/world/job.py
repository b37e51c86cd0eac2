"""A World inside a job that torchrun or srun has started.

Nothing is started here: this process is already a rank.  It runs the program, tells the
others through the job's store how it went, and returns the results of all ranks, so the
lines that follow see the same list that a warm pool would have returned.

When a rank fails, every rank that is not caught in a collective raises the same
`RankError`; a rank that is caught ends itself at the limit of time, or is ended by the
launcher before.
"""

import atexit
import faulthandler
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.distributed as dist

from dlsys_code.world import journal, verdict, watched
from dlsys_code.world.device import Job
from dlsys_code.world.failure import Diagnosis
from dlsys_code.world.journal import Journal
from dlsys_code.world.mail import Reply
from dlsys_code.world.parcel import unpack
from dlsys_code.world.rank import FOREVER, run_program
from dlsys_code.world.slate import Slate
from dlsys_code.world.trace import Trace
from dlsys_code.world.watched import Transport

GAVE_UP = 3  # exit code of a rank that ends itself
GRACE_S = 0.3  # how long the other ranks may still report after the first failure
LAST_WORDS_S = 2.0  # how long a rank that waits lets the others say where they are
LAUNCHER_S = 10.0  # how long a launcher may take to end the peers of a dead rank


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
        diagnosis = Diagnosis(name, self.job.ranks, limit_s)
        everyone: list[Reply | None] = [None] * self.job.ranks
        with self._limited(diagnosis):
            with Slate({}).lent(self._device()):
                reply = run_program(program, args, notes)
            self._agree(reply, diagnosis)
            dist.all_gather_object(everyone, reply, group=self.side)
        results = [unpack(reply.result) for reply in everyone]
        return Trace(results, [event for reply in everyone for event in reply.events])

    def _device(self) -> torch.device | None:
        on_gpu = self.device == "cuda"
        return torch.device("cuda", self.job.local_rank) if on_gpu else None

    def _enter(self) -> None:
        """Join the job's process group, unless the program has done so already."""
        if self.side is not None:
            return
        if not dist.is_initialized():
            if self.device == "cuda":
                torch.cuda.set_device(self._device())
                backend = "cpu:gloo,cuda:nccl"
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

    @contextmanager
    def _limited(self, diagnosis: Diagnosis) -> Iterator[None]:
        """End this process when time runs out, also where no Python runs."""
        watchdog = threading.Timer(
            diagnosis.timeout_s, give_up, (self.job.rank, diagnosis)
        )
        watchdog.daemon = True
        watchdog.start()
        in_c_s = diagnosis.timeout_s + LAST_WORDS_S / 2
        faulthandler.dump_traceback_later(in_c_s, exit=True)
        try:
            yield
        finally:
            watchdog.cancel()
            faulthandler.cancel_dump_traceback_later()

    def _agree(self, reply: Reply, diagnosis: Diagnosis) -> None:
        """Tell every rank how this one did; raise one error if any has failed.

        A rank that only lost a connection waits for the launcher, which ends it.
        """
        store = dist.distributed_c10d._get_default_store()
        call = f"world/{self.calls}"
        keys = [f"{call}/{rank}" for rank in range(self.job.ranks)]
        short = replace(reply, result=b"", events=[])
        store.set(keys[self.job.rank], pickle.dumps(short))
        done = store.add(f"{call}/done", 1)
        if done == self.job.ranks or reply.kind != "returned":
            store.set(f"{call}/over", b"")
        store.wait([f"{call}/over"], FOREVER)
        if not store.check(keys):  # a moment for those that have not said how they did
            lost = verdict.of_reply(self.job.rank, reply).follows_another
            time.sleep(LAUNCHER_S if lost else GRACE_S)
        said = {r: key for r, key in enumerate(keys) if store.check([key])}
        judge({r: pickle.loads(store.get(key)) for r, key in said.items()}, diagnosis)


def judge(replies: dict[int, Reply], diagnosis: Diagnosis) -> None:
    """Raise one error if a rank has failed or the calls of the ranks do not match."""
    for rank, reply in replies.items():
        if reply.kind != "returned":
            diagnosis.failures[rank] = verdict.of_reply(rank, reply)
    if not diagnosis.failures:
        verdict.compare_counts(replies, diagnosis)
    if diagnosis.failures:
        raise diagnosis.error()


def give_up(rank: int, diagnosis: Diagnosis) -> None:
    """End this rank, saying where it was: it may be caught where nothing is raised."""
    frame = sys._current_frames()[threading.main_thread().ident]
    stack = [
        (f.filename, f.lineno or 0, f.name) for f in traceback.extract_stack(frame)
    ]
    found = diagnosis.failures[rank] = verdict.of_stack(rank, verdict.inside(stack))
    print(diagnosis.error(), file=sys.stderr, flush=True)
    if found.follows_another:  # the launcher ends all ranks when the first one ends
        time.sleep(LAST_WORDS_S)
    os._exit(GAVE_UP)


def leave() -> None:
    """Leave the job's group at the end of the script."""
    if dist.is_initialized():
        dist.destroy_process_group()
