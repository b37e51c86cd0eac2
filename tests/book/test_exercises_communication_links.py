"""The exercises on one link: right answers pass, usual mistakes are named."""

from math import ceil

import numpy as np
import pytest

from dlsys_code.book import exercises_communication_links as links
from dlsys_code.book.exercises import judge_function, judge_number

HALF, ESTIMATE, BUNDLE = links.EXERCISES.values()


def estimate(sizes, times):
    """The answer that the page gives."""
    n, t = np.array(sizes, dtype=float), np.array(times)
    rows = np.stack([1 / t, n / t], axis=1)
    return tuple(np.linalg.lstsq(rows, np.ones(len(n)), rcond=None)[0])


def bundle(n, link):
    """The answer that the page gives."""
    return max(1, ceil(9 * link.latency_s * link.bandwidth / n))


def wrong(puzzle, answer) -> str:
    verdict = judge_function(puzzle, answer)
    assert not verdict.right
    return verdict.lines[-1]


def test_right_answers_pass():
    assert judge_number(HALF, 100_000).right
    assert judge_function(ESTIMATE, estimate).right
    assert judge_function(BUNDLE, bundle).right


def test_the_true_links_would_pass():
    for sizes, times in links.samples():
        assert any(
            links.fault_of_estimate((k.latency_s, k.seconds_per_byte), sizes, times)
            == ""
            for k in links.LINKS
        )


@pytest.mark.parametrize(
    ("given", "said"), [(800_000, "除以 8"), (100, "不是 KB"), (50_000, "不用再除以 2")]
)
def test_usual_sizes_are_explained(given, said):
    assert said in judge_number(HALF, given).lines[0]


@pytest.mark.parametrize(("said", "mistake"), links.MISTAKES.items())
def test_usual_fits_are_explained(said, mistake):
    def mine(sizes, times):
        return mistake(np.array(sizes, dtype=float), np.array(times))

    assert wrong(ESTIMATE, mine) == said


def test_other_fits_are_shown_what_was_expected():
    assert "要 (alpha, beta) 两个数" in wrong(ESTIMATE, lambda sizes, times: None)
    assert "应当接近" in wrong(ESTIMATE, lambda sizes, times: (1.0, 1.0))


@pytest.mark.parametrize(
    ("mine", "said"),
    [
        (lambda n, link: 0, "至少要有 1 条"),
        (lambda n, link: 10.5, "要一个整数"),
        (lambda n, link: bundle(n, link) + 1, "更少的条数也够"),
        (lambda n, link: max(1, bundle(n, link) - 1), "时延还占 10"),
        (lambda n, link: ceil(9 * link.latency_s * link.bandwidth / n) // 9, "还占"),
    ],
)
def test_other_bundles_are_explained(mine, said):
    assert said in wrong(BUNDLE, mine)


def test_the_smallest_bundle_has_the_share_and_no_smaller_one():
    for n, link in links.bundles():
        k = bundle(n, link)
        share = link.latency_s / (link.latency_s + k * n / link.bandwidth)
        assert share <= 0.1
        less = link.latency_s + (k - 1) * n / link.bandwidth
        assert k == 1 or link.latency_s / less > 0.1
