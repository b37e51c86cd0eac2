"""The exercises on automatic parallelism: their numbers by hand, judges by force."""

from itertools import product

import pytest
import torch

from dlsys_code.book import exercises_system_auto_checks as checks
from dlsys_code.book.exercises import Question
from dlsys_code.book.exercises_functions import judge_function
from dlsys_code.book.exercises_numbers import judge_number
from dlsys_code.book.exercises_system_auto import EXERCISES
from dlsys_code.system.layouts import cut, join, layout

BY_HAND = {
    "elements_held": 65_536,
    "sum_on_a_mesh": 2 * 7 / 8 * 64,
    "tokens_at_the_crossing": 3 * 352 / 2,
}


@pytest.mark.parametrize(("name", "value"), BY_HAND.items())
def test_the_numbers_by_hand(name, value):
    assert EXERCISES[name].value == value
    assert judge_number(EXERCISES[name], value).right
    for wrong, said in EXERCISES[name].near.items():
        verdict = judge_number(EXERCISES[name], wrong)
        assert not verdict.right
        assert said in repr(verdict)


def test_every_product_is_judged_as_it_comes_out():
    """On two ranks: what the parts of a product make, joined in every way."""
    x, w = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(1))
    for a, b in checks.PRODUCTS:
        pairs = zip(*(terms(m, of) for m, of in ((x, a), (w, b))), strict=True)
        parts = [
            left @ right if left.size(1) == len(right) else None
            for left, right in pairs
        ]
        fits = [of for of in ("R", "S0", "S1", "P") if right_as(parts, of, x @ w)]
        assert checks.PRODUCT.get((a, b)) == (fits[0] if fits else None), (a, b)


def terms(x: torch.Tensor, of: str) -> list[torch.Tensor]:
    if of == "P":
        return [x.sin(), x - x.sin()]
    return cut(x, layout(of), (2,))


def right_as(parts: list, of: str, whole: torch.Tensor) -> bool:
    if any(part is None for part in parts):
        return False
    try:
        joined = join(parts, layout(of), (2,))
    except ValueError:
        return False
    return joined.shape == whole.shape and torch.allclose(joined, whole, atol=1e-5)


def test_least_sums_are_those_of_brute_force():
    for own, edges in checks.chains()[:-1]:
        sums = [
            sum(costs[s] for costs, s in zip(own, way, strict=True))
            + sum(edge[a][b] for edge, a, b in zip(edges, way, way[1:], strict=False))
            for way in product(range(len(own[0])), repeat=len(own))
        ]
        assert checks.least_of_chain(own, edges) == min(sums)


# ------------------------------------------------------------ right and wrong answers


def rows_held(rows, mesh, at):
    piece, number = rows // (mesh[0] * mesh[1]), at[0] * mesh[1] + at[1]
    return range(number * piece, (number + 1) * piece)


def gradient_layout(names):
    return " ".join({"R": "P", "P": "R"}.get(name, name) for name in names.split())


def least_way(roads, source, target):
    best = {source: 0.0}
    for _ in roads:
        for here, there in [(a, b) for a in roads for b in roads[a] if a in best]:
            total = best[here] + roads[here][there]
            best[there] = min(best.get(there, total), total)
    return best[target]


def best_chain(own, edges):
    best = own[0]
    for costs, edge in zip(own[1:], edges, strict=True):
        best = [
            cost + min(b + row[s] for b, row in zip(best, edge, strict=True))
            for s, cost in enumerate(costs)
        ]
    return min(best)


RIGHT = {
    "rows_held": rows_held,
    "gradient_layout": gradient_layout,
    "layout_of_product": lambda x, w: checks.PRODUCT.get((x, w)),
    "least_way": least_way,
    "best_chain": best_chain,
}
WRONG = {
    "rows_held": [
        (
            lambda rows, mesh, at: rows_held(rows, mesh[::-1], at[::-1]),
            "先切的是网格的第一维",
        ),
        (
            lambda rows, mesh, at: rows_held(rows, (mesh[0], 1), (at[0], 0)),
            "只按第一维切了",
        ),
        (lambda rows, mesh, at: 3, "要一列行号"),
    ],
    "gradient_layout": [
        (lambda names: names, "副本的梯度各是一部分"),
        (lambda names: "Q", "应当是 'P'"),
    ],
    "layout_of_product": [
        (
            lambda x, w: checks.PRODUCT.get((x, w), "P" if x == w == "P" else None),
            "和的乘积",
        ),
        (lambda x, w: checks.PRODUCT.get((x, w), "S0"), "两边对不上"),
        (lambda x, w: None, "应当是 'R'"),
    ],
    "least_way": [(lambda roads, a, b: roads[a].get(b, 0.0), "直达不一定最短")],
    "best_chain": [
        (lambda own, edges: sum(map(min, own)), "边也有代价"),
        (lambda own, edges: greedy(own, edges), "每步只看眼前"),
    ],
}


def greedy(own, edges):
    last = own[0].index(min(own[0]))
    total = own[0][last]
    for costs, edge in zip(own[1:], edges, strict=True):
        steps = [a + b for a, b in zip(costs, edge[last], strict=True)]
        last, total = steps.index(min(steps)), total + min(steps)
    return total


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_are_right(name):
    assert judge_function(EXERCISES[name], RIGHT[name], limit_s=10).right


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [(n, f, said) for n, some in WRONG.items() for f, said in some],
)
def test_wrong_answers_hear_what_is_wrong(name, wrong, said):
    verdict = judge_function(EXERCISES[name], wrong, limit_s=10)
    assert not verdict.right
    assert said in repr(verdict)


def test_every_exercise_gives_hints_and_has_an_answer_here():
    assert all(exercise.hints for exercise in EXERCISES.values())
    numbers = {n for n, e in EXERCISES.items() if isinstance(e, Question)}
    assert numbers == set(BY_HAND)
    assert set(EXERCISES) - numbers == set(RIGHT) == set(WRONG)
