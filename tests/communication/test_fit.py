"""The fit finds the link that made the times, and refuses times that no link makes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.fit import fit_link, typical_s
from dlsys_code.communication.link import Link, transfer_time_s

SIZES = [4**i for i in range(1, 13)]  # 4 B to 16 MiB
thorough = settings(max_examples=100, deadline=None, derandomize=True)


def noisy_times(link: Link, seed: int, *, noise: float = 0.05, samples: int = 20):
    """Times of a link, off by about `noise`; one in ten takes ten times as long."""
    rng = np.random.default_rng(seed)
    return {
        n: (
            transfer_time_s(n, link)
            * np.exp(noise * rng.standard_normal(samples))
            * np.where(rng.random(samples) < 0.1, 10, 1)
        ).tolist()
        for n in SIZES
    }


def in_range(link: Link) -> bool:
    """Whether some of the sizes tell the latency and some the bandwidth."""
    return SIZES[1] <= link.half_bandwidth_bytes <= SIZES[-2]


links = st.builds(
    lambda log_latency, log_bandwidth: Link(
        latency_s=10**log_latency, bandwidth=10**log_bandwidth
    ),
    st.floats(-7, -3),
    st.floats(7, 12),
).filter(in_range)


@thorough
@given(link=links, seed=st.integers(0, 2**32 - 1))
def test_alpha_and_beta_are_recovered_from_noise_and_outliers(link, seed):
    found = fit_link(noisy_times(link, seed)).link
    assert found.latency_s == pytest.approx(link.latency_s, rel=0.1)
    assert found.bandwidth == pytest.approx(link.bandwidth, rel=0.1)
    assert found.half_bandwidth_bytes == pytest.approx(
        link.half_bandwidth_bytes, rel=0.2
    )


@thorough
@given(link=links)
def test_without_noise_the_fit_is_exact(link):
    fit = fit_link({n: [transfer_time_s(n, link)] for n in SIZES})
    assert fit.link.latency_s == pytest.approx(link.latency_s, rel=1e-6)
    assert fit.link.bandwidth == pytest.approx(link.bandwidth, rel=1e-6)
    assert abs(fit.worst_error) < 1e-6


@pytest.mark.parametrize(
    ("latency_s", "bandwidth"), [(1e-7, 1e8), (5e-6, 25e9), (1e-4, 1e9), (1e-3, 1e7)]
)
def test_nine_intervals_in_ten_hold_the_truth(latency_s, bandwidth):
    link = Link(latency_s=latency_s, bandwidth=bandwidth)
    fits = [fit_link(noisy_times(link, seed)) for seed in range(100)]
    for low, high, truth in (
        (*zip(*(fit.latency_interval_s for fit in fits), strict=True), latency_s),
        (*zip(*(fit.bandwidth_interval for fit in fits), strict=True), bandwidth),
    ):
        held = sum(a <= truth <= b for a, b in zip(low, high, strict=True))
        assert held >= 90
    assert all(fit.latency_interval_s[1] < 1.3 * fit.link.latency_s for fit in fits)
    assert all(fit.bandwidth_interval[0] > 0.7 * fit.link.bandwidth for fit in fits)


def test_large_messages_do_not_outvote_small_ones():
    # 16 MiB take 1 % longer than the model says: that is 170 us, the latency is 5.
    link = Link(latency_s=5e-6, bandwidth=1e9)
    times = {n: [transfer_time_s(n, link)] for n in SIZES}
    times[SIZES[-1]] = [1.01 * transfer_time_s(SIZES[-1], link)]
    assert fit_link(times).link.latency_s == pytest.approx(5e-6, rel=0.01)
    plain = np.polyfit(SIZES, [t for [t] in times.values()], 1)[1]
    assert abs(plain - 5e-6) > 2e-6


def test_one_wild_size_changes_little_and_is_named():
    link = Link(latency_s=1e-5, bandwidth=1e9)
    times = {n: [transfer_time_s(n, link)] for n in SIZES}
    times[1024] = [20 * transfer_time_s(1024, link)]
    fit = fit_link(times)
    assert fit.link.latency_s == pytest.approx(1e-5, rel=0.05)
    assert fit.link.bandwidth == pytest.approx(1e9, rel=0.05)
    assert fit.worst_error == fit.errors[1024] == pytest.approx(1 / 20 - 1, abs=0.01)


def test_a_knee_shows_in_the_errors_and_widens_the_intervals():
    # Above 64 KiB every message first asks for leave: 200 us more.
    link = Link(latency_s=1e-5, bandwidth=1e9)
    smooth = {n: [transfer_time_s(n, link)] for n in SIZES}
    bent = {n: [t + 2e-4 * (n > 2**16)] for n, [t] in smooth.items()}
    fit = fit_link(bent)
    assert abs(fit.worst_error) > 0.2
    low, high = fit.latency_interval_s
    assert high - low > 0.1 * fit.link.latency_s
    assert abs(fit_link(smooth).worst_error) < 1e-6


def test_messages_that_waited_are_left_out():
    assert typical_s([1e-5, 9e-5, 1e-5, 5e-3]) == pytest.approx(1e-5)
    assert typical_s([4e-6, 1e-6, 1e-6]) == pytest.approx(1e-6)
    assert typical_s([1e-6, 1.44e-6]) == pytest.approx(1.2e-6)  # geometric mean
    assert typical_s([3e-6]) == pytest.approx(3e-6)


def test_two_sizes_say_nothing_of_how_sure_they_are():
    fit = fit_link({8: [1e-5], 1_000_008: [1.01e-3]})
    assert fit.link.bandwidth == pytest.approx(1e9)
    assert fit.latency_interval_s == (0, math.inf)
    assert fit.bandwidth_interval == (0, math.inf)


def test_the_model_is_scaled_with_its_units():
    link = Link(latency_s=2e-5, bandwidth=3e9)
    times = noisy_times(link, seed=1)
    slower = {n: [1000 * t for t in samples] for n, samples in times.items()}
    ours, theirs = fit_link(times), fit_link(slower)
    assert theirs.link.latency_s == pytest.approx(1000 * ours.link.latency_s)
    assert theirs.link.bandwidth == pytest.approx(ours.link.bandwidth / 1000)
    assert theirs.latency_interval_s == pytest.approx(
        [1000 * t for t in ours.latency_interval_s]
    )


@pytest.mark.parametrize("times", [{}, {8: [1e-6]}, {-1: [1e-6], 8: [1e-6]}])
def test_one_size_is_no_line(times):
    with pytest.raises(ValueError, match="at least two sizes"):
        fit_link(times)


def test_sizes_that_do_not_differ_are_one_size():
    with pytest.raises(ValueError, match=r"not \[8\]"):
        fit_link({8: [1e-6, 2e-6, 3e-6]})


@pytest.mark.parametrize("bad", [[], [0.0], [1e-6, -1e-6], [math.nan], [math.inf]])
def test_times_that_cannot_be_are_refused(bad):
    with pytest.raises(ValueError, match="64 B: a fit needs times above 0 s"):
        fit_link({8: [1e-6], 64: bad})


@pytest.mark.parametrize(
    "times",
    [
        {1000: [1e-6], 2000: [4e-6]},  # an empty message would take -2 us
        {1000: [2e-6], 2000: [1e-6]},  # more bytes take less time
        {8: [1e-5], 64: [1e-5]},  # more bytes take no more time
    ],
)
def test_times_that_no_link_explains_are_refused(times):
    with pytest.raises(ValueError, match="measure smaller and larger messages"):
        fit_link(times)
