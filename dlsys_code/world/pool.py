"""World(4): four processes that wait for a parallel program and run it::

    world = World(4)
    world(program, *args)  ->  [result of rank 0, ..., result of rank 3]

The processes start once, join one process group and stay warm, so a call costs
milliseconds.  `program` is plain torch.distributed: under torchrun the same lines join
the running job.  The parent watches every process under one limit of time; on the
first failure it ends all ranks and raises one `RankError`, and the next call starts new
ones.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

from dlsys_code.world import device as devices
from dlsys_code.world.failure import Diagnosis, Failure
from dlsys_code.world.host import Host
from dlsys_code.world.job import Joined
from dlsys_code.world.mail import Place, Reply, Request
from dlsys_code.world.parcel import pack, unpack
from dlsys_code.world.processes import Processes
from dlsys_code.world.slate import Surroundings
from dlsys_code.world.trace import Trace
from dlsys_code.world.watched import Transport, gloo


class World:
    """A warm pool of ranks.

    ranks: how many.  device: "cpu", "cuda" or None to choose (see `choose_device`).
    timeout_s: the limit of a call, unless the call gives its own.
    checked: compare every call between the ranks before it is made (on the CPU).
    transport: makes the group that carries the messages (on the CPU).
    hosts: where each rank lives, one entry a rank (on the CPU); None: here.

    Under torchrun or srun a World starts nothing and joins the running job.
    Errors: ValueError for bad arguments, or when the job has another number of ranks.
    """

    def __init__(
        self,
        ranks: int,
        *,
        device: str | None = None,
        timeout_s: float = 60.0,
        checked: bool = False,
        transport: Transport = gloo,
        hosts: Sequence[Host] | None = None,
    ):
        if not isinstance(ranks, int) or isinstance(ranks, bool) or ranks < 1:
            raise ValueError(f"a World needs a whole number of ranks, not {ranks!r}")
        self.ranks, self.timeout_s = ranks, checked_limit_s(timeout_s)
        self.checked, self.transport = checked, transport
        self.hosts = checked_hosts(hosts, ranks)
        if self.hosts and device == "cuda":
            raise ValueError("ranks on hosts use the CPU only: leave out device")
        device = "cpu" if self.hosts else device
        job = devices.running_job()
        local_ranks = job.local_ranks if job else ranks
        self.device = devices.choose_device(local_ranks, device)
        if checked and self.device == "cuda":
            if device is not None:
                raise ValueError("calls are checked on the CPU only: leave out device")
            self.device = "cpu"
        if checked and job:
            raise ValueError(
                f"a checked World starts its own ranks: run it without {job.launcher}"
            )
        if self.hosts and job:
            raise ValueError(
                f"a World on hosts starts its own ranks: run it without {job.launcher}"
            )
        self._joined = (
            Joined(job, ranks, device=self.device, transport=transport) if job else None
        )
        self._processes: Processes | None = None
        self._twin: World | None = None  # records traces for a World of GPUs
        self._turn = threading.Lock()
        self._calls = 0
        chosen = self.device if device is None else ""
        if notice := devices.fallback_notice(local_ranks, chosen):
            print(notice, file=sys.stderr)

    def __call__(
        self, program: Callable, *args: object, timeout_s: float | None = None
    ) -> list:
        """Run `program(*args)` on every rank; return the results in rank order.

        What the ranks print appears in rank order as "[rank r] ...".
        Errors: `RankError`; KeyboardInterrupt ends the ranks and passes through.
        """
        return self._run(program, args, timeout_s, traced=False).results

    def trace(
        self, program: Callable, *args: object, timeout_s: float | None = None
    ) -> Trace:
        """Run `program(*args)`; return its results and every event of every rank.

        On a World of GPUs the call is made on the CPU, where every call can be watched.
        Errors: `RankError`; ValueError in a job of torchrun or srun that uses GPUs.
        """
        if self.device == "cuda":
            return self._on_cpu().trace(program, *args, timeout_s=timeout_s)
        return self._run(program, args, timeout_s, traced=True)

    def close(self) -> None:
        """End the ranks; a later call starts new ones."""
        with self._turn:
            self._drop()
        if self._twin is not None:
            self._twin.close()

    def _on_cpu(self) -> "World":
        """Return a World like this one on the CPU."""
        if self._joined:
            raise ValueError("a job on GPUs is not traced: start it with device='cpu'")
        if self._twin is None:
            print("traces are recorded on the CPU, with gloo", file=sys.stderr)
            self._twin = World(self.ranks, device="cpu", timeout_s=self.timeout_s)
        return self._twin

    def __enter__(self) -> "World":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple:
        raise TypeError("a World cannot be sent to a rank: make one inside the program")

    def _run(
        self, program: Callable, args: tuple, timeout_s: float | None, traced: bool
    ) -> Trace:
        if not callable(program):
            raise TypeError(f"a World runs a function, not {program!r}")
        limit_s = self.timeout_s if timeout_s is None else checked_limit_s(timeout_s)
        if self._joined:
            return self._joined.run(program, args, name_of(program), limit_s, traced)
        body = packed(program, args)
        with self._turn:
            try:
                self._renew()
                self._calls += 1
                request = Request(self._calls, body, Surroundings.here(), traced)
                replies = self._processes.call(request, name_of(program), limit_s)
                return unpacked(
                    replies, Diagnosis(name_of(program), self.ranks, limit_s)
                )
            except BaseException:
                self._drop()
                raise

    def _renew(self) -> None:
        """Start the ranks, or start them anew if those that run are out of date."""
        if self._processes is not None and not self._processes.is_current():
            self._drop()
        if self._processes is None:
            self._processes = Processes(
                Place(
                    rank=0,
                    ranks=self.ranks,
                    device=self.device,
                    checked=self.checked,
                    folder=Path(),
                    transport=self.transport,
                    surroundings=Surroundings.here(),
                    hosts=self.hosts,
                )
            )

    def _drop(self) -> None:
        if self._processes is not None:
            self._processes.end()
            self._processes = None


def checked_limit_s(timeout_s: float) -> float:
    """Return a limit of time [s], if it is one; ValueError otherwise."""
    if not isinstance(timeout_s, int | float) or not 0 < timeout_s < inf:
        raise ValueError(f"timeout_s must be a number of seconds, not {timeout_s!r}")
    return timeout_s


def checked_hosts(hosts: Sequence[Host] | None, ranks: int) -> tuple[Host, ...]:
    """Return the host of every rank; ValueError unless there is one for each."""
    if hosts is not None and len(hosts) != ranks:
        raise ValueError(
            f"{ranks} ranks need {ranks} places on hosts, not {len(hosts)}"
        )
    return tuple(hosts or ())


def name_of(program: Callable) -> str:
    """Return the name of a program for the headline of an error."""
    program = getattr(program, "func", program)  # functools.partial
    return getattr(program, "__name__", type(program).__name__)


def packed(program: Callable, args: tuple) -> bytes:
    """Return a program and its arguments as bytes; functions of a cell travel too.

    Errors: TypeError naming what cannot be sent.
    """
    try:
        return pack((program, args))
    except Exception as error:
        raise TypeError(
            f"cannot send {name_of(program)}() to the ranks: {error}"
        ) from None


def unpacked(replies: list[Reply], diagnosis: Diagnosis) -> Trace:
    """Return the results and events of all ranks."""
    results = []
    for rank, reply in enumerate(replies):
        try:
            results.append(unpack(reply.result))
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            diagnosis.failures[rank] = Failure(
                rank=rank, kind="unpicklable", cause=cause
            )
    if diagnosis.failures:
        raise diagnosis.error()
    return Trace(results, [event for reply in replies for event in reply.events])
