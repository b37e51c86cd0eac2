"""The live table: every cell is a run whose numbers were checked."""

import os
from collections import Counter

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication import probe as probing
from dlsys_code.communication.probe import Cell, attempt, probe, why_not_here
from dlsys_code.communication.probe_trials import (
    TRIALS,
    Trial,
    gives,
    nobody_left_early,
)
from dlsys_code.introduction.published import load
from dlsys_code.world import World

ON_CPU = "gloo", "CPU"


@pytest.fixture(scope="module")
def cells(world) -> list[Cell]:
    return probe(world(2), ("gloo", "mpi", "nccl", "xccl"))


def test_every_cell_of_the_documented_table_is_there_once(cells):
    rows = {
        (row["backend"], row["device"]): row["primitives"] for row in load("backends")
    }
    assert len(rows) == 8
    assert all(list(documented) == list(TRIALS) for documented in rows.values())
    assert {(c.backend, c.device, c.primitive): c.documented for c in cells} == {
        (*place, primitive): said
        for place, documented in rows.items()
        for primitive, said in documented.items()
    }
    assert len(cells) == 8 * 11
    assert all(row["key"] and row["where"] and row["url"] for row in load("backends"))


def test_gloo_can_do_everything_on_the_cpu(cells):
    found = {c.primitive: c.found for c in cells if (c.backend, c.device) == ON_CPU}
    assert found == dict.fromkeys(TRIALS, "yes")


def test_the_documents_lag_behind_in_one_cell(cells):
    on_cpu = [c.primitive for c in cells if c.differs and c.device == "CPU"]
    assert on_cpu == ["all_to_all"]


@pytest.mark.skipif(torch.cuda.device_count() > 0, reason="there are GPUs")
def test_what_cannot_be_tried_says_why(cells):
    beyond = [c for c in cells if (c.backend, c.device) != ON_CPU]
    assert Counter(c.found for c in beyond) == {"not here": 77}
    assert all(c.reason and not c.differs for c in beyond)
    assert {c.reason for c in beyond if c.backend == "gloo"} == {
        "0 GPUs of the 1 that it takes"
    }


def test_a_backend_that_is_built_but_lacks_gpus_is_not_here(monkeypatch):
    monkeypatch.setattr(dist, "is_nccl_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert why_not_here("nccl", "GPU") == "1 GPUs of the 2 that it takes"
    assert why_not_here("gloo", "GPU") == ""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert why_not_here("nccl", "CPU") == ""
    monkeypatch.setattr(dist, "is_mpi_available", lambda: True)
    assert why_not_here("mpi", "CPU") == "ranks of MPI are started by mpirun"
    monkeypatch.setattr(dist, "is_gloo_available", lambda: False)
    assert why_not_here("gloo", "CPU") == "this torch was built without gloo"


def wait_in_vain(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Each rank waits for a message that nobody sends."""
    dist.recv(x, group=group, group_src=1 - group.rank())
    return x


def refuse(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    raise RuntimeError("this backend does not do that")


def crash(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    os.abort()


def test_a_call_without_an_end_is_a_no_within_the_limit(world, monkeypatch):
    monkeypatch.setattr(probing, "LIMIT_S", {"CPU": 0.3})
    found = attempt(world(2), *ON_CPU, Trial(wait_in_vain, gives([1, 2], [1, 2])))
    assert found == ("no", "no end within 0.3 s")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (refuse, "RuntimeError: this backend does not do that"),
        (crash, "killed by SIGABRT"),
    ],
)
def test_an_error_is_a_no_with_its_reason(world, call, reason):
    assert attempt(world(2), *ON_CPU, Trial(call, gives())) == ("no", reason)
    assert attempt(world(2), *ON_CPU, TRIALS["all_reduce"]) == ("yes", "")


def test_wrong_numbers_are_a_no(world):
    call = TRIALS["all_reduce"].call
    found = attempt(world(2), *ON_CPU, Trial(call, gives([11, 22], [11, 23])))
    assert found == ("no", "wrong: [[11.0, 22.0], [11.0, 22.0]]")


@pytest.mark.parametrize("primitive", [p for p in TRIALS if p != "barrier"])
def test_ranks_that_keep_what_they_had_pass_no_trial(primitive):
    assert not TRIALS[primitive].right(
        [torch.tensor([1.0, 2]), torch.tensor([10.0, 20])]
    )


def test_a_barrier_that_lets_someone_leave_early_is_found():
    def times(*ranks: tuple[float, float]) -> list[Tensor]:
        return [torch.tensor(came_and_left) for came_and_left in ranks]

    assert nobody_left_early(times((0.0, 2.0), (1.0, 2.5)))
    assert not nobody_left_early(times((0.0, 0.5), (1.0, 2.5)))


@pytest.mark.parametrize(
    ("documented", "found", "differs"),
    [
        ("no", "yes", True),
        ("yes", "no", True),
        ("yes", "yes", False),
        ("no", "not here", False),
        ("?", "no", False),
    ],
)
def test_only_two_definite_answers_differ(documented, found, differs):
    cell = Cell(
        backend="gloo",
        device="CPU",
        primitive="send",
        documented=documented,
        found=found,
    )
    assert cell.differs is differs


def test_bad_arguments_are_refused(world):
    with pytest.raises(ValueError, match="a probe needs 2 ranks, not 4"):
        probe(world(4))
    with pytest.raises(ValueError, match=r"\['ucc'\] are not among"):
        probe(world(2), ("gloo", "ucc"))


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_nccl_can_do_everything_on_a_pair_of_gpus():
    with World(2, device="cuda") as world:
        cells = probe(world, ("nccl",))
    found = {c.primitive: (c.found, c.reason) for c in cells if c.device == "GPU"}
    assert found == dict.fromkeys(TRIALS, ("yes", ""))
