"""Parts of an epoch are every sample once, and weigh as they do in one process."""

from itertools import chain
from math import isclose

import pytest
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DistributedSampler

from dlsys_code.system.data_loading import batches, order, part_of, parts_of

SIZES = {"samples": st.integers(1, 60), "batch": st.integers(1, 20)}


@settings(derandomize=True, deadline=None)
@given(p=st.integers(1, 8), epoch=st.integers(0, 3), **SIZES)
def test_an_epoch_on_p_ranks_is_every_sample_once(p, epoch, samples, batch):
    read = []
    for step in batches(samples, batch, seed=1, epoch=epoch):
        parts = parts_of(step, p)
        read += chain.from_iterable(x.samples for x in parts if x.weight)
        assert isclose(sum(x.weight for x in parts) / p, 1.0)
        sizes = [len(x.samples) if x.weight else 0 for x in parts]
        assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)
        assert all(len(x.samples) == 1 for x in parts if not x.weight)
    assert read == order(samples, seed=1, epoch=epoch)
    assert sorted(read) == list(range(samples))


@settings(derandomize=True, deadline=None)
@given(**SIZES)
def test_only_the_last_step_may_be_smaller(samples, batch):
    *full, last = map(len, batches(samples, batch, seed=0, epoch=0))
    assert set(full) <= {batch}
    assert 1 <= last <= batch


@settings(derandomize=True, deadline=None)
@given(p=st.integers(1, 8), values=st.lists(st.floats(-9, 9), min_size=1, max_size=20))
def test_weighed_means_of_the_parts_have_the_mean_of_the_whole(p, values):
    parts = parts_of(range(len(values)), p)
    means = [
        weight * sum(values[s] for s in samples) / len(samples)
        for samples, weight in parts
    ]
    expected = sum(values) / len(values)
    assert isclose(sum(means) / p, expected, rel_tol=1e-12, abs_tol=1e-12)


def test_epochs_and_seeds_differ_and_repeat():
    drawn = {(s, e): order(50, seed=s, epoch=e) for s in range(3) for e in range(3)}
    assert len(set(map(tuple, drawn.values()))) == 9
    assert order(50, seed=2, epoch=1) == drawn[2, 1]


def test_torchs_sampler_takes_two_pairs_of_seed_and_epoch_for_one():
    def theirs(seed: int, epoch: int) -> list[int]:
        sampler = DistributedSampler(range(50), num_replicas=1, rank=0, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert theirs(0, 1) == theirs(1, 0)
    assert order(50, seed=0, epoch=1) != order(50, seed=1, epoch=0)


@pytest.mark.parametrize(("drop", "read"), [(False, 12), (True, 8)])
def test_torchs_sampler_repeats_samples_or_drops_them(drop, read):
    samplers = [
        DistributedSampler(range(10), num_replicas=4, rank=r, drop_last=drop)
        for r in range(4)
    ]
    everything = list(chain.from_iterable(samplers))
    assert len(everything) == read
    assert len(set(everything)) == min(read, 10)


def mine() -> list:
    return [part_of([7, 2, 9], dist.group.WORLD), part_of("ab", dist.group.WORLD)]


def test_a_rank_without_a_sample_reads_one_that_weighs_nothing(world):
    found = world(4)(mine)
    assert [tuple(three) for three, _ in found] == [
        ([7], 4 / 3),
        ([2], 4 / 3),
        ([9], 4 / 3),
        ([7], 0.0),
    ]
    assert [tuple(two) for _, two in found] == [
        ("a", 2.0),
        ("b", 2.0),
        ("a", 0.0),
        ("a", 0.0),
    ]


def test_nothing_cannot_be_shared():
    with pytest.raises(ValueError, match="3 ranks cannot share a batch without"):
        parts_of([], 3)


@pytest.mark.parametrize(("samples", "batch"), [(0, 4), (5, 0)])
def test_an_epoch_without_samples_or_steps_is_refused(samples, batch):
    complaint = f"{samples} samples cannot be read in batches of {batch}"
    with pytest.raises(ValueError, match=complaint):
        next(batches(samples, batch, seed=0, epoch=0))
