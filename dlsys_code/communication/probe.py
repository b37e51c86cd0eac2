"""Which backend can do what on which device: tried out, beside what is documented.

torch.distributed is one interface over several backends, and its documentation has a
table of what each supports.  Tables age; a probe does not.  It runs every primitive on
two ranks with four numbers and checks what comes out::

    yes        the numbers are right
    no         an exception, a crash, wrong numbers, or no end within the limit
    not here   torch was built without the backend, or there are too few GPUs

Every cell is a call of its own, so that one that hangs does not take others with it:
some 10 ms each, and the limit for one that has no end.

Sources: torch.distributed, "Backends"; pull requests 149869 and 165435 of
github.com/pytorch/pytorch, which gave gloo its reduce_scatter and its all_to_all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication.probe_trials import INPUTS, RANKS, TRIALS, Call, Trial
from dlsys_code.introduction.published import load
from dlsys_code.world import RankError, World

LIMIT_S = {"CPU": 5.0, "GPU": 30.0}  # of one cell; NCCL connects at the first call


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of the table.  device: "CPU" or "GPU".

    documented: "yes", "no", or "?" where it depends on the build.
    found: "yes", "no" or "not here"; reason: why it is not yes.
    """

    backend: str
    device: str
    primitive: str
    documented: str
    found: str
    reason: str = ""

    @property
    def differs(self) -> bool:
        """Whether the probe contradicts the documentation."""
        return {self.documented, self.found} == {"yes", "no"}


def probe(
    world: World, backends: Sequence[str] = ("gloo", "mpi", "nccl")
) -> list[Cell]:
    """Try every primitive of some backends on CPU and GPU; return the cells.

    Errors: ValueError when the world has not two ranks, or a backend is not documented.
    """
    if world.ranks != RANKS:
        raise ValueError(f"a probe needs {RANKS} ranks, not {world.ranks}")
    rows = load("backends")
    known = {row["backend"] for row in rows}
    if unknown := [backend for backend in backends if backend not in known]:
        raise ValueError(f"{unknown} are not among {sorted(known)}")
    return [
        tried(world, row, primitive)
        for row in rows
        if row["backend"] in backends
        for primitive in row["primitives"]
    ]


def tried(world: World, row: Mapping[str, Any], primitive: str) -> Cell:
    """Return one cell.  row: of the documented table."""
    backend, device = row["backend"], row["device"]
    found, reason = attempt(world, backend, device, TRIALS[primitive])
    return Cell(
        backend=backend,
        device=device,
        primitive=primitive,
        documented=row["primitives"][primitive],
        found=found,
        reason=reason,
    )


def why_not_here(backend: str, device: str) -> str:
    """Return why a backend cannot be tried on this machine; "" if it can."""
    if not getattr(dist, f"is_{backend}_available")():
        return f"this torch was built without {backend}"
    if backend == "mpi":
        return "ranks of MPI are started by mpirun"
    gpus = (torch.xpu if backend == "xccl" else torch.cuda).device_count()
    needed = {("gloo", "CPU"): 0, ("gloo", "GPU"): 1}.get((backend, device), RANKS)
    return f"{gpus} GPUs of the {needed} that it takes" if gpus < needed else ""


def attempt(world: World, backend: str, device: str, trial: Trial) -> tuple[str, str]:
    """Run one trial, where it can be run; return what is found and why, if not yes."""
    if reason := why_not_here(backend, device):
        return "not here", reason
    limit_s = LIMIT_S[device]
    try:
        results = world(run, backend, device, trial.call, timeout_s=limit_s)
    except RankError as error:
        stuck = error.kind == "stuck"
        return "no", f"no end within {limit_s:g} s" if stuck else error.cause
    if not trial.right(results):
        return "no", f"wrong: {[x.tolist() for x in results]}"
    return "yes", ""


def run(backend: str, device: str, call: Call) -> Tensor:
    """Make a group on that backend and return what a call gives this rank.

    Written for GPUs from the documentation, not run on them: no pair was at hand.
    """
    rank, where = dist.get_rank(), torch.device("cpu")
    if device == "GPU":
        kind = "xpu" if backend == "xccl" else "cuda"
        module = torch.get_device_module(kind)
        where = torch.device(kind, rank % module.device_count())
        module.set_device(where)
    later = timedelta(seconds=2 * LIMIT_S[device])  # the World is to end it, and say so
    group = dist.new_group(backend=backend, timeout=later)
    return call(torch.tensor(INPUTS[rank], device=where), group).cpu()
