"""What every collective of chapter 4 is held against, shared by its tests."""

from collections import defaultdict
from collections.abc import Callable

import torch
import torch.distributed as dist
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.communication import cost
from dlsys_code.communication.cost import Cost
from dlsys_code.world import Message, Trace

RANKS = range(1, 9)
COUNTS = [0, 1, 7, 40]  # empty, fewer than ranks, uneven, even
DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int8, torch.uint8),
]  # all that gloo adds up
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
few_examples = settings(max_examples=20, deadline=None, derandomize=True)

AllReduce = Callable[[Tensor, dist.ProcessGroup], Tensor]


@st.composite
def groups(draw: st.DrawFn) -> tuple[int, list[int]]:
    """A World's size, and some of its ranks in any order."""
    p = draw(st.integers(1, 8))
    return p, draw(st.permutations(range(p)))[: draw(st.integers(1, p))]


def local_values(
    rank: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64
) -> Tensor:
    """Small whole numbers, so that sums are exact and order cannot matter."""
    seeded = torch.Generator().manual_seed(rank)
    return torch.randint(-9, 10, shape, generator=seeded).to(dtype)


def noise(rank: int, count: int) -> Tensor:
    """Values whose float sum depends on the order of the additions."""
    return torch.randn(count, generator=torch.Generator().manual_seed(rank))


def group_of(members: list[int]) -> dist.ProcessGroup | None:
    """A group whose rank i is members[i]; None on a rank that is not in it."""
    group = dist.new_group(members, sort_ranks=False)
    return group if dist.get_rank() in members else None


def kept(x: Tensor, collective: Callable[[], Tensor | None]) -> Tensor | None:
    """The collective's result, after changing it has been seen to leave x alone."""
    before = x.clone()
    result = collective()
    assert torch.equal(x, before)
    if result is not None:
        answer = result.clone()
        result.fill_(99)
        assert torch.equal(x, before)
        return answer
    return None


def reduce_in_group(
    all_reduce: AllReduce, members: list[int], shape: tuple[int, ...], dtype
) -> tuple[Tensor, Tensor] | None:
    """Our sum and torch's of the same values, inside a group."""
    group = group_of(members)
    if group is None:
        return None
    x = local_values(dist.get_rank(), shape, dtype)
    theirs = x.clone()
    dist.all_reduce(theirs, group=group)
    return kept(x, lambda: all_reduce(x, group)), theirs


def reduce_noise(all_reduce: AllReduce) -> Tensor:
    return all_reduce(noise(dist.get_rank(), 101), dist.group.WORLD)


def reduce_transposed(all_reduce: AllReduce) -> Tensor:
    return all_reduce(local_values(dist.get_rank(), (3, 5)).T, dist.group.WORLD)


def reduce_ones(all_reduce: AllReduce, count: int) -> Tensor:
    return all_reduce(torch.ones(count), dist.group.WORLD)


def check_an_all_reduce(world, all_reduce: AllReduce, data: st.DataObject) -> None:
    """Draw a group, a shape and a dtype: the sum is torch's and the definition's."""
    p, members = data.draw(groups())
    shape, dtype = data.draw(SHAPES), data.draw(st.sampled_from(DTYPES))
    expected = sum(local_values(r, shape, dtype) for r in members)
    for rank, sums in enumerate(
        world(p)(reduce_in_group, all_reduce, members, shape, dtype)
    ):
        assert (sums is not None) == (rank in members)
        for total in sums or ():
            assert total.dtype == dtype
            assert total.shape == shape
            assert torch.equal(total, expected)


def check_rounding(world, p: int, all_reduce: AllReduce) -> None:
    """Rounded sums agree to the last bit on all ranks, and with a plain sum nearly."""
    first, *others = world(p)(reduce_noise, all_reduce)
    assert all(torch.equal(first, other) for other in others)
    exact = sum(noise(r, 101).double() for r in range(p))
    torch.testing.assert_close(first.double(), exact, rtol=1e-5, atol=1e-5)


def check_transposed(world, p: int, all_reduce: AllReduce) -> None:
    """An input that is not contiguous loses nothing."""
    expected = sum(local_values(r, (3, 5)) for r in range(p)).T
    for total in world(p)(reduce_transposed, all_reduce):
        assert torch.equal(total, expected)


def order_per_rank(messages: list[Message]) -> dict[tuple[str, int], list[tuple]]:
    """What a run decides of a plan: the order on each rank, not a step's number."""
    order = defaultdict(list)
    for _, source, destination, n in sorted(messages):
        order["sends", source].append((destination, n))
        order["receives", destination].append((source, n))
    return dict(order)


def check_messages(trace: Trace, planned: list[Message], formula: Cost) -> None:
    """The run sent what the plan says, and both cost what the formula says.

    In a plan the ranks keep step; in a run a rank with nothing to do goes ahead, so
    the step of a message may be smaller there, its place in the order never.
    """
    ran = trace.messages()
    assert order_per_rank(ran) == order_per_rank(planned)
    assert all(
        early <= late
        for early, late in zip(
            sorted(m.step for m in ran), sorted(m.step for m in planned), strict=True
        )
    )
    counted = cost.of_messages(planned)
    assert counted.rounds == formula.rounds == cost.of_messages(ran).rounds
    assert counted.bytes_sent == formula.bytes_sent == max(trace.bytes_sent())
    assert counted.serial_bytes == formula.serial_bytes
