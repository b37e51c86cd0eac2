"""What the exercises of 05.1 hold against an answer, by hand and by torch."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DistributedSampler

from dlsys_code.book import exercises_system_data as exercises
from dlsys_code.book.exercises_numbers import judge_number
from dlsys_code.book.exercises_system_data import EXERCISES
from dlsys_code.book.exercises_system_data_checks import fault_of_launches

NUMBERS = {
    "step_gigabytes": 24.5,
    "most_buckets": (0.12 - 2 * 7 / 8 * 496e6 / 12.5e9) // (14 * 20e-6),
    "read_twice": 16,
}


@pytest.mark.parametrize(("name", "value"), NUMBERS.items())
def test_right_numbers_are_right(name, value):
    assert judge_number(EXERCISES[name], value).right


@pytest.mark.parametrize("name", NUMBERS)
def test_likely_numbers_hear_what_was_overlooked(name):
    for value, said in EXERCISES[name].near.items():
        verdict = judge_number(EXERCISES[name], value)
        assert not verdict.right and said in str(verdict)


def test_torchs_sampler_reads_so_many_twice():
    samples, p = exercises.SAMPLES, exercises.SHARING
    sampler = DistributedSampler(range(samples), num_replicas=p, rank=0)
    assert p * len(sampler) - samples == exercises.REPEATED


@settings(derandomize=True, deadline=None)
@given(order=st.permutations(range(6)), cuts=st.sets(st.integers(1, 5)))
def test_buckets_leave_as_data_parallel_sends_them(order, cuts):
    edges = [0, *sorted(cuts), 6]
    buckets = [tuple(range(a, b)) for a, b in zip(edges, edges[1:], strict=False)]
    missing, sent, waiting = [set(b) for b in buckets], [], 0
    for turn, number in enumerate(order, 1):
        for bucket in missing:
            bucket.discard(number)
        while waiting < len(buckets) and not missing[waiting]:
            sent.append(turn)
            waiting += 1
    assert fault_of_launches(sent, order, buckets) == ""
