"""Ring all-reduce against its definition, its formula and its plan, on real ranks."""

import pytest
import torch
import torch.distributed as dist
from checks import RANKS, check_rounding, check_transposed, local_values, reduce_ones
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.communication import cost
from dlsys_code.primitive import ring
from dlsys_code.world import RankError

SHAPES = [
    (1,),
    (12,),
    (7,),
    (3, 5),
    (),
    (0,),
]  # fewer than ranks, uneven, scalar, empty


def reduce_every_shape() -> list[tuple[Tensor, Tensor]]:
    """For each shape: the sum that this rank saw, and its input afterwards."""
    everyone, rank = dist.group.WORLD, dist.get_rank()
    inputs = [local_values(rank, shape) for shape in SHAPES]
    return [(ring.all_reduce(x, everyone), x) for x in inputs]


def reduce_one(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The ring's sum and torch's, of the same values."""
    x = local_values(dist.get_rank(), shape, dtype)
    theirs = x.clone()
    dist.all_reduce(theirs)
    return ring.all_reduce(x, dist.group.WORLD), theirs


def scatter_and_gather(rows: int, k: int) -> tuple[Tensor, Tensor]:
    everyone, rank = dist.group.WORLD, dist.get_rank()
    chunks = local_values(rank, (rows, k))
    mine = ring.reduce_scatter(chunks, everyone)
    return mine, ring.all_gather(mine, everyone)


def keep_inputs() -> bool:
    everyone, p = dist.group.WORLD, dist.get_world_size()
    chunks = local_values(dist.get_rank(), (p, 3))
    before = chunks.clone()
    ring.reduce_scatter(chunks, everyone).fill_(99)  # a new tensor: changing it is safe
    ring.all_gather(chunks[0], everyone).fill_(99)
    ring.all_reduce(chunks, everyone).fill_(99)
    return torch.equal(chunks, before)


def reduce_in_halves() -> Tensor:
    """Two groups of two ranks, each with a sum of its own."""
    halves = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    rank = dist.get_rank()
    return ring.all_reduce(torch.tensor([float(rank)]), halves[rank // 2])


@pytest.mark.parametrize("p", RANKS)
def test_every_rank_holds_the_sum_and_keeps_its_input(world, p):
    for rank, reports in enumerate(world(p)(reduce_every_shape)):
        for shape, (total, after) in zip(SHAPES, reports, strict=True):
            assert torch.equal(total, sum(local_values(r, shape) for r in range(p)))
            assert total.shape == shape
            assert torch.equal(after, local_values(rank, shape))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    p=st.integers(1, 8),
    shape=st.lists(st.integers(0, 6), max_size=3).map(tuple),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.int64]),
)
def test_the_ring_equals_torch(world, p, shape, dtype):
    for ours, theirs in world(p)(reduce_one, shape, dtype):
        assert ours.dtype == dtype
        assert torch.equal(ours, theirs)


def test_ranks_agree_to_the_last_bit_on_rounded_sums(world):
    check_rounding(world, 4, ring.all_reduce)


@pytest.mark.parametrize("p", RANKS)
def test_reduce_scatter_then_all_gather_is_all_reduce(world, p):
    total = sum(local_values(r, (p, 3)) for r in range(p))
    for rank, (mine, everything) in enumerate(world(p)(scatter_and_gather, p, 3)):
        assert torch.equal(mine, total[rank])
        assert torch.equal(everything, total)


@pytest.mark.parametrize("p", [1, 3])
def test_results_are_new_tensors(world, p):
    assert all(world(p)(keep_inputs))


def test_a_group_is_an_argument(world):
    assert [x.item() for x in world(4)(reduce_in_halves)] == [1, 1, 5, 5]


def test_an_input_that_is_not_contiguous_loses_nothing(world):
    check_transposed(world, 3, ring.all_reduce)


def test_chunks_that_do_not_fit_the_ranks_are_refused(world):
    with pytest.raises(RankError, match=r"3 ranks need \(3, k\) chunks, not \(2, 5\)"):
        world(3)(scatter_and_gather, 2, 5)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("count", [0, 1, 7, 12, 40])
def test_messages_sent_are_the_plan_and_bytes_are_the_formula(world, p, count):
    trace = world(p).trace(reduce_ones, ring.all_reduce, count)
    planned = ring.all_reduce_messages(p, count, item=4)
    formula = cost.ring_all_reduce(p, count, item=4)
    assert trace.messages() == planned
    assert trace.bytes_sent() == [formula.bytes_sent] * p
    counted = cost.of_messages(planned)
    assert counted.rounds == formula.rounds == 2 * (p - 1)
    assert counted.serial_bytes == formula.serial_bytes
    if count % p == 0:
        assert formula.bytes_sent == 2 * (p - 1) * count * 4 // p
