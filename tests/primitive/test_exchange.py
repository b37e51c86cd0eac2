"""Both all-to-alls against definition, formula and plan, on real ranks."""

import pytest
import torch
import torch.distributed as dist
from checks import (
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
from dlsys_code.primitive import exchange
from dlsys_code.world import RankError

Shares = list[list[int]]


def swap_in_group(
    members: list[int], shares: Shares, tail: tuple[int, ...], dtype: torch.dtype
) -> Tensor | None:
    """All rows received, by the pairwise exchange and by torch's own."""
    group = group_of(members)
    if group is None:
        return None
    r = group.rank()
    sends, receives = shares[r], [row[r] for row in shares]
    x = local_values(r, (sum(sends), *tail), dtype)
    ours = kept(x, lambda: exchange.pairwise(x, group, sends=sends, receives=receives))
    theirs = x.new_empty(sum(receives), *tail)
    dist.all_to_all_single(theirs, x, receives, sends, group=group)
    assert torch.equal(ours, theirs)
    return ours


def swap_equal_in_group(
    members: list[int], k: int, tail: tuple[int, ...], dtype: torch.dtype
) -> Tensor | None:
    """All rows received by Bruck's algorithm, which the pairwise one has confirmed."""
    group = group_of(members)
    if group is None:
        return None
    x = local_values(group.rank(), (len(members) * k, *tail), dtype)
    ours = kept(x, lambda: exchange.bruck(x, group))
    assert torch.equal(ours, exchange.pairwise(x, group))
    return ours


def swap_ones(shares: Shares) -> Tensor:
    r = dist.get_rank()
    sends, receives = shares[r], [row[r] for row in shares]
    return exchange.pairwise(
        torch.ones(sum(sends)), dist.group.WORLD, sends=sends, receives=receives
    )


def bruck_ones(count: int) -> Tensor:
    return exchange.bruck(torch.ones(count), dist.group.WORLD)


def swap_shares(rows: int, sends: list[int] | None, receives: list[int]) -> Tensor:
    return exchange.pairwise(
        torch.ones(rows), dist.group.WORLD, sends=sends, receives=receives
    )


def transposed(
    shares: Shares, tail: tuple[int, ...], dtype: torch.dtype
) -> list[Tensor]:
    """The definition: rank b gets the b-th piece of every rank, in rank order."""
    pieces = [
        local_values(r, (sum(sends), *tail), dtype).split(sends)
        for r, sends in enumerate(shares)
    ]
    return [torch.cat(column) for column in zip(*pieces, strict=True)]


@few_examples
@given(where=groups(), tail=SHAPES, dtype=st.sampled_from(DTYPES), data=st.data())
def test_any_shares_arrive_in_rank_order(world, where, tail, dtype, data):
    p, members = where
    n = len(members)
    row = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    shares = data.draw(st.lists(row, min_size=n, max_size=n))
    reports = world(p)(swap_in_group, members, shares, tail, dtype)
    for r, expected in enumerate(transposed(shares, tail, dtype)):
        assert reports[members[r]].dtype == dtype
        assert torch.equal(reports[members[r]], expected)
    assert sum(report is not None for report in reports) == n


@few_examples
@given(where=groups(), k=st.integers(0, 4), tail=SHAPES, dtype=st.sampled_from(DTYPES))
def test_bruck_brings_equal_shares(world, where, k, tail, dtype):
    p, members = where
    reports = world(p)(swap_equal_in_group, members, k, tail, dtype)
    shares = [[k] * len(members)] * len(members)
    for r, expected in enumerate(transposed(shares, tail, dtype)):
        assert torch.equal(reports[members[r]], expected)


@pytest.mark.parametrize("p", RANKS)
def test_pairwise_costs_the_plan_and_the_formula(world, p):
    for k in (0, 3):
        equal = [[k] * p] * p
        trace = world(p).trace(swap_ones, equal)
        planned = exchange.pairwise_messages(equal, 4)
        check_messages(trace, planned, formulas.pairwise_all_to_all(p, p * k, 4))
        assert trace.messages() == planned


@pytest.mark.parametrize("p", RANKS)
def test_uneven_shares_are_sent_as_planned(world, p):
    shares = [[a + 2 * b for b in range(p)] for a in range(p)]
    trace = world(p).trace(swap_ones, shares)
    assert trace.messages() == exchange.pairwise_messages(shares, 4)


@pytest.mark.parametrize("p", RANKS)
def test_bruck_costs_the_plan_and_the_formula(world, p):
    for k in (0, 3):
        trace = world(p).trace(bruck_ones, p * k)
        planned = exchange.bruck_messages(p, p * k, 4)
        check_messages(trace, planned, formulas.bruck_all_to_all(p, p * k, 4))
        assert trace.messages() == planned


@pytest.mark.parametrize(
    "rows, sends, receives, complaint",
    [
        (3, None, [1, 2], r"2 ranks cannot share \(3,\) equally by rows"),
        (3, [3], [1, 2], r"2 ranks need 2 shares from 0 up: \[3\], \[1, 2\]"),
        (3, [4, -1], [1, 2], r"2 ranks need 2 shares from 0 up: \[4, -1\], \[1, 2\]"),
        (3, [1, 1], [1, 1], r"\[1, 1\] does not share the rows of \(3,\)"),
        (3, [1, 2], [2, 1], "rank [01] keeps [12] rows of its own, but expects [12]"),
    ],
)
def test_shares_that_do_not_fit_are_refused(world, rows, sends, receives, complaint):
    with pytest.raises(RankError, match=complaint):
        world(2)(swap_shares, rows, sends, receives)


def test_bruck_refuses_uneven_shares(world):
    with pytest.raises(RankError, match=r"2 ranks cannot share \(3,\) equally"):
        world(2)(bruck_ones, 3)
    with pytest.raises(ValueError, match="2 ranks cannot share 3 elements equally"):
        exchange.bruck_messages(2, 3, 4)
