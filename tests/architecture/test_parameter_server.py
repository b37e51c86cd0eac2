"""Push is a sum and pull a copy; what they move is the plan and the formula."""

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import traffic
from dlsys_code.architecture.keys import Values, elements, range_keys, split
from dlsys_code.architecture.parameter_server import Shard, pull, push
from dlsys_code.architecture.placement import (
    Placement,
    apart,
    on_all_ranks,
    on_rank_0,
)
from dlsys_code.communication import cost
from dlsys_code.world import RankError

NAMES = {"x": 5, "y": 1, "z": 7, "empty": 0, "u": 2, "v": 2, "w": 3, "t": 1}


def keys(sizes: dict[str, int] = NAMES) -> dict[str, range]:
    """Keys of awkward sizes, one of them empty."""
    made, start = {}, 0
    for name, size in sizes.items():
        made[name] = range(start, start + size)
        start += size
    return made


def placements(p: int) -> list[Placement]:
    """All that fit on p ranks, with whole numbers as values: sums have no rounding."""
    whole = {"dtype": torch.int64}
    split_up = [apart(keys(), servers=s, workers=p - s, **whole) for s in range(1, p)]
    return [on_rank_0(keys(), p, **whole), on_all_ranks(keys(), p, **whole), *split_up]


def gradients(rank: int, placement: Placement) -> Values:
    """Other numbers on every rank, none unless it works."""
    if rank not in placement.workers:
        return {}
    vector = torch.arange(elements(placement.keys)) * 10 + rank + 1
    return split(vector.to(placement.dtype), placement.keys)


def one_step(placement: Placement) -> tuple[Values, Values, bool]:
    """What this rank served after a push, and then got by a pull."""
    everyone, rank = dist.group.WORLD, dist.get_rank()
    own = gradients(rank, placement)
    served = push(own, placement, everyone)
    pulled = pull(served, placement, everyone)
    for name in served:
        served[name] = served[name].clone()
    for value in pulled.values():
        value.add_(99)  # a new tensor: changing it is safe
    kept = all(torch.equal(own[k], v) for k, v in gradients(rank, placement).items())
    return served, {k: v - 99 for k, v in pulled.items()}, kept


@pytest.mark.parametrize("p", range(1, 9))
def test_push_sums_what_each_rank_serves_and_pull_copies_it_to_workers(world, p):
    for placement in placements(p):
        every = [gradients(rank, placement) for rank in placement.workers]
        total = {k: sum(own[k] for own in every) for k in placement.keys}
        for rank, (served, pulled, kept) in enumerate(world(p)(one_step, placement)):
            assert list(served) == list(placement.served_by(rank))
            assert list(pulled) == [*(total if rank in placement.workers else {})]
            for values in (served, pulled):
                assert all(torch.equal(v, total[k]) for k, v in values.items())
            assert kept


def serve_steps(placement: Placement, steps: int) -> None:
    """Pull and push, as training does."""
    everyone, rank = dist.group.WORLD, dist.get_rank()
    dtype = placement.dtype
    weights = {
        k: torch.zeros(len(r), dtype=dtype)
        for k, r in placement.served_by(rank).items()
    }
    for _ in range(steps):
        pull(weights, placement, everyone)
        push(gradients(rank, placement), placement, everyone)


@pytest.mark.parametrize("p", range(1, 9))
def test_messages_sent_are_the_plan_and_bytes_are_the_formula(world, p):
    for placement in placements(p):
        trace = world(p).trace(serve_steps, placement, 2)
        assert trace.messages() == traffic.messages(placement, steps=2)
        assert trace.bytes_sent() == [2 * n for n in traffic.bytes_sent(placement)]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    p=st.integers(1, 7),
    s=st.integers(1, 7),
    count=st.integers(1, 40),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)
def test_the_busiest_rank_sends_what_the_closed_forms_say(world, p, s, count, dtype):
    p, item = min(p, count), dtype.itemsize
    s = min(s, count, 8 - p)
    shared = on_all_ranks(range_keys(count, p), p, dtype=dtype)
    several = apart(range_keys(count, s), servers=s, workers=p, dtype=dtype)
    rank_0 = on_rank_0(range_keys(count, 1), p, dtype=dtype)
    for placement, most in (
        (shared, traffic.busiest_on_all_ranks(p, count, item)),
        (several, traffic.busiest_apart(s, p, count, item)),
        (rank_0, traffic.busiest_on_rank_0(p, count, item)),
    ):
        trace = world(placement.ranks).trace(serve_steps, placement, 1)
        assert max(trace.bytes_sent()) == most
        received = [0] * placement.ranks
        for message in trace.messages():
            received[message.destination] += message.bytes
        assert received == trace.bytes_sent()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(p=st.integers(1, 1024), count=st.integers(1024, 10**12), item=st.integers(1, 16))
def test_shared_by_all_ranks_it_sends_the_rings_number(p, count, item):
    sharded = traffic.busiest_on_all_ranks(p, count, item)
    assert sharded <= cost.ring_all_reduce(p, count, item).bytes_sent
    count -= count % p
    even = traffic.busiest_on_all_ranks(p, count, item)
    assert even == cost.ring_all_reduce(p, count, item).bytes_sent
    assert even * p == 2 * (p - 1) * count * item


@settings(max_examples=200, deadline=None, derandomize=True)
@given(p=st.integers(1, 1023), s=st.integers(1, 1023), count=st.integers(1024, 10**12))
def test_one_server_is_busier_with_each_worker_and_less_with_each_server(p, s, count):
    n = 4 * count
    assert traffic.busiest_apart(1, p, count, 4) == p * n
    more_workers = traffic.busiest_apart(1, p + 1, count, 4)
    assert more_workers - traffic.busiest_apart(1, p, count, 4) == n
    few, more = (traffic.busiest_apart(k, p, count, 4) for k in (s, s + 1))
    assert n <= more <= few
    if p > s:
        whole = 4 * s * (s + 1)  # elements that both numbers of servers divide
        few, more = (traffic.busiest_apart(k, p, whole, 4) for k in (s, s + 1))
        assert more < few


def test_unlike_parameters_leave_one_server_busier_than_ranges_do():
    sizes = {"embed": 60, "a": 9, "b": 9, "c": 9, "d": 9}
    whole = traffic.bytes_sent(on_all_ranks(keys(sizes), 4))
    cut = traffic.bytes_sent(on_all_ranks(range_keys(96, 4), 4))
    assert max(whole) == 4 * (96 + 2 * 60)
    assert cut == [4 * 2 * 3 * 96 // 4] * 4
    assert sum(whole) == sum(cut)


# ------------------------------------------------------------ a bad push

BAD = {
    "key": ({"q": torch.zeros(1)}, "'q' is none of the 8 keys"),
    "shape": ({"x": torch.zeros(4)}, "key 'x' takes (5,) of torch.int64, not (4,)"),
    "dtype": ({"y": torch.zeros(1)}, "takes (1,) of torch.int64, not (1,) of torch.f"),
}


def push_badly_first(placement: Placement, part: Values, bad: int) -> tuple:
    """The error that rank `bad` met, and what this rank served in spite of it."""
    everyone, rank = dist.group.WORLD, dist.get_rank()
    own, error = gradients(rank, placement), ""
    if rank == bad:
        try:
            push(own | part, placement, everyone)
        except ValueError as complaint:
            error = str(complaint)
    return error, push(own, placement, everyone)


@pytest.mark.parametrize("fault", BAD)
def test_the_server_lives_on_after_a_bad_push(world, fault):
    part, complaint = BAD[fault]
    for placement in placements(3):
        reports = world(3)(push_badly_first, placement, part, 2)
        assert complaint in reports[2][0]
        good = world(3)(one_step, placement)
        for (_, served), (expected, *_) in zip(reports, good, strict=True):
            assert all(torch.equal(served[k], expected[k]) for k in expected)


def test_a_push_from_a_rank_that_only_serves_is_refused(world):
    placement = apart(keys(), servers=1, workers=1, dtype=torch.int64)
    with pytest.raises(RankError, match="'x' is none of the 0 keys"):
        world(2)(push_from_everybody, placement)


def push_from_everybody(placement: Placement) -> None:
    push(gradients(1, placement), placement, dist.group.WORLD)


@pytest.mark.parametrize("call", [push, pull])
def test_a_group_too_small_is_refused(world, call):
    placement = apart(keys(), servers=2, workers=3)
    complaint = "2 servers and 3 workers on ranks 0 to 4 need 5 ranks, not 3"
    with pytest.raises(RankError) as failed:
        world(3)(call_empty, call, placement)
    assert failed.value.cause == f"ValueError: {complaint}"


def call_empty(call, placement: Placement) -> None:
    call({}, placement, dist.group.WORLD)


def test_ranks_beyond_the_placement_have_no_part(world):
    *inside, beyond = world(4)(one_step, on_all_ranks(keys(), 3, dtype=torch.int64))
    assert beyond == ({}, {}, True)
    assert all(pulled for _, pulled, _ in inside)


# ------------------------------------------------------------ the state of a shard


def test_a_shard_copies_its_weights_and_updates_them_as_torch_does():
    first = {"a": torch.linspace(-1, 1, 5), "b": torch.ones(2)}
    shard = Shard(first, lambda m: torch.optim.SGD(m.parameters(), lr=0.5))
    shard.update_({"a": torch.ones(5), "b": torch.full((2,), -2.0)})
    assert torch.equal(shard.values()["a"], torch.linspace(-1, 1, 5) - 0.5)
    assert torch.equal(shard.values()["b"], torch.full((2,), 2.0))
    assert torch.equal(first["b"], torch.ones(2))
    Shard({}, torch.optim.SGD).update_({})
