"""Published sweeps, and how far NCCL's own model is from them."""

from statistics import median

import pytest

from dlsys_code.communication.channels import behind_nvswitch
from dlsys_code.communication.nccl import choose, switches
from dlsys_code.communication.sweeps import bus_speed, errors, sweep, sweeps
from dlsys_code.introduction.units import GB, GiB, KiB, MiB

BEKMAN = "8 A100, 32 KiB to 16 GiB"


def guessed(name: str) -> dict[int, float]:
    """The error of the model at every size of a sweep."""
    found = sweep(name)
    comm = behind_nvswitch(found.ranks)
    return dict(errors(found, lambda n: choose(n, comm).time_s))


def fine(ranks: int) -> list[float]:
    """The measured times of 1, 2 ... 32 MiB [s]."""
    (found,) = (s for s in sweeps().values() if s.ranks == ranks and s.fine)
    return [time_s for _, time_s in found.rows[:32]]


def test_bus_speeds_are_those_that_were_printed():
    rows = dict(sweep(BEKMAN).rows)
    printed = {32 * KiB: 1.31, MiB: 18.00, GiB: 229.04, 16 * GiB: 234.89}
    for n, busbw in printed.items():
        assert bus_speed(n, 8, rows[n]) == pytest.approx(busbw * GB, rel=5e-3)


@pytest.mark.parametrize(
    ("ranks", "size", "printed"),
    [
        (4, 5, 93.62),  # on both sides of every switch
        (4, 6, 90.66),
        (5, 10, 111.91),
        (5, 11, 125.32),
        (6, 14, 124.06),
        (6, 15, 136.02),
        (7, 19, 128.75),
        (7, 20, 145.33),
        (8, 23, 137.55),
        (8, 24, 166.01),
    ],
)
def test_fine_bus_speeds_are_those_that_were_printed(ranks, size, printed):
    busbw = bus_speed(size * MiB, ranks, fine(ranks)[size - 1])
    assert busbw == pytest.approx(printed * GB, rel=5e-4)


def test_one_sweep_of_seven_is_coarse():
    assert [s.name for s in sweeps().values() if not s.fine] == [BEKMAN]
    assert sorted(s.ranks for s in sweeps().values() if s.fine) == [2, 4, 5, 6, 7, 8]


def test_sweeps_grow_in_size_and_name_their_source():
    for found in sweeps().values():
        sizes = [n for n, _ in found.rows]
        assert sizes == sorted(set(sizes))
        assert found.key in ("bekman2024", "bang2024")
        assert found.where and found.url.startswith("https://github.com/")


@pytest.mark.parametrize("name", sweeps())
def test_the_model_is_always_too_fast_and_less_so_for_more_bytes(name):
    found = guessed(name)
    assert all(-0.70 < error < 0 for error in found.values())
    assert median(abs(error) for error in found.values()) < 0.37
    small, large = min(found), max(found)
    assert abs(found[large]) < 0.35 * abs(found[small])


def test_the_model_knows_the_bandwidth_of_eight():
    found = guessed(BEKMAN)
    assert all(abs(found[n]) < 0.07 for n in found if n >= 512 * MiB)
    assert abs(found[16 * GiB]) < 0.025


@pytest.mark.parametrize("ranks", [5, 6, 7, 8])
def test_the_measured_time_falls_where_the_model_says_that_simple_begins(ranks):
    comm = behind_nvswitch(ranks)
    (at,) = [
        n
        for n, choice in switches(comm, low=KiB, high=GiB)
        if choice.protocol == "Simple"
    ]
    times = fine(ranks)
    before = at // MiB  # the last whole MiB that LL128 carries
    growth = [after - time for time, after in zip(times, times[1:], strict=False)]
    assert growth[before - 1] < 0 < median(growth)
    assert sum(step <= growth[before - 1] for step in growth) <= 2


def test_four_ranks_pay_for_a_switch_that_comes_too_early():
    times = fine(4)
    growth = [after - time for time, after in zip(times, times[1:], strict=False)]
    found = switches(behind_nvswitch(4), low=KiB, high=GiB)
    assert 5 * MiB < found[-1][0] < 6 * MiB
    assert growth[4] > 3 * median(growth)


def test_what_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no sweep 'B200', but 8 A100"):
        sweep("B200")
    with pytest.raises(ValueError, match="more than 0 s, not 0.0 s"):
        bus_speed(1, 8, 0.0)
