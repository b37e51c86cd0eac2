"""What the ranks return and print comes back in rank order, always the same."""

from functools import partial

import pytest
import talking
import torch

from dlsys_code.world import RankError

PRINTED = [
    "python {rank}",
    "error {rank}",
    "printf {rank}",
    "puts",
    "write",
    "child",
    "分布式 ⇄",
    "100%",
    "no end of line",
]


def test_results_come_in_rank_order(world):
    for p in (1, 2, 4):
        assert world(p)(talking.rank_and, "x") == [(rank, "x") for rank in range(p)]


def test_a_partial_and_a_lambda_are_programs(world):
    assert world(2)(partial(talking.rank_and, 5)) == [(0, 5), (1, 5)]
    captured = 7
    assert world(2)(lambda: captured) == [7, 7]
    assert world(2)(lambda: torch.ops.aten.add(1, 2)) == [3, 3]


def test_objects_and_tensors_arrive_whole(world):
    for rank, report in enumerate(world(2)(talking.report)):
        assert report.rank == rank
        assert torch.equal(report.total, torch.full((3,), 2.0))
    for rank, got in enumerate(world(2)(talking.tensors)):
        assert got["view"].tolist() == [rank]
        assert got["view"].untyped_storage().nbytes() == 8
        assert got["bf16"].dtype == torch.bfloat16
        assert got["complex"].tolist() == [1j * rank] * 2
        assert got["conjugate"].tolist() == [-1j] * 2
        assert got["flag"].item() is True
        assert got["sparse"].to_dense().tolist() == [[1, 0], [0, 1]]
        assert got["empty"].shape == (0, 3)
        assert isinstance(got["parameter"], torch.nn.Parameter)
        assert got["transposed"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_large_argument_arrives(world):
    sent = torch.ones(1 << 28, dtype=torch.uint8)
    assert world(2)(talking.length, sent) == [1 << 28] * 2


@pytest.mark.usefixtures("turn")
def test_a_result_of_a_gibibyte_arrives(world):
    nothing, result = world(2)(talking.large, 1 << 30)
    assert nothing is None
    assert result.numel() == 1 << 30
    assert result[-1] == 1


@pytest.mark.usefixtures("turn")
def test_prints_of_python_c_and_children_come_in_rank_order(world, capfd):
    expected = "".join(
        f"[rank {rank}] {line.format(rank=rank)}\n"
        for rank in range(4)
        for line in PRINTED
    )
    world(4)(talking.print_from_everywhere)
    assert capfd.readouterr().out == expected


@pytest.mark.usefixtures("turn")
def test_the_order_of_time_does_not_show(world, capfd):
    world(4)(talking.print_backwards, 3)
    lines = capfd.readouterr().out.splitlines()
    assert lines == [f"[rank {r}] turn {t}" for r in range(4) for t in range(3)]


def test_each_call_shows_its_own_prints(world, capfd):
    world(2)(talking.print_backwards, 1)
    world(2)(talking.keep_quiet)
    assert capfd.readouterr().out == "[rank 0] turn 0\n[rank 1] turn 0\n"


@pytest.mark.usefixtures("turn")
def test_prints_of_a_failing_call_are_shown(doomed, capfd):
    with pytest.raises(RankError):
        doomed(talking.print_and_fail)
    lines = capfd.readouterr().out.splitlines()
    expected = [f"[rank {rank}] before" for rank in range(4)]
    assert lines == [*expected[:2], "[rank 1] last words", *expected[2:]]


def test_warnings_show_no_folder(world, capfd):
    world(2)(talking.warn)
    first = capfd.readouterr().out.splitlines()[0]
    assert first.startswith("[rank 0] talking.py line ")
    assert first.endswith("UserWarning: careful")
