"""The dissemination barrier holds everyone back, and sends the plan."""

import time

import pytest
import torch
import torch.distributed as dist
from checks import RANKS, check_messages, few_examples, group_of, groups
from hypothesis import given

from dlsys_code.communication import formulas
from dlsys_code.primitive.barrier import barrier, barrier_messages

Stamps = list[tuple[float, float]]


def pass_barriers(members: list[int], times: int) -> Stamps:
    """When this rank came to each barrier and when it left; another one is late."""
    group, stamps = group_of(members), []
    if group is None:
        return stamps
    work = torch.ones(200, 200)
    for turn in range(times):
        if turn % group.size() == group.rank():
            for _ in range(20):
                work = work @ work / 200
        arrived = time.perf_counter()
        barrier(group)
        stamps.append((arrived, time.perf_counter()))
    return stamps


def pass_one() -> None:
    barrier(dist.group.WORLD)


@few_examples
@given(where=groups())
def test_nobody_leaves_before_the_last_has_arrived(world, where):
    p, members = where
    reports = world(p)(pass_barriers, members, len(members))
    for turn in range(len(members)):
        arrived, left = zip(*(reports[r][turn] for r in members), strict=True)
        assert max(arrived) <= min(left)


@pytest.mark.parametrize("p", [*range(1, 70), 1000])
def test_the_plan_lets_every_rank_hear_of_all(p):
    heard = [{r} for r in range(p)]
    for step in range(formulas.dissemination_barrier(p).rounds):
        before = [set(ranks) for ranks in heard]
        for message in barrier_messages(p)[step * p : (step + 1) * p]:
            assert message.step == step
            heard[message.destination] |= before[message.source]
    assert all(len(ranks) == p for ranks in heard)


@pytest.mark.parametrize("p", RANKS)
def test_messages_are_the_plan_and_bytes_the_formula(world, p):
    trace = world(p).trace(pass_one)
    check_messages(trace, barrier_messages(p), formulas.dissemination_barrier(p))
    assert trace.messages() == barrier_messages(p)
