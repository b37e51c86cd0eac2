"""The two-level all-reduce against definition, formula and plan, on real ranks."""

import pytest
import torch
import torch.distributed as dist
from checks import (
    COUNTS,
    DTYPES,
    RANKS,
    SHAPES,
    few_examples,
    kept,
    local_values,
    noise,
)
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.communication import cost, formulas
from dlsys_code.primitive import hierarchical

Nodes = list[list[int]]


def levels(nodes: Nodes) -> tuple[dist.ProcessGroup, dist.ProcessGroup]:
    """This rank's inner and outer group; all ranks make all groups, in one order."""
    own: list[dist.ProcessGroup] = []
    for groups in (nodes, [list(ranks) for ranks in zip(*nodes, strict=True)]):
        made = [dist.new_group(ranks, sort_ranks=False) for ranks in groups]
        own += [
            group
            for group, ranks in zip(made, groups, strict=True)
            if dist.get_rank() in ranks
        ]
    inner, outer = own
    return inner, outer


def reduce_in_nodes(
    nodes: Nodes, shape: tuple[int, ...], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    x = local_values(dist.get_rank(), shape, dtype)
    theirs = x.clone()
    dist.all_reduce(theirs)
    return kept(x, lambda: hierarchical.all_reduce(x, *levels(nodes))), theirs


def reduce_noise_in_nodes(nodes: Nodes) -> Tensor:
    return hierarchical.all_reduce(noise(dist.get_rank(), 101), *levels(nodes))


def reduce_ones_in_nodes(nodes: Nodes, count: int) -> Tensor:
    return hierarchical.all_reduce(torch.ones(count), *levels(nodes))


def nodes_of(ranks: list[int], size: int) -> Nodes:
    return [ranks[i : i + size] for i in range(0, len(ranks), size)]


@few_examples
@given(
    p=st.integers(1, 8),
    shape=SHAPES,
    dtype=st.sampled_from(DTYPES),
    data=st.data(),
)
def test_any_split_into_equal_nodes_gives_the_sum(world, p, shape, dtype, data):
    size = data.draw(st.sampled_from([a for a in range(1, p + 1) if p % a == 0]))
    nodes = nodes_of(data.draw(st.permutations(range(p))), size)
    expected = sum(local_values(r, shape, dtype) for r in range(p))
    for ours, theirs in world(p)(reduce_in_nodes, nodes, shape, dtype):
        assert ours.dtype == dtype
        assert torch.equal(ours, expected)
        assert torch.equal(theirs, expected)


@pytest.mark.parametrize("nodes", [[[0, 1, 2], [3, 4, 5]], [[5, 0], [1, 3], [4, 2]]])
def test_ranks_agree_to_the_last_bit_on_rounded_sums(world, nodes):
    first, *others = world(6)(reduce_noise_in_nodes, nodes)
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("p", RANKS)
def test_messages_are_the_plan_and_bytes_the_formula(world, p):
    for size in [a for a in range(1, p + 1) if p % a == 0]:
        nodes = nodes_of(list(reversed(range(p))), size)
        for count in COUNTS:
            trace = world(p).trace(reduce_ones_in_nodes, nodes, count)
            planned = hierarchical.all_reduce_messages(nodes, count, 4)
            inside, across = formulas.hierarchical_all_reduce(size, p // size, count, 4)
            assert trace.messages() == sorted(planned)
            assert trace.bytes_sent() == [inside.bytes_sent + across.bytes_sent] * p
            counted = cost.of_messages(planned)
            assert counted.rounds == inside.rounds + across.rounds
            assert counted.serial_bytes == inside.serial_bytes + across.serial_bytes


def test_only_an_inner_groups_share_crosses(world):
    """4 + 4 ranks: each sends a quarter of n twice, halved by the ring of two."""
    nodes = [[0, 1, 2, 3], [4, 5, 6, 7]]
    trace = world(8).trace(reduce_ones_in_nodes, nodes, 16)
    crossing = [m for m in trace.messages() if m.source // 4 != m.destination // 4]
    assert sum(m.bytes for m in crossing if m.source < 4) == 16 * 4
    assert all(m.bytes == 2 * 4 for m in crossing)


def test_nodes_of_different_size_have_no_plan():
    with pytest.raises(ValueError, match="shorter"):
        hierarchical.all_reduce_messages([[0, 1, 2], [3, 4]], 12, 4)
