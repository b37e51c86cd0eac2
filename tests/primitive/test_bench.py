"""The race: its factors, its check of results, and what it says of each sample."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication import cost, formulas
from dlsys_code.primitive import bench, in_place, ring
from dlsys_code.primitive.bench import Heat, counts, race, whole_numbers
from dlsys_code.primitive.contenders import COLLECTIVES, Arena


def heat(name: str, **options) -> Heat:
    """A short race of everything that a collective has."""
    collective = COLLECTIVES[name]
    given = {"count": 6, "dtype": torch.float32, "rounds": 2} | options
    return Heat(collective=collective, contenders=collective.contenders, **given)


def forgets_one(arena: Arena) -> Tensor:
    """An all-reduce whose last element is that of this rank alone."""
    total = ring.all_reduce(arena.x, arena.group)
    total[-1] = -1
    return total


def does_nothing(arena: Arena) -> Tensor:
    return arena.out


def says_nothing(arena: Arena) -> None:
    dist.all_reduce(arena.x, group=arena.group)


def cuts_off(arena: Arena) -> Tensor:
    return arena.x[:2]


@pytest.mark.parametrize("p", [2, 3, 4, 8])
def test_bus_factors_are_the_bytes_that_a_link_must_carry(p):
    """The best algorithms send them: busiest rank's bytes / size, nothing to spare."""
    count = 24 * p
    best = {
        "all_reduce": cost.ring_all_reduce,
        "all_gather": cost.ring_all_gather,
        "reduce_scatter": cost.ring_reduce_scatter,
        "all_to_all": formulas.pairwise_all_to_all,
        "scatter": formulas.tree_scatter,
    }
    for name, formula in best.items():
        size = heat(name, count=count, dtype=torch.uint8).size(p)
        sent = formula(p, size, 1).bytes_sent
        factor = COLLECTIVES[name].bus_factor(p)
        assert factor == pytest.approx(Fraction(sent, size))
    assert COLLECTIVES["gather"].bus_factor(p) == COLLECTIVES["scatter"].bus_factor(p)
    assert COLLECTIVES["broadcast"].bus_factor(p) == 1
    assert COLLECTIVES["reduce"].bus_factor(p) == 1


@pytest.mark.parametrize("p", [1, 3, 4])
@pytest.mark.parametrize("name", COLLECTIVES)
def test_every_contender_is_right_and_every_row_adds_up(world, p, name):
    told = heat(name, root=p - 1)
    rows = race(world(p), told)
    assert [row.algorithm for row in rows] == list(COLLECTIVES[name].contenders)
    for row in rows:
        assert row.wrong == 0, row
        assert row.size_bytes == 24 * (p if told.collective.by_chunks else 1)
        assert (row.count, row.type, row.ranks, row.rounds) == (6, "float32", p, 2)
        assert row.root == (p - 1 if told.collective.rooted else -1)
        seconds = row.time_us / 1e6
        assert row.algbw_GB_per_s == pytest.approx(row.size_bytes / seconds / 1e9)
        factor = COLLECTIVES[name].bus_factor(p)
        assert row.busbw_GB_per_s == pytest.approx(row.algbw_GB_per_s * factor)
        low, high = row.ratio_quartiles
        assert 0 < low <= row.ratio <= high
    assert rows[0].ratio == 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8])
def test_other_dtypes_are_checked_exactly(world, dtype):
    assert not any(row.wrong for row in race(world(4), heat("all_reduce", dtype=dtype)))


@pytest.mark.parametrize(
    ("broken", "wrong"),
    [(forgets_one, 1), (does_nothing, 6), (says_nothing, 6), (cuts_off, 6)],
)
def test_a_broken_contender_is_found(world, broken, wrong):
    told = heat("all_reduce")
    contenders = {"torch": told.contenders["torch"], "broken": broken}
    right, row = race(world(3), replace(told, contenders=contenders))
    assert right.wrong == 0
    assert row.wrong == 3 * wrong


def test_a_rank_that_must_end_with_nothing_is_not_checked(world):
    told = heat("reduce", root=1)
    contenders = {"torch": told.contenders["torch"], "broken": does_nothing}
    assert [
        row.wrong for row in race(world(3), replace(told, contenders=contenders))
    ] == [
        0,
        6,
    ]


def test_ratios_compare_the_slowest_ranks_of_one_round(world):
    samples = {"torch": [1.0, 2.0, 4.0, 1.0, 1.0], "ring": [2.0, 2.0, 2.0, 3.0, 5.0]}
    told = heat("all_reduce", count=250)
    row = bench.row_of(told, world(4), "ring", samples, wrong=0)
    assert row.ratio == 2  # of 0.5, 1, 2, 3, 5
    assert row.ratio_quartiles == (1, 3)
    assert row.time_us == 2e6
    assert row.algbw_GB_per_s == 1000 / 2.0 / 1e9
    assert row.busbw_GB_per_s == pytest.approx(1.5 * 1000 / 2.0 / 1e9)


def test_inputs_are_small_whole_and_differ_between_ranks():
    rows = [whole_numbers(rank, 30, torch.float64) for rank in range(4)]
    for row in rows:
        assert set(row.tolist()) <= {0, 1, 2, 3, 4}
    assert all(not torch.equal(a, b) for a in rows for b in rows if a is not b)


def test_sizes_grow_by_a_factor_in_whole_units():
    assert counts(8, 128, factor=4, unit=4) == [2, 8, 32]
    assert counts(24, 100, factor=2, unit=12) == [2, 4, 8]
    assert counts(5, 20, factor=2, unit=4) == [1, 2, 5]
    for low, high, factor in ((3, 8, 2), (8, 4, 2), (8, 64, 1)):
        with pytest.raises(ValueError, match=f"from {low} to {high} B by a factor of"):
            counts(low, high, factor=factor, unit=4)


def test_a_race_that_cannot_be_run_is_refused(world):
    alone = {"ring": in_place.ring_all_reduce_into_}
    for wrong in ({"rounds": 0}, {"count": 0}, {"contenders": alone}):
        with pytest.raises(ValueError, match="at least one of each, and torch"):
            race(world(2), replace(heat("all_reduce"), **wrong))
    with pytest.raises(ValueError, match="root 2 is not one of the 2 ranks"):
        race(world(2), replace(heat("reduce"), root=2))
