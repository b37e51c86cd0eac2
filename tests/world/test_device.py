"""Where ranks compute, and which jobs of a launcher a World joins."""

import pytest
import torch
import torch.distributed as dist

from dlsys_code.world import World
from dlsys_code.world.device import choose_device, fallback_notice, running_job

MEET = {"MASTER_ADDR": "node1", "MASTER_PORT": "1234"}
TORCHRUN = MEET | {
    "TORCHELASTIC_RUN_ID": "x",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
}
SLURM = MEET | {
    "SLURM_STEP_NUM_TASKS": "11",
    "SLURM_PROCID": "9",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_STEP_TASKS_PER_NODE": "4(x2),3",
}


def test_a_job_of_torchrun_is_read():
    job = running_job(TORCHRUN)
    assert (job.launcher, job.rank, job.ranks) == ("torchrun", 5, 8)
    assert (job.local_rank, job.local_ranks) == (1, 4)


def test_a_job_of_slurm_is_read():
    job = running_job(SLURM)
    assert (job.launcher, job.rank, job.ranks) == ("srun", 9, 11)
    assert (job.local_rank, job.local_ranks) == (1, 3)
    assert running_job(SLURM | {"SLURM_NODEID": "1"}).local_ranks == 4
    one_host = {"SLURM_STEP_TASKS_PER_NODE": "11", "SLURM_NODEID": "0"}
    assert running_job(SLURM | one_host).local_ranks == 11


def test_outside_of_a_job_there_is_none():
    assert running_job({}) is None
    assert running_job(MEET | {"RANK": "0", "WORLD_SIZE": "2"}) is None
    assert running_job(SLURM | {"SLURM_STEP_NUM_TASKS": "1"}) is None
    assert running_job({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}) is None


@pytest.mark.parametrize("variables", [TORCHRUN, SLURM], ids=["torchrun", "srun"])
def test_an_incomplete_job_is_refused_by_name(variables):
    keys = {"TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"}
    for missing in variables.keys() - keys:
        left = {k: v for k, v in variables.items() if k != missing}
        with pytest.raises(ValueError, match=f"but {missing} is not set"):
            running_job(left)
    with pytest.raises(ValueError, match="export MASTER_ADDR="):
        running_job({k: v for k, v in SLURM.items() if k != "MASTER_ADDR"})


@pytest.mark.parametrize(
    ("gpus", "ranks", "wanted", "chosen"),
    [
        (0, 1, None, "cpu"),
        (1, 1, None, "cuda"),
        (1, 2, None, "cpu"),
        (8, 4, None, "cuda"),
        (8, 4, "cpu", "cpu"),
        (4, 4, "cuda", "cuda"),
    ],
)
def test_a_gpu_each_or_the_cpu_for_all(monkeypatch, gpus, ranks, wanted, chosen):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_device(ranks, wanted) == chosen


def test_too_few_gpus_are_told(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="4 ranks need 4 GPUs, there are 2"):
        choose_device(4, "cuda")
    assert "4 ranks but 2 GPU(s)" in fallback_notice(4, "cpu")
    assert fallback_notice(2, "cuda") is None
    World(4)
    assert "4 ranks but 2 GPU(s)" in capsys.readouterr().err
    World(4, device="cpu")
    assert capsys.readouterr().err == ""


def test_calls_of_gpus_are_checked_and_traced_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="on the CPU only"):
        World(2, device="cuda", checked=True)
    assert World(2, checked=True).device == "cpu"
    with World(2) as world:
        assert world.device == "cuda"
        trace = world.trace(sum_here)
    assert [result["device"] for result in trace.results] == ["cpu", "cpu"]
    assert [event.op for event in trace.events] == ["all_reduce"] * 2


def sum_here():
    """The sum of the ranks, on the default device, nested in a result."""
    x = torch.tensor([float(dist.get_rank())])
    dist.all_reduce(x)
    return {"sum": x, "device": x.device.type}


@pytest.mark.gpu
def test_gpus_add_up_as_cpus_do(world):
    for ranks in range(1, torch.cuda.device_count() + 1):
        with World(ranks, device="cuda") as gpus:
            for got, expected in zip(
                gpus(sum_here), world(ranks)(sum_here), strict=True
            ):
                assert got["device"] == "cuda"
                assert got["sum"].device.type == "cpu"
                assert torch.equal(got["sum"], expected["sum"])
