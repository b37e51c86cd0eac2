"""The in-place collectives: the readable ones' bits and messages, in given memory."""

import re

import pytest
import torch
import torch.distributed as dist
from checks import (
    DTYPES,
    RANKS,
    check_messages,
    few_examples,
    group_of,
    groups,
    local_values,
    noise,
    order_per_rank,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.communication import cost, formulas
from dlsys_code.primitive import (
    doubling,
    exchange,
    halving,
    in_place,
    in_place_core,
    ring,
    tree,
)
from dlsys_code.world import Message

ALL_REDUCES = {  # in place: (readable, formula)
    in_place.ring_all_reduce_into_: (ring, cost.ring_all_reduce),
    in_place.tree_all_reduce_into_: (tree, cost.tree_all_reduce),
    in_place_core.doubling_all_reduce_into_: (doubling, formulas.doubling_all_reduce),
    in_place_core.halving_all_reduce_into_: (halving, formulas.halving_all_reduce),
}
CUTTING = [in_place.ring_all_reduce_into_, in_place_core.halving_all_reduce_into_]


Results = dict[str, Tensor]


def in_given_memory(
    x: Tensor, chunks: Tensor, root: int, group: dist.ProcessGroup, scratch
) -> Results:
    """What every in-place collective makes of x: (n,) and chunks: (p, n)."""
    kept_x, kept_chunks = x.clone(), chunks.clone()
    results = {}
    for collective, (module, _) in ALL_REDUCES.items():
        total = results[f"all_reduce by {module.__name__}"] = x.clone()
        collective(total, group, scratch=scratch)
    total = results["reduce"] = x.clone()
    in_place.tree_reduce_into_(total, group, root=root, scratch=scratch)
    roots = results["broadcast"] = x.clone()
    in_place.tree_broadcast_into_(roots, group, root=root)
    row = results["reduce_scatter"] = torch.empty_like(x)
    in_place.ring_reduce_scatter_into_(row, chunks, group, scratch=scratch)
    for name, collective, argument in (
        ("all_gather", in_place.ring_all_gather_into_, x),
        ("all_gather by doubling", in_place_core.doubling_all_gather_into_, x),
        ("all_to_all", in_place.pairwise_all_to_all_into_, chunks),
    ):
        rows = results[name] = torch.empty_like(chunks)
        collective(rows, argument, group)
    assert torch.equal(x, kept_x) and torch.equal(chunks, kept_chunks)
    return results


def readable(x: Tensor, chunks: Tensor, root: int, group: dist.ProcessGroup) -> Results:
    """The same by the functions that return new tensors."""
    total, rows = tree.reduce(x, group, root=root), ring.all_gather(x, group)
    return {
        f"all_reduce by {module.__name__}": module.all_reduce(x, group)
        for module, _ in ALL_REDUCES.values()
    } | {
        "reduce": x if total is None else total,
        "broadcast": tree.broadcast(x, group, root=root),
        "reduce_scatter": ring.reduce_scatter(chunks, group),
        "all_gather": rows,
        "all_gather by doubling": rows,
        "all_to_all": exchange.pairwise(chunks, group),
    }


def torchs(x: Tensor, chunks: Tensor, root: int, group: dist.ProcessGroup) -> Results:
    """The same by torch; sums of whole numbers have one value only."""
    total, roots, totals = x.clone(), x.clone(), chunks.clone()
    rows, swapped = torch.empty_like(chunks), torch.empty_like(chunks)
    dist.all_reduce(total, group=group)
    dist.all_reduce(totals, group=group)
    dist.broadcast(roots, group=group, group_src=root)
    dist.all_gather(list(rows), x, group=group)
    dist.all_to_all_single(swapped, chunks, group=group)
    names = [f"all_reduce by {module.__name__}" for module, _ in ALL_REDUCES.values()]
    return dict.fromkeys([*names, "reduce"], total) | {
        "broadcast": roots,
        "reduce_scatter": totals[group.rank()],
        "all_gather": rows,
        "all_gather by doubling": rows,
        "all_to_all": swapped,
    }


def compare(ours: Results, theirs: Results, *, is_root: bool) -> None:
    assert ours.keys() == theirs.keys()
    for name, result in ours.items():
        if is_root or name != "reduce":
            assert torch.equal(result, theirs[name]), name


def hold_noise_against_readable() -> None:
    group = dist.group.WORLD
    p, r = group.size(), group.rank()
    for n in {0, 1, p - 1, 3 * p + 2}:
        x, chunks, root = noise(r + p, n), noise(r, p * n).view(p, n), n % p
        scratch = torch.empty(3 * n) if n > p else None
        ours = in_given_memory(x, chunks, root, group, scratch)
        compare(ours, readable(x, chunks, root, group), is_root=r == root)


def hold_numbers_against_torch(members: list[int], n: int, dtype) -> None:
    group = group_of(members)
    if group is None:
        return
    p, r = group.size(), group.rank()
    x, chunks = local_values(r, (n,), dtype), local_values(r, (p, n), dtype)
    ours = in_given_memory(x, chunks, p - 1, group, None)
    compare(ours, torchs(x, chunks, p - 1, group), is_root=r == p - 1)


def reduce_ones(collective, count: int) -> Tensor:
    x = torch.ones(count)
    collective(x, dist.group.WORLD)
    return x


def run_the_others(n: int, root: int) -> None:
    """One call of each other collective, on chunks of n float32."""
    group = dist.group.WORLD
    x, chunks = torch.ones(n), torch.ones(group.size(), n)
    out = torch.empty_like(chunks)
    in_place.ring_reduce_scatter_into_(x, chunks, group)
    in_place.ring_all_gather_into_(out, x, group)
    in_place_core.doubling_all_gather_into_(out, x, group)
    in_place.pairwise_all_to_all_into_(out, chunks, group)
    in_place.tree_reduce_into_(x, group, root=root)
    in_place.tree_broadcast_into_(x, group, root=root)


def refusals() -> dict[str, str]:
    """What each wrong call says; it is said before anything is sent."""
    group, x, two = dist.group.WORLD, torch.ones(6), torch.ones(2, 3)
    calls = {
        "transposed": lambda: in_place.ring_all_reduce_into_(two.T, group),
        "little": lambda: in_place.ring_all_reduce_into_(
            x, group, scratch=torch.empty(5)
        ),
        "dtype": lambda: in_place_core.halving_all_reduce_into_(
            x, group, scratch=torch.empty(9, dtype=torch.int32)
        ),
        "scatter": lambda: in_place.ring_reduce_scatter_into_(x, x, group),
        "gather": lambda: in_place.ring_all_gather_into_(x, x.double()[:3], group),
        "odd": lambda: in_place.pairwise_all_to_all_into_(x[:5], x[:5], group),
        "other": lambda: in_place.pairwise_all_to_all_into_(x[:4], x, group),
        "root": lambda: in_place.tree_broadcast_into_(x, group, root=2),
    }
    said = {}
    for name, call in calls.items():
        with pytest.raises(ValueError) as caught:
            call()
        said[name] = str(caught.value)
    return said


@pytest.mark.parametrize("p", RANKS)
def test_rounded_results_are_those_of_the_readable_versions_to_the_bit(world, p):
    world(p)(hold_noise_against_readable)


@few_examples
@given(where=groups(), n=st.integers(0, 30), dtype=st.sampled_from(DTYPES))
def test_results_in_any_group_are_torchs(world, where, n, dtype):
    p, members = where
    world(p)(hold_numbers_against_torch, members, n, dtype)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("collective", ALL_REDUCES)
def test_an_all_reduce_of_equal_chunks_sends_the_readable_plan(world, p, collective):
    module, formula = ALL_REDUCES[collective]
    for count in (0, 8 * p):
        trace = world(p).trace(reduce_ones, collective, count)
        planned = module.all_reduce_messages(p, count, 4)
        check_messages(trace, planned, formula(p, count, 4))


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("collective", CUTTING)
def test_padding_is_not_sent(world, p, collective):
    """Every chunk leaves q - 1 ranks twice, however short; the fold sends it whole."""
    q = p if collective is in_place.ring_all_reduce_into_ else formulas.core_ranks(p)
    module, formula = ALL_REDUCES[collective]
    for count in (1, 8 * p + 1):
        trace = world(p).trace(reduce_ones, collective, count)
        assert sum(trace.bytes_sent()) == 2 * (q - 1 + p - q) * count * 4
        assert max(trace.bytes_sent()) <= formula(p, count, 4).bytes_sent
        padded = order_per_rank(module.all_reduce_messages(p, count, 4))
        ran = order_per_rank(trace.messages())
        assert ran.keys() == padded.keys()
        for side, ends in ran.items():
            for (peer, n), (planned_peer, most) in zip(ends, padded[side], strict=True):
                assert peer == planned_peer
                assert n <= most


@pytest.mark.parametrize("p", RANKS)
def test_the_last_chunks_of_a_ring_are_the_short_ones(world, p):
    """In step s of either round rank r sends chunk r - 1 - s, then chunk r - s."""
    count = 2 * p - 1
    lengths = [2] * (p - 1) + [1]
    trace = world(p).trace(reduce_ones, in_place.ring_all_reduce_into_, count)
    planned = [
        Message(start + step, r, (r + 1) % p, 4 * lengths[(r - first - step) % p])
        for start, first in ((0, 1), (p - 1, 0))
        for step in range(p - 1)
        for r in range(p)
    ]
    assert order_per_rank(trace.messages()) == order_per_rank(planned)


@pytest.mark.parametrize("p", RANKS)
def test_the_other_collectives_send_the_readable_plans(world, p):
    for n, root in ((0, 0), (3, p - 1)):
        count = p * n
        plans = [
            ring.reduce_scatter_messages(p, count, 4),
            ring.all_gather_messages(p, count, 4),
            doubling.all_gather_messages(p, n, 4),
            exchange.pairwise_messages([[n] * p] * p, 4),
            tree.reduce_messages(p, n, 4, root),
            tree.broadcast_messages(p, n, 4, root),
        ]
        ran = order_per_rank(world(p).trace(run_the_others, n, root).messages())
        expected: dict = {}
        for plan in plans:
            for side, ends in order_per_rank(plan).items():
                expected.setdefault(side, []).extend(ends)
        assert ran == expected


def test_memory_that_does_not_fit_is_refused(world):
    complaints = {
        "transposed": r"contiguous .* not \(3, 2\) with strides \(1, 3\) on cpu",
        "little": "6 elements of torch.float32 are needed as scratch, not 5 of",
        "dtype": "6 elements of torch.float32 are needed .* not 9 of torch.int32",
        "scatter": "6 elements of torch.float32 are not 2 chunks of 6 of",
        "gather": "6 elements of torch.float32 are not 2 chunks of 3 of torch.float64",
        "odd": "2 ranks cannot exchange 5 for 5 elements",
        "other": "2 ranks cannot exchange 6 for 4 elements",
        "root": "root 2 is not one of the 2 ranks",
    }
    for said in world(2)(refusals):
        assert said.keys() == complaints.keys()
        for name, complaint in complaints.items():
            assert re.search(complaint, said[name])
