"""What is said of right and of likely wrong answers on shared links."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from dlsys_code.book.exercises import judge_function, judge_number
from dlsys_code.book.exercises_timeline import EXERCISES
from dlsys_code.communication.sharing import Routes, max_min_shares


def fair_shares(paths: list[list[int]], capacities: list[float]) -> list[float]:
    """The answer on the page."""
    rates, growing = [0.0] * len(paths), set(range(len(paths)))
    while growing:
        level, full = min(
            ((capacity - sum(rates[f] for f in on - growing)) / len(on & growing), link)
            for link, capacity in enumerate(capacities)
            if (on := {f for f, path in enumerate(paths) if link in path}) & growing
        )
        stops = {flow for flow in growing if full in paths[flow]}
        for flow in stops:
            rates[flow] = level
        growing -= stops
    return rates


def of_the_package(paths: list[list[int]], capacities: list[float]) -> list[float]:
    return max_min_shares(Routes.along(paths), len(paths), np.array(capacities))


def split_equally(paths: list[list[int]], capacities: list[float]) -> list[float]:
    """Every link is split among all of its flows, the slowest link counts."""
    crowd = Counter(link for path in paths for link in path)
    return [min(capacities[link] / crowd[link] for link in path) for path in paths]


WRONG = [
    (split_equally, "流 1 的速率 5 还能再大"),
    (
        lambda paths, capacities: [min(capacities)] * len(paths),
        "链路 0 容量 6，走了 18",
    ),
    (lambda paths, capacities: [0] * len(paths), "流 0 的速率 0 还能再大"),
    (lambda paths, capacities: [1.0, 2.0], "有 1 条流，返回了 2 个速率"),
    (lambda paths, capacities: None, "要一列速率"),
]


@pytest.mark.parametrize("mine", [fair_shares, of_the_package])
def test_fair_shares_are_right(mine):
    verdict = judge_function(EXERCISES["fair_shares"], mine)
    assert verdict.right, verdict


@pytest.mark.parametrize("mine, said", WRONG)
def test_unfair_shares_are_told_why(mine, said):
    verdict = judge_function(EXERCISES["fair_shares"], mine)
    assert not verdict.right and said in repr(verdict)


def test_the_numbers_are_those_of_the_package():
    shares = of_the_package([[0], [0], [0, 1], [1], [1, 2]], [6, 10, 20])
    assert EXERCISES["fair_share"].value == shares[3]
    slowest = [max(Counter(paths).values()) for paths in product(range(4), repeat=4)]
    assert EXERCISES["mean_slowdown"].value == sum(slowest) / 4**4
    seen = [Counter(paths)[paths[0]] for paths in product(range(4), repeat=4)]
    assert sum(seen) / 4**4 in EXERCISES["mean_slowdown"].near
    assert EXERCISES["exchange_4_to_1"].value == pytest.approx(3.8788, rel=1e-4)


@pytest.mark.parametrize("name", ["fair_share", "mean_slowdown", "exchange_4_to_1"])
def test_wrong_numbers_are_told_apart(name):
    question = EXERCISES[name]
    assert judge_number(question, question.value).right
    for wrong, said in question.near.items():
        verdict = judge_number(question, wrong)
        assert not verdict.right and said in repr(verdict)
