"""Buckets hold every learning parameter once, last ones first, as in torch."""

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.units import MiB
from dlsys_code.system.buckets import FIRST_BYTES, LIMIT_BYTES, buckets_of, filled

DTYPES = st.sampled_from([torch.float64, torch.float32, torch.bfloat16])
DEVICES = st.sampled_from(["cpu", "meta"])


def tensors(
    shapes: list[tuple[int, torch.dtype]], device: str = "meta"
) -> list[Tensor]:
    return [torch.empty(size, dtype=dtype, device=device) for size, dtype in shapes]


def numbers(buckets: list[list[Tensor]], among: list[Tensor]) -> list[list[int]]:
    place = {id(x): i for i, x in enumerate(among)}
    return [[place[id(x)] for x in bucket] for bucket in buckets]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    kinds=st.lists(
        st.tuples(st.integers(1, 60), DTYPES, DEVICES), min_size=1, max_size=20
    ),
    limit=st.integers(1, 400),
    first=st.integers(1, 400),
)
def test_every_tensor_is_in_one_bucket_as_torch_assigns_it(kinds, limit, first):
    given_ = [tensors([shape], device)[0] for *shape, device in kinds]
    buckets = filled(given_, limit_bytes=limit, first_bytes=first)
    found = numbers(buckets, given_)
    theirs, _ = dist._compute_bucket_assignment_by_size(given_, [first, limit])
    assert found == theirs
    assert sorted(sum(found, [])) == list(range(len(kinds)))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=20),
    limit=st.integers(1, 400),
    first=st.integers(1, 400),
)
def test_a_bucket_is_closed_as_soon_as_it_holds_its_limit(sizes, limit, first):
    given_ = tensors([(size, torch.float32) for size in sizes])
    *closed, last = filled(given_, limit_bytes=limit, first_bytes=first)
    for i, bucket in enumerate(closed):
        bytes_ = [x.nbytes for x in bucket]
        assert sum(bytes_) >= (limit if i else first) > sum(bytes_[:-1])
    assert sum(x.nbytes for x in last[:-1]) < (limit if closed else first)


def test_limits_of_one_byte_are_a_bucket_for_each_of_all_a_bucket_for_all():
    given_ = tensors([(3, torch.float32)] * 5)
    alone = filled(given_, limit_bytes=1, first_bytes=1)
    assert numbers(alone, given_) == [[0], [1], [2], [3], [4]]
    together = filled(given_, limit_bytes=1, first_bytes=60)
    assert numbers(together, given_) == [[0, 1, 2, 3, 4]]


def names(model: nn.Module, buckets: list[list[Tensor]]) -> list[list[str]]:
    known = {id(x): name for name, x in model.named_parameters()}
    return [[known[id(x)] for x in bucket] for bucket in buckets]


def test_the_last_parameters_come_first_tied_ones_once_frozen_ones_never():
    model = GPT(GPTConfig(layers=2))
    model.blocks[1].norm_2.weight.requires_grad_(False)
    buckets = buckets_of(model, limit_bytes=MiB, first_bytes=1)
    assert names(model, buckets)[0] == ["norm.weight"]
    learning = [name for name, x in model.named_parameters() if x.requires_grad]
    assert sum(names(model, buckets), []) == learning[::-1]
    assert "embed.weight" in names(model, buckets)[-1]
    assert "head.weight" not in learning


def test_by_default_a_small_model_is_in_two_buckets():
    sizes = [sum(x.nbytes for x in bucket) for bucket in buckets_of(GPT(GPTConfig()))]
    assert len(sizes) == 2
    assert FIRST_BYTES <= sizes[0] < sizes[1] < LIMIT_BYTES == 25 * FIRST_BYTES


@pytest.mark.parametrize(("limit", "first"), [(0, 5), (5, 0), (-1, -1)])
def test_a_bucket_for_nothing_is_refused(limit, first):
    complaint = f"at least 1 byte, not {limit}, the first {first}$"
    with pytest.raises(ValueError, match=complaint):
        buckets_of(nn.Linear(2, 2), limit_bytes=limit, first_bytes=first)
