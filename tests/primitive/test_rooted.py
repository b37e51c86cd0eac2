"""Scatter, gather and their broadcast against definition, formula and plan."""

import pytest
import torch
import torch.distributed as dist
from checks import (
    COUNTS,
    DTYPES,
    RANKS,
    SHAPES,
    check_messages,
    few_examples,
    group_of,
    groups,
    kept,
    local_values,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.communication import formulas
from dlsys_code.communication.cost import ring_chunk
from dlsys_code.primitive import rooted
from dlsys_code.world import RankError


def rows_in_group(
    members: list[int], rows: Tensor, lengths: list[int], root: int
) -> tuple[Tensor, Tensor | None] | None:
    """This rank's rows out of the root's, and on the root all of them again."""
    group = group_of(members)
    if group is None:
        return None
    x = rows if group.rank() == root else rows[:1] * 0
    mine = kept(x, lambda: rooted.scatter(x, lengths, group, root=root))
    again = kept(mine, lambda: rooted.gather(mine, lengths, group, root=root))
    if len(set(lengths)) == 1:  # torch's take equal lengths only
        compare_with_torch(rows, mine, again, group, root)
    return mine, again


def compare_with_torch(
    rows: Tensor, mine: Tensor, again: Tensor | None, group, root: int
) -> None:
    is_root = group.rank() == root
    pieces = list(rows.chunk(group.size())) if is_root else None
    theirs = torch.empty_like(mine)
    dist.scatter(theirs, pieces, group=group, group_src=root)
    assert torch.equal(mine, theirs)
    gathered = [torch.empty_like(mine) for _ in pieces] if is_root else None
    dist.gather(mine, gathered, group=group, group_dst=root)
    assert not is_root or torch.equal(again, torch.cat(gathered))


def broadcast_in_group(members: list[int], x: Tensor, root: int) -> Tensor | None:
    group = group_of(members)
    if group is None:
        return None
    mine = x if group.rank() == root else torch.zeros_like(x)
    theirs = mine.clone()
    dist.broadcast(theirs, group=group, group_src=root)
    ours = kept(mine, lambda: rooted.broadcast(mine, group, root=root))
    assert torch.equal(ours, theirs)
    return ours


def scatter_ones(lengths: list[int], root: int) -> Tensor:
    return rooted.scatter(
        torch.ones(sum(lengths)), lengths, dist.group.WORLD, root=root
    )


def gather_ones(lengths: list[int], root: int) -> Tensor | None:
    mine = torch.ones(lengths[dist.get_rank()])
    return rooted.gather(mine, lengths, dist.group.WORLD, root=root)


def broadcast_ones(count: int, root: int) -> Tensor:
    return rooted.broadcast(torch.ones(count), dist.group.WORLD, root=root)


def scatter_rows(rows: int, lengths: list[int]) -> Tensor:
    return rooted.scatter(torch.ones(rows), lengths, dist.group.WORLD)


def gather_rows(rows: int, lengths: list[int]) -> Tensor | None:
    return rooted.gather(torch.ones(rows), lengths, dist.group.WORLD)


@few_examples
@given(
    where=groups(),
    tail=SHAPES,
    even=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_rows_go_out_and_come_back(world, where, tail, even, dtype, data):
    p, members = where
    root = data.draw(st.integers(0, len(members) - 1))
    n, length = len(members), st.integers(0, 4)
    lengths = (
        [data.draw(length)] * n
        if even
        else data.draw(st.lists(length, min_size=n, max_size=n))
    )
    rows = local_values(9, (sum(lengths), *tail), dtype)
    reports = world(p)(rows_in_group, members, rows, lengths, root)
    for rank, piece in zip(members, rows.split(lengths), strict=True):
        mine, again = reports[rank]
        assert mine.dtype == dtype
        assert torch.equal(mine, piece)
        assert (again is not None) == (rank == members[root])
        assert again is None or torch.equal(again, rows)


@few_examples
@given(where=groups(), shape=SHAPES, dtype=st.sampled_from(DTYPES), data=st.data())
def test_a_broadcast_is_the_roots_value(world, where, shape, dtype, data):
    p, members = where
    root = data.draw(st.integers(0, len(members) - 1))
    x = local_values(9, shape, dtype)
    for rank, got in enumerate(world(p)(broadcast_in_group, members, x, root)):
        assert (got is not None) == (rank in members)
        assert got is None or torch.equal(got, x)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize(
    "program, plan, formula",
    [
        (scatter_ones, rooted.scatter_messages, formulas.tree_scatter),
        (gather_ones, rooted.gather_messages, formulas.tree_gather),
    ],
)
def test_equal_rows_cost_the_plan_and_the_formula(world, p, program, plan, formula):
    for root in {0, p - 1}:
        for k in (0, 3):
            trace = world(p).trace(program, [k] * p, root)
            check_messages(trace, plan([k] * p, 4, root), formula(p, p * k, 4))


@pytest.mark.parametrize("p", RANKS)
def test_a_scatter_of_a_power_of_two_keeps_step(world, p):
    lengths, root = [*range(p)], p // 2  # uneven too
    trace = world(p).trace(scatter_ones, lengths, root)
    planned = rooted.scatter_messages(lengths, 4, root)
    if p in (1, 2, 4, 8):
        assert trace.messages() == sorted(planned)
    assert trace.bytes_sent()[root] == 4 * (sum(lengths) - lengths[root])
    assert sum(trace.bytes_sent()) == sum(message.bytes for message in planned)


@pytest.mark.parametrize("p", RANKS)
def test_a_broadcast_costs_the_plan_and_the_formula(world, p):
    for count in COUNTS:
        trace = world(p).trace(broadcast_ones, count, p // 2)
        planned = rooted.broadcast_messages(p, count, 4, p // 2)
        formula = formulas.scatter_allgather_broadcast(p, count, 4)
        check_messages(trace, planned, formula)
        assert formula.bytes_sent == 2 * (p - 1) * ring_chunk(p, count) * 4


@pytest.mark.parametrize("program", [scatter_ones, gather_ones])
@pytest.mark.parametrize("root", [-1, 3])
def test_a_root_outside_the_group_is_refused(world, program, root):
    with pytest.raises(RankError, match=f"root {root} is not one of the 3 ranks"):
        world(3)(program, [1, 1, 1], root)


def test_a_broadcast_refuses_a_root_outside_the_group(world):
    with pytest.raises(RankError, match="root 3 is not one of the 3 ranks"):
        world(3)(broadcast_ones, 2, 3)


@pytest.mark.parametrize("program", [scatter_rows, gather_rows])
@pytest.mark.parametrize(
    "rows, lengths, complaint",
    [
        (2, [1], r"2 ranks need 2 lengths from 0 up, not \[1\]"),
        (2, [3, -1], r"2 ranks need 2 lengths from 0 up, not \[3, -1\]"),
        (4, [3, 3], r"the lengths ask for [36] rows, not \(4,\)"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(world, program, rows, lengths, complaint):
    with pytest.raises(RankError, match=complaint):
        world(2)(program, rows, lengths)
