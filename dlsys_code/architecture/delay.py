"""The price of staleness: old gradients need smaller steps.

On a loss of curvature λ, descent with gradients of weights that are τ updates old is::

    w(t + 1) = w(t) - rate λ w(t - τ)

which shrinks to 0 if and only if 0 < rate λ < 2 sin(π / (4 τ + 2)): for τ = 0, 1, 2
less than 2, 1 and 0.62.  Of p workers alike that do not wait each gradient is τ = p - 1
old, so each step must be at least p times smaller than one of a round in step.  A
server that takes rate/p for each gradient does so already, and loses little::

    rate λ < 2                          in step
    rate λ < 2 p sin(π / (4 p - 2))     nobody waits: 2 for p = 2, π/2 for large p

Gradients much older than the mean, those of a straggler, are not in this count.

Source: S. A. Levin and R. M. May, "A note on difference-delay equations", Theoretical
Population Biology 9 (1976) 178-187.
"""

from math import pi, sin


def largest_rate(staleness: int, curvature: float = 1.0) -> float:
    """Return the rate below which descent with gradients so old still shrinks.

    Errors: ValueError for a staleness below 0 or a curvature not above 0.
    """
    _check(staleness, curvature)
    return 2 * sin(pi / (4 * staleness + 2)) / curvature


def delayed_descent(
    rate: float, staleness: int, *, steps: int, curvature: float = 1.0
) -> list[float]:
    """Return w before and after each of the steps, from 1.

    Before there are gradients so old, those of the first weights are used.
    Errors: as `largest_rate`.
    """
    _check(staleness, curvature)
    w = [1.0]
    for step in range(steps):
        w.append(w[-1] - rate * curvature * w[max(step - staleness, 0)])
    return w


def _check(staleness: int, curvature: float) -> None:
    if staleness < 0 or curvature <= 0:
        raise ValueError(
            "needs a staleness of at least 0 and a curvature above 0, not "
            f"{staleness} and {curvature}"
        )
