"""Doubling and halving against definition, formula and plan, on real ranks."""

import pytest
import torch
import torch.distributed as dist
from checks import (
    COUNTS,
    RANKS,
    check_an_all_reduce,
    check_messages,
    check_rounding,
    check_transposed,
    few_examples,
    group_of,
    groups,
    kept,
    local_values,
    reduce_ones,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.communication import formulas
from dlsys_code.primitive import doubling, halving, ring

ALGORITHMS = [
    (doubling, formulas.doubling_all_reduce),
    (halving, formulas.halving_all_reduce),
]


def gather_in_group(members: list[int], shape: tuple[int, ...]) -> Tensor | None:
    group = group_of(members)
    if group is None:
        return None
    x = local_values(dist.get_rank(), shape)
    ours = kept(x, lambda: doubling.all_gather(x, group))
    assert torch.equal(ours, ring.all_gather(x, group))
    theirs = [torch.empty_like(x) for _ in members]
    dist.all_gather(theirs, x, group=group)
    assert torch.equal(ours, torch.stack(theirs))
    return ours


def gather_count(k: int) -> Tensor:
    return doubling.all_gather(torch.ones(k), dist.group.WORLD)


@pytest.mark.parametrize("module", [doubling, halving])
@few_examples
@given(data=st.data())
def test_the_sum_is_the_definition_and_torchs(world, module, data):
    check_an_all_reduce(world, module.all_reduce, data)


@pytest.mark.parametrize("module", [doubling, halving])
@pytest.mark.parametrize("p", [6, 8])
def test_ranks_agree_to_the_last_bit_on_rounded_sums(world, module, p):
    check_rounding(world, p, module.all_reduce)
    check_transposed(world, p, module.all_reduce)


@few_examples
@given(where=groups(), k=st.integers(0, 5))
def test_the_gathered_rows_are_the_definition_and_torchs(world, where, k):
    p, members = where
    expected = torch.stack([local_values(r, (k,)) for r in members])
    for rank, rows in enumerate(world(p)(gather_in_group, members, (k,))):
        assert (rows is not None) == (rank in members)
        assert rows is None or torch.equal(rows, expected)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("module, formula", ALGORITHMS)
def test_an_all_reduce_sends_the_plan_and_the_formula(world, p, module, formula):
    for count in COUNTS:
        trace = world(p).trace(reduce_ones, module.all_reduce, count)
        planned = module.all_reduce_messages(p, count, 4)
        check_messages(trace, planned, formula(p, count, 4))
        if p in (1, 2, 4, 8):  # nothing is folded: all ranks keep step
            assert trace.messages() == sorted(planned)


@pytest.mark.parametrize("p", RANKS)
def test_an_all_gather_sends_the_plan_and_the_formula(world, p):
    for k in (0, 3):
        trace = world(p).trace(gather_count, k)
        planned = doubling.all_gather_messages(p, k, 4)
        check_messages(trace, planned, formulas.doubling_all_gather(p, p * k, 4))
        if p in (1, 2, 4, 8):
            assert trace.messages() == sorted(planned)
