"""Where a rank computes, and whether somebody else has already started the ranks.

A rank is one process of a parallel program.  It computes on one device and talks
through one backend::

    as many GPUs on this host as ranks    cuda, one GPU per rank     NCCL
    anything else                         cpu                        gloo

NCCL refuses two ranks on one GPU, so with fewer GPUs than ranks all use the CPU.

Sources: torch.distributed, "Backends"; torchrun and srun, "Environment variables".
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

MASTER = ("MASTER_ADDR", "MASTER_PORT")
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", *MASTER)
SLURM = (
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_LOCALID",
    "SLURM_STEP_TASKS_PER_NODE",
    "SLURM_NODEID",
    *MASTER,
)
MEETING_POINT = """: say before srun on which host and port the ranks meet, for example
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The place of this process in a job that a launcher has started."""

    launcher: str  # "torchrun" or "srun"
    rank: int
    ranks: int
    local_rank: int  # among the ranks of this host
    local_ranks: int


def running_job(environ: Mapping[str, str] = os.environ) -> Job | None:
    """Return this process's place in a job of torchrun or srun; None outside of one.

    A Slurm step of a single task (an interactive shell, a notebook server) is no job.
    Errors: ValueError when the launcher's variables are incomplete, or when none says
    where the ranks meet.
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        require(environ, "torchrun", TORCHRUN)
        rank, ranks, local_rank, local_ranks = (int(environ[n]) for n in TORCHRUN[:4])
        launcher = "torchrun"
    elif int(environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        require(environ, "srun", SLURM)
        rank, ranks, local_rank = (int(environ[name]) for name in SLURM[:3])
        launcher, local_ranks = "srun", slurm_tasks(environ)
    else:
        return None
    return Job(
        launcher=launcher,
        rank=rank,
        ranks=ranks,
        local_rank=local_rank,
        local_ranks=local_ranks,
    )


def require(environ: Mapping[str, str], launcher: str, names: Sequence[str]) -> None:
    """Raise ValueError for the first of `names` that the launcher has not set."""
    for name in names:
        if name not in environ:
            cure = MEETING_POINT if name.startswith("MASTER_") else ""
            raise ValueError(f"started by {launcher}, but {name} is not set{cure}")


def slurm_tasks(environ: Mapping[str, str]) -> int:
    """Return how many tasks of the Slurm step run on this host.

    SLURM_STEP_TASKS_PER_NODE abbreviates: "4(x2),3" means hosts with 4, 4 and 3 tasks.
    """
    counts: list[int] = []
    for part in environ["SLURM_STEP_TASKS_PER_NODE"].split(","):
        tasks, _, hosts = part.rstrip(")").partition("(x")
        counts += [int(tasks)] * int(hosts or 1)
    return counts[int(environ["SLURM_NODEID"])]


def choose_device(local_ranks: int, wanted: str | None = None) -> str:
    """Return "cuda" where each of this host's ranks can have a GPU, else "cpu".

    wanted: "cpu" or "cuda" to insist, None to choose.
    Errors: ValueError for another name, or for "cuda" with fewer GPUs than ranks.
    """
    if wanted not in (None, "cpu", "cuda"):
        raise ValueError(f"device must be 'cpu', 'cuda' or None, not {wanted!r}")
    gpus = 0 if wanted == "cpu" else torch.cuda.device_count()
    if wanted == "cuda" and gpus < local_ranks:
        raise ValueError(
            f"{local_ranks} ranks need {local_ranks} GPUs, there are {gpus}"
        )
    return "cuda" if gpus >= local_ranks else "cpu"


def fallback_notice(local_ranks: int, device: str) -> str | None:
    """Return one line for the reader if GPUs are there but too few, else None."""
    gpus = torch.cuda.device_count() if device == "cpu" else 0
    if 0 < gpus < local_ranks:
        return (
            f"{local_ranks} ranks but {gpus} GPU(s), and NCCL wants one each: "
            "this World uses gloo on the CPU"
        )
    return None
