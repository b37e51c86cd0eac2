"""Where a rank computes, and whether somebody else has already started the ranks.

A rank is one process of a parallel program.  It computes on one device and talks
through one backend::

    as many GPUs on this host as ranks    cuda, one GPU per rank     NCCL
    anything else                         cpu                        gloo

NCCL refuses two ranks on one GPU, so with fewer GPUs than ranks all use the CPU.

Sources: torch.distributed, "Backends"; torchrun and srun, "Environment variables".
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch


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
    Errors: ValueError when the launcher's variables are incomplete.
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        names = "torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
    elif int(environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        names = "srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", None
    else:
        return None
    launcher, rank, ranks, local_rank, local_ranks = names
    try:
        return Job(
            launcher=launcher,
            rank=int(environ[rank]),
            ranks=int(environ[ranks]),
            local_rank=int(environ[local_rank]),
            local_ranks=int(environ[local_ranks])
            if local_ranks
            else slurm_tasks(environ),
        )
    except KeyError as missing:
        raise ValueError(f"started by {launcher}, but {missing} is not set") from None


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
