"""What the layouts ask for, against the messages of real runs."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.architecture import speed_up, traffic
from dlsys_code.architecture.keys import range_keys, split
from dlsys_code.architecture.parameter_server import pull, push
from dlsys_code.architecture.placement import (
    Placement,
    apart,
    on_all_ranks,
    on_rank_0,
)
from dlsys_code.architecture.speed_up import LAYOUTS, efficiency, longest_chain
from dlsys_code.book.drawing import stamped_moves
from dlsys_code.book.stamps import stamped
from dlsys_code.communication import cost
from dlsys_code.primitive.ring import all_reduce
from dlsys_code.world import Message, Trace

COUNT = 840  # elements, which 1 to 8 ranks can share
PLACED = {
    "one server": lambda p: apart(range_keys(COUNT, 1), servers=1, workers=p),
    "rank 0": lambda p: on_rank_0(range_keys(COUNT, 1), p),
    "sharded": lambda p: on_all_ranks(range_keys(COUNT, p), p),
}


def one_step(placement: Placement) -> None:
    """Pull, then push, as training does."""
    everyone, rank = dist.group.WORLD, dist.get_rank()
    mine = placement.served_by(rank)
    weights = split(torch.zeros(sum(map(len, mine.values()))), mine)
    pull(weights, placement, everyone)
    own = placement.keys if rank in placement.workers else {}
    push(split(torch.ones(COUNT if own else 0), own), placement, everyone)


def round_the_ring(count: int) -> Tensor:
    return all_reduce(torch.ones(count), dist.group.WORLD)


def recorded(world, layout: str, p: int) -> Trace:
    """A training step of a layout, or its all-reduce."""
    if layout == "ring":
        return world(p).trace(round_the_ring, COUNT)
    placement = PLACED[layout](p)
    return world(placement.ranks).trace(one_step, placement)


def partners_of(messages: Sequence[Message]) -> int:
    """How many others a rank sends to, at most."""
    to = defaultdict(set)
    for message in messages:
        to[message.source].add(message.destination)
    return max(map(len, to.values()), default=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 7])
def test_the_load_is_that_of_a_recorded_step(world, layout, p):
    load, n = LAYOUTS[layout](p), 4 * COUNT
    trace = recorded(world, layout, p)
    messages = trace.messages()
    sent = Counter(message.source for message in messages)
    assert max(trace.bytes_sent()) == load.bytes_sent * n
    assert cost.of_messages(messages).serial_bytes == load.bytes_in_turn * n
    assert max(sent.values(), default=0) == load.messages
    assert partners_of(messages) == load.partners


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("p", [2, 4, 6])
def test_what_crosses_the_middle_is_that_of_a_recorded_step(world, layout, p):
    first = p // 2 + (layout == "one server")  # the server sits with the low half
    crossing = Counter()
    for _, source, destination, n in recorded(world, layout, p).messages():
        if (source < first) != (destination < first):
            crossing[source < first] += n
    assert set(crossing.values()) == {LAYOUTS[layout](p).across * 4 * COUNT}


def served_stamps(placement: Placement) -> Tensor:
    """Push stamped chunks and pull their sums."""
    everyone, rank, p = dist.group.WORLD, dist.get_rank(), dist.get_world_size()
    served = push(split(stamped(rank, p), placement.keys), placement, everyone)
    return torch.cat(list(pull(served, placement, everyone).values()))


def stamps_round_the_ring() -> Tensor:
    return all_reduce(stamped(dist.get_rank(), dist.get_world_size()), dist.group.WORLD)


@pytest.mark.parametrize("p", range(1, 7))
def test_chains_are_those_of_what_the_messages_carry(world, p):
    placement = on_all_ranks(range_keys(p, p), p, dtype=torch.float64)
    total = sum(stamped(rank, p) for rank in range(p))
    for layout, program in (
        ("sharded", (served_stamps, placement)),
        ("ring", (stamps_round_the_ring,)),
    ):
        trace = world(p).trace(*program)
        assert all(torch.equal(result, total) for result in trace.results)
        chain = longest_chain(stamped_moves(trace, p))
        assert chain == LAYOUTS[layout](p).chain


def test_a_chain_ends_where_another_chunk_is_sent():
    one = frozenset({0})
    relay = {0: [(0, 1, 0, one)], 1: [(1, 2, 0, one)], 2: [(2, 3, 0, one)]}
    assert longest_chain(relay) == 3
    relay[2] = [(2, 3, 1, one)]
    assert longest_chain(relay) == 2
    assert longest_chain({0: [(0, 1, 0, one), (1, 2, 0, one)]}) == 1
    assert longest_chain({}) == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(p=st.integers(1, 1024), each=st.integers(1, 10**6))
def test_the_busiest_bytes_are_those_of_the_traffic(p, each):
    n, item = 4 * p * each, 4
    for layout, busiest in (
        ("one server", traffic.busiest_apart(1, p, n // item, item)),
        ("rank 0", traffic.busiest_on_rank_0(p, n // item, item)),
        ("sharded", traffic.busiest_on_all_ranks(p, n // item, item)),
        ("ring", cost.ring_all_reduce(p, n // item, item).bytes_sent),
    ):
        assert LAYOUTS[layout](p).bytes_sent * n == busiest


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    p=st.integers(2, 10**6),
    compute=st.floats(0.1, 1e6),
    alpha=st.floats(0, 10),
    layout=st.sampled_from(sorted(LAYOUTS)),
)
def test_efficiency_falls_with_ranks_and_alpha_and_rises_with_work(
    p, compute, alpha, layout
):
    load, more = LAYOUTS[layout](p), LAYOUTS[layout](p + 1)
    now = efficiency(load, compute=compute, alpha=alpha)
    assert 0 < now < 1
    assert efficiency(more, compute=compute, alpha=alpha) <= now
    assert efficiency(load, compute=2 * compute, alpha=alpha) > now
    assert efficiency(load, compute=compute, alpha=alpha + 1) < now
    assert load.bytes_in_turn >= load.bytes_sent


def test_half_the_time_is_left_where_talking_takes_as_long_as_computing():
    assert efficiency(speed_up.one_server(50), compute=100) == 0.5
    assert efficiency(speed_up.rank_0(51), compute=100) == 0.5
    assert efficiency(speed_up.ring(4), compute=1.5 + 6 * 0.25, alpha=0.25) == 0.5
    assert efficiency(speed_up.sharded(4), compute=1.5 + 2 * 0.25, alpha=0.25) == 0.5
    assert efficiency(speed_up.ring(1), compute=1, alpha=9) == 1


def test_a_ring_never_falls_below_a_floor_but_for_alpha():
    for p in (2, 1024, 10**6):
        assert speed_up.ring(p).bytes_in_turn < 2
        assert efficiency(speed_up.ring(p), compute=18) > Fraction(18, 20)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_worker_is_refused(layout):
    with pytest.raises(ValueError, match="at least 1 worker, not 0"):
        LAYOUTS[layout](0)


@pytest.mark.parametrize(("compute", "alpha"), [(0, 0), (1, -0.5)])
def test_impossible_bounds_are_refused(compute, alpha):
    with pytest.raises(ValueError, match=f"not {compute} and {alpha}"):
        efficiency(speed_up.ring(2), compute=compute, alpha=alpha)
