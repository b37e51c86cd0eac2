"""Old gradients shrink the weights below the largest rate, and blow them up above."""

from math import pi

import pytest

from dlsys_code.architecture.delay import delayed_descent, largest_rate


@pytest.mark.parametrize("curvature", [1.0, 4.0])
@pytest.mark.parametrize("staleness", [0, 1, 2, 3, 7, 31])
def test_the_largest_rate_parts_shrinking_from_growing(staleness, curvature):
    edge = largest_rate(staleness, curvature)
    for factor, shrinks in [(0.95, True), (1.05, False)]:
        steps = 400 * (staleness + 1)
        w = delayed_descent(factor * edge, staleness, steps=steps, curvature=curvature)
        assert len(w) == steps + 1
        late = max(abs(x) for x in w[-staleness - 9 :])
        assert (late < 1e-3) is shrinks
        assert (late > 1e3) is not shrinks


def test_a_few_rates_by_hand():
    assert largest_rate(0) == pytest.approx(2)
    assert largest_rate(1) == pytest.approx(1)
    assert largest_rate(2) == pytest.approx((5**0.5 - 1) / 2)
    assert largest_rate(1, curvature=4) == pytest.approx(1 / 4)
    assert largest_rate(500) == pytest.approx(pi / 1001, rel=1e-5)


@pytest.mark.parametrize("p", [2, 3, 8, 64, 4_000])
def test_a_server_that_divides_by_the_workers_loses_a_quarter_at_most(p):
    """p workers alike that do not wait: a gradient is p - 1 updates old."""
    of_a_round = p * largest_rate(p - 1)
    assert pi / 2 < of_a_round <= 2 + 1e-12
    assert largest_rate(0) / largest_rate(p - 1) >= p - 1e-12


def test_a_few_steps_by_hand():
    assert delayed_descent(0.5, 0, steps=3) == [1, 0.5, 0.25, 0.125]
    assert delayed_descent(0.5, 2, steps=5) == [1, 0.5, 0, -0.5, -0.75, -0.75]


@pytest.mark.parametrize(("staleness", "curvature"), [(-1, 1.0), (0, 0.0), (2, -1.0)])
def test_negative_staleness_and_curvature_are_refused(staleness, curvature):
    for call in (
        lambda: largest_rate(staleness, curvature),
        lambda: delayed_descent(0.1, staleness, steps=1, curvature=curvature),
    ):
        with pytest.raises(ValueError, match=f"not {staleness} and {curvature}"):
            call()
