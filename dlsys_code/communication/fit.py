"""Alpha and beta of a link, fitted to times that were measured.

Two simple ways go wrong.  Now and then the operating system runs something else and a
message takes ten times as long: a mean believes it.  And 1 % of what 16 MiB take is
more than an empty message takes in all: plain least squares look at nothing else.  So::

    one size     a sample that took twice the fastest has waited for something else and
                 is left out; of the rest, the geometric mean
    all sizes    the relative errors (alpha + beta n) / t - 1 are made small together,
                 squared up to about 10 %, above that in proportion

An interval holds alpha, or the bandwidth, with 95 % confidence, if the errors that are
left are chance.  Real links have knees where another protocol or a full buffer takes
over; then `errors` has a pattern and the intervals are wide.

Sources: R. W. Hockney, "The communication challenge for MPP: Intel Paragon and Meiko
CS-2", Parallel Computing 20 (1994) 389-398; T. Hoefler and R. Belli, "Scientific
benchmarking of parallel computing systems", SC15 (2015); scipy.optimize.least_squares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import t as student

from dlsys_code.communication.link import Link

SLOW = 2.0  # times the fastest sample: nothing makes a message faster than its link
GROSS = 0.1  # a relative error of the model that is no longer small
TINY = 1e-6  # a part of the time that is as good as none
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A link that explains measured times.

    latency_interval_s, bandwidth_interval: from, to.  Two sizes alone say nothing of
    how sure they are: from 0 to infinity.
    errors: by size, the predicted time over the typical measured one, less 1.
    """

    link: Link
    latency_interval_s: tuple[float, float]
    bandwidth_interval: tuple[float, float]
    errors: Mapping[int, float]

    @property
    def worst_error(self) -> float:
        """The error of the size that the model explains worst."""
        return max(self.errors.values(), key=abs)


def typical_s(samples: Sequence[float]) -> float:
    """Return what a message takes [s], from samples of which some were held up."""
    fastest = min(samples)
    return geometric_mean([t for t in samples if t < SLOW * fastest])


def alpha_beta(sizes: np.ndarray, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha [s] and beta [s/byte], and half the widths of their intervals.

    sizes: ascending [bytes].  times_s: of one message of each [s].
    The covariance is s^2 (J^T J)^-1, with the Jacobian J and the errors left over, s.
    """
    relative = np.stack([np.ones_like(sizes), sizes], axis=1) / times_s[:, None]
    start = np.array([times_s[0], times_s[-1] / sizes[-1]])
    best = least_squares(
        lambda link: relative @ link - 1,  # predicted over measured, less 1
        start,
        jac=lambda _: relative,
        x_scale=start,
        loss="soft_l1",
        f_scale=GROSS,
    )
    freedom = len(sizes) - 2
    if freedom == 0:
        return best.x, np.full(2, np.inf)
    covariance = 2 * best.cost / freedom * np.linalg.inv(best.jac.T @ best.jac)
    margin = student.ppf((1 + CONFIDENCE) / 2, freedom)
    return best.x, margin * np.sqrt(np.diag(covariance))


def fit_link(times_s: Mapping[int, Sequence[float]]) -> Fit:
    """Return the link that explains the times best.

    times_s: message bytes -> one-way times [s], any number of each.
    Errors: ValueError for times that are not positive, fewer than two sizes, or times
    that no link explains: more bytes take no longer, or an empty message no time.
    """
    _check(times_s)
    sizes = np.array(sorted(times_s), dtype=float)
    typical = np.array([typical_s(times_s[n]) for n in sorted(times_s)])
    found, off = alpha_beta(sizes, typical)
    (alpha, beta), (alpha_off, beta_off) = found.tolist(), off.tolist()
    if alpha < TINY * typical[0] or beta * sizes[-1] < TINY * typical[-1]:
        raise ValueError(
            f"times of {sizes[0]:,.0f} to {sizes[-1]:,.0f} B give a latency of "
            f"{alpha:.3g} s and {beta:.3g} s/B: no link; measure smaller and larger "
            "messages"
        )
    slow, fast = beta + beta_off, beta - beta_off
    errors = (alpha + beta * sizes) / typical - 1
    return Fit(
        link=Link(latency_s=alpha, bandwidth=1 / beta),
        latency_interval_s=(max(0.0, alpha - alpha_off), alpha + alpha_off),
        bandwidth_interval=(1 / slow, 1 / fast if fast > 0 else np.inf),
        errors=dict(zip(sorted(times_s), errors.tolist(), strict=True)),
    )


def _check(times_s: Mapping[int, Sequence[float]]) -> None:
    if len(times_s) < 2 or min(times_s) < 0:
        raise ValueError(
            f"a fit needs at least two sizes from 0 B up, not {sorted(times_s)}"
        )
    for n, samples in times_s.items():
        if len(samples) == 0 or not all(0 < t < np.inf for t in samples):
            raise ValueError(f"{n} B: a fit needs times above 0 s, not {list(samples)}")
