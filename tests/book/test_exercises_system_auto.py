"""The exercises on automatic parallelism: their numbers by hand, judges by force."""

from itertools import product

import pytest
import torch

from dlsys_code.book import exercises_system_auto_checks as checks
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
