"""Tree broadcast and reduce against definition, formula and plan, on real ranks."""

import pytest
import torch
import torch.distributed as dist
from checks import RANKS, check_messages, local_values
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.communication import cost
from dlsys_code.primitive import tree
from dlsys_code.world import RankError


def run_all(shape: tuple[int, ...], root: int) -> tuple[Tensor, Tensor | None, Tensor]:
    everyone, x = dist.group.WORLD, local_values(dist.get_rank(), shape)
    before = x.clone()
    results = (
        tree.broadcast(x, everyone, root=root),
        tree.reduce(x, everyone, root=root),
        tree.all_reduce(x, everyone),
    )
    assert torch.equal(x, before)
    return results


def broadcast_count(count: int, root: int) -> Tensor:
    return tree.broadcast(torch.ones(count), dist.group.WORLD, root=root)


def reduce_count(count: int, root: int) -> Tensor | None:
    return tree.reduce(torch.ones(count), dist.group.WORLD, root=root)


def all_reduce_count(count: int) -> Tensor:
    return tree.all_reduce(torch.ones(count), dist.group.WORLD)


def broadcast_in_a_group() -> float | None:
    """Ranks 3 and 1 of four, in this order: the root 0 of the group is rank 3."""
    pair = dist.new_group([1, 3])
    rank = dist.get_rank()
    if rank % 2 == 0:
        return None
    return tree.broadcast(torch.tensor(float(rank)), pair, root=1).item()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    p=st.integers(1, 8),
    shape=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    data=st.data(),
)
def test_every_tree_equals_its_definition(world, p, shape, data):
    root = data.draw(st.integers(0, p - 1))
    values = [local_values(r, shape) for r in range(p)]
    for rank, (sent, summed, all_summed) in enumerate(world(p)(run_all, shape, root)):
        assert torch.equal(sent, values[root])
        assert torch.equal(all_summed, sum(values))
        assert (summed is not None) == (rank == root)
        if rank == root:
            assert torch.equal(summed, sum(values))


@pytest.mark.parametrize("root", [-1, 3])
def test_a_root_outside_the_group_is_refused(world, root):
    with pytest.raises(RankError, match=f"root {root} is not one of the 3 ranks"):
        world(3)(broadcast_count, 2, root)


def test_a_root_is_a_rank_of_the_group(world):
    assert world(4)(broadcast_in_a_group) == [None, 3.0, None, 3.0]


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("count", [0, 5])
def test_broadcast_sends_the_plan_and_the_formula(world, p, count):
    for root in {0, p - 1}:
        trace = world(p).trace(broadcast_count, count, root)
        planned = tree.broadcast_messages(p, count, 4, root)
        assert trace.messages() == planned
        assert cost.of_messages(planned) == cost.tree_broadcast(p, count, 4)
        assert max(trace.bytes_sent()) == cost.tree_broadcast(p, count, 4).bytes_sent


@pytest.mark.parametrize("p", RANKS)
def test_reduce_sends_the_plan_and_the_formula(world, p):
    for root in {0, p // 2}:
        trace = world(p).trace(reduce_count, 5, root)
        planned = tree.reduce_messages(p, 5, 4, root)
        check_messages(trace, planned, cost.tree_reduce(p, 5, 4))


@pytest.mark.parametrize("p", RANKS)
def test_all_reduce_sends_the_plan_and_the_formula(world, p):
    trace = world(p).trace(all_reduce_count, 5)
    planned = tree.all_reduce_messages(p, 5, 4)
    check_messages(trace, planned, cost.tree_all_reduce(p, 5, 4))
