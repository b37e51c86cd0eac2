"""The processes of one World: started once, called many times, ended together.

The parent never waits inside a read or a write.  It waits for all pipes and all exits
at once, under one limit of time; after the first failure the other ranks have a moment
to report theirs, so that the error names the cause and not who happened to be heard
first.

Sources: Python's multiprocessing, "Contexts and start methods"; the design of a parent
that watches pipes and sentinels follows torch.distributed.elastic.
"""

import atexit
import multiprocessing
import os
import signal
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.context import BaseContext
from pathlib import Path

import cloudpickle

from dlsys_code.world import guard, mail, prints, verdict
from dlsys_code.world.edits import unchanged
from dlsys_code.world.failure import Diagnosis
from dlsys_code.world.mail import Place, Reply, Request
from dlsys_code.world.rank import live
from dlsys_code.world.starting import starting

GRACE_S = 0.3  # how long the other ranks may still report after the first failure
STACKS_LIMIT_S = 0.5  # a process writes its stack within milliseconds, if it can
START_LIMIT_S = 120.0


class Processes:
    """One process for each rank, and a guard that ends them with the parent.

    place: what the ranks have in common; the folder is the guard's.
    """

    def __init__(self, place: Place):
        self.ranks = place.ranks
        self.processes: list[multiprocessing.Process] = []
        self.pipes: list[connection.Connection] = []
        self.stacks: list[connection.Connection] = []
        self.modules: dict[str, int] = {}  # source file -> time of change
        self.clean = True
        with starting() as context:
            watcher, its_pipe, self.folder = guard.start(context)
            self._finalizer = weakref.finalize(
                self, end, os.getpid(), self.folder, self.processes, watcher, its_pipe
            )
            # At exit this must run before multiprocessing's handler, which joins the
            # ranks; of all handlers the last one registered runs first.
            atexit.register(self._finalizer)
        try:
            with starting() as context:
                for rank in range(self.ranks):
                    self._start(context, replace(place, rank=rank, folder=self.folder))
            self._collect(Diagnosis("World", self.ranks, START_LIMIT_S))
        except BaseException:
            show(prints.shown(self.folder, self.ranks))
            self.end()
            raise

    def _start(self, context: BaseContext, place: Place) -> None:
        pipe, its_pipe = context.Pipe()
        stacks, its_stacks = context.Pipe(duplex=False)
        process = context.Process(
            target=live,
            args=(cloudpickle.dumps(place), its_pipe, its_stacks),
            name=f"rank {place.rank}",
        )
        process.start()
        self.processes.append(process)
        self.pipes.append(pipe)
        self.stacks.append(stacks)
        its_pipe.close()
        its_stacks.close()

    def is_current(self) -> bool:
        """Return False if a rank has ended, or a file that it imported has changed."""
        alive = all(process.is_alive() for process in self.processes)
        return self.clean and alive and unchanged(self.modules)

    def call(self, request: Request, program: str, limit_s: float) -> list[Reply]:
        """Send one call to every rank and return what they report.

        What the ranks printed is shown also when the call fails.
        """
        mail.post(request, mail.request_file(self.folder))
        for pipe in self.pipes:
            with suppress(OSError):  # a rank that has just died is reported below
                mail.say_complete(pipe)
        try:
            replies = self._collect(Diagnosis(program, self.ranks, limit_s))
        finally:
            show(prints.shown(self.folder, self.ranks))
        self.clean = all(reply.clean for reply in replies)
        return replies

    def _collect(self, diagnosis: Diagnosis) -> list[Reply]:
        """Wait for every rank's reply; raise one error when any has failed."""
        end_s = time.monotonic() + diagnosis.timeout_s
        replies: dict[int, Reply] = {}
        silent = list(range(self.ranks))
        while silent:
            ready = self._wait(silent, end_s)
            if not ready:
                break
            for rank in ready:
                reply = self._receive(rank)
                if reply is not None and reply.kind == "returned":
                    replies[rank] = reply
                else:
                    failure = verdict.of_rank(rank, reply, self.processes[rank])
                    diagnosis.failures[rank] = failure
                    end_s = min(end_s, time.monotonic() + GRACE_S)
            silent = [rank for rank in silent if rank not in ready]
        diagnosis.returned = set(replies)
        if not diagnosis.failures:
            self._ask_where(silent, diagnosis)
        if not diagnosis.failures:
            verdict.compare_counts(replies, diagnosis)
        if diagnosis.failures:
            raise diagnosis.error() from None
        for reply in replies.values():
            self.modules |= reply.modules
        return [replies[rank] for rank in range(self.ranks)]

    def _wait(self, ranks: Sequence[int], end_s: float) -> list[int]:
        """Return those of `ranks` that have replied or ended; none when time is up."""
        owner = {self.pipes[rank]: rank for rank in ranks}
        owner |= {self.processes[rank].sentinel: rank for rank in ranks}
        ready = connection.wait(list(owner), max(0.0, end_s - time.monotonic()))
        return sorted({owner[event] for event in ready})

    def _receive(self, rank: int) -> Reply | None:
        """Return the reply of a rank that is ready; None if its process has ended."""
        try:
            if not self.pipes[rank].poll():
                return None
            self.pipes[rank].recv_bytes()
        except (EOFError, OSError):
            return None
        file = mail.reply_file(self.folder, rank)
        reply = mail.open_post(file)
        file.unlink()
        return reply

    def _ask_where(self, ranks: Sequence[int], diagnosis: Diagnosis) -> None:
        """Record for each rank, which has not answered in time, where it is."""
        end_s = time.monotonic() + STACKS_LIMIT_S
        for rank in ranks:
            if hasattr(signal, "SIGUSR1"):
                with suppress(ProcessLookupError):
                    os.kill(self.processes[rank].pid, signal.SIGUSR1)
        for rank in ranks:
            pid = self.processes[rank].pid
            stopped = verdict.is_stopped(pid)
            dump = "" if stopped else read_stack(self.stacks[rank], end_s)
            frames = verdict.frames_of(dump)
            diagnosis.failures[rank] = verdict.of_stack(rank, frames, stopped=stopped)

    def end(self) -> None:
        """Kill every rank with what it has started; leave no file behind."""
        atexit.unregister(self._finalizer)
        self._finalizer()
        for pipe in (*self.pipes, *self.stacks):
            pipe.close()


def end(
    parent: int,
    folder: Path,
    processes: list[multiprocessing.Process],
    watcher: multiprocessing.Process,
    its_pipe: connection.Connection,
) -> None:
    """End the ranks and their guard.  parent: the process that may do so."""
    if os.getpid() != parent:  # a copy of the World in a forked child is no owner
        return
    guard.clean_up(folder)
    its_pipe.close()
    for process in (*processes, watcher):
        process.kill()
        process.join()
        process.close()
    processes.clear()


def read_stack(stacks: connection.Connection, end_s: float) -> str:
    """Return the stack that a rank writes on SIGUSR1, as far as it comes in time."""
    text = ""
    while f" in {live.__name__}\n" not in text and "\n  ...\n" not in text:
        if not connection.wait([stacks], max(0.0, end_s - time.monotonic())):
            break
        if not (part := os.read(stacks.fileno(), 1 << 16)):
            break
        text += part.decode("utf-8", "replace")
    return text


def show(lines: Iterator[str]) -> None:
    """Print what the ranks printed, if anything."""
    if text := "\n".join(lines):
        print(text, flush=True)
