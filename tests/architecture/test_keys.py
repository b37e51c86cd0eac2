"""Keys cover every weight once; placements deal them out and say what cannot be."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.keys import (
    check,
    elements,
    join,
    parameter_keys,
    range_keys,
    split,
)
from dlsys_code.architecture.placement import apart, dealt, on_all_ranks, on_rank_0
from dlsys_code.introduction.gpt import GPT, GPTConfig

SMALL = GPTConfig(width=24, layers=2, heads=6, key_value_heads=3, hidden=20)
exactly = settings(max_examples=200, deadline=None, derandomize=True)


def named(sizes: list[int]) -> dict[str, range]:
    """Keys of the given sizes, end to end."""
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return {f"w{i}": range(ends[i], ends[i + 1]) for i in range(len(sizes))}


@exactly
@given(count=st.integers(1, 10**12), data=st.data())
def test_ranges_cover_the_vector_and_differ_by_one(count, data):
    pieces = data.draw(st.integers(1, min(count, 50)))
    ranges = list(range_keys(count, pieces).values())
    assert [r.start for r in ranges] == [0, *(r.stop for r in ranges[:-1])]
    assert ranges[-1].stop == count
    assert len(ranges) == pieces
    assert len(ranges[0]) - len(ranges[-1]) == (count % pieces > 0)


@pytest.mark.parametrize("tied", [True, False])
def test_a_key_for_each_parameter_is_where_its_elements_are(tied):
    model = GPT(GPTConfig(**vars(SMALL) | {"tied": tied}))
    keys = parameter_keys(model)
    vector = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    for name, weight in model.named_parameters():
        key = keys[name]
        assert torch.equal(vector[key.start : key.stop], weight.detach().flatten())
    assert elements(keys) == len(vector)
    assert len(keys) == len(list(model.parameters()))


@exactly
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_join_undoes_split(sizes):
    keys = named(sizes)
    vector = torch.arange(sum(sizes))
    assert torch.equal(join(split(vector, keys), keys, torch.int64), vector)


@exactly
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=7), s=st.integers(1, 4))
def test_keys_are_dealt_within_grahams_bound(sizes, s):
    if s > len(sizes):
        with pytest.raises(ValueError, match=f"{s} servers cannot share {len(sizes)}"):
            dealt(named(sizes), range(s))
        return
    server_of = dealt(named(sizes), range(s))

    def busiest(servers) -> int:
        loads = [0] * s
        for size, server in zip(sizes, servers, strict=True):
            loads[server] += size
        return max(loads)

    best = min(busiest(way) for way in product(range(s), repeat=len(sizes)))
    found = busiest([server_of[f"w{i}"] for i in range(len(sizes))])
    assert 3 * s * found <= (4 * s - 1) * best
    assert set(server_of.values()) == set(range(s))


def test_of_as_many_ranges_every_server_has_its_own():
    placement = on_all_ranks(range_keys(11, 4), 4)
    assert placement.server_of == {"0": 0, "1": 1, "2": 2, "3": 3}


@pytest.mark.parametrize(("s", "p"), [(1, 1), (1, 4), (3, 2), (2, 5)])
def test_every_worker_meets_every_server_of_another_rank_once(s, p):
    keys = range_keys(20, 20)
    for placement in (
        apart(keys, servers=s, workers=p),
        on_rank_0(keys, p),
        on_all_ranks(keys, p),
    ):
        met = [pair for meets in placement.rounds() for pair in meets.items()]
        pairs = product(placement.servers, placement.workers)
        assert sorted(met) == [(a, b) for a, b in pairs if a != b]
        for meets in placement.rounds():
            assert len(set(meets.values())) == len(meets)


KEYS = {"a": range(0, 3), "b": range(3, 4)}
GOOD = {"a": torch.zeros(3), "b": torch.zeros(1)}
BAD = [
    ({"c": torch.zeros(1)}, "'c' is none of the 2 keys"),
    ({"a": torch.zeros(2)}, "key 'a' takes (3,) of torch.float32, not (2,) of torch."),
    ({"a": torch.zeros(1, 3)}, "takes (3,) of torch.float32, not (1, 3) of torch."),
    ({"b": torch.zeros(1).double()}, "of torch.float32, not (1,) of torch.float64"),
]


@pytest.mark.parametrize(("part", "complaint"), BAD)
def test_values_that_do_not_fit_are_named(part, complaint):
    check(GOOD, KEYS, torch.float32)
    with pytest.raises(ValueError) as caught:
        check(GOOD | part, KEYS, torch.float32)
    assert complaint in str(caught.value)


def test_missing_keys_are_named():
    with pytest.raises(ValueError, match="1 of 2 keys are missing: 'b' first"):
        check({"a": GOOD["a"]}, KEYS, torch.float32)


def test_placements_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="3 servers cannot share 2 keys"):
        apart(KEYS, servers=3, workers=1)
    with pytest.raises(ValueError, match="3 servers cannot share 2 keys"):
        on_all_ranks(KEYS, 3)
    with pytest.raises(ValueError, match="2 servers need at least 1 worker, not 0"):
        apart(KEYS, servers=2, workers=0)
    for servers in (0, -1):
        with pytest.raises(ValueError, match="0 servers cannot share 2 keys"):
            apart(KEYS, servers=servers, workers=2)
    for pieces in (0, 5):
        with pytest.raises(ValueError, match=f"4 elements cannot be cut into {pieces}"):
            range_keys(4, pieces)
