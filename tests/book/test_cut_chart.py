"""A shared product: a colour for each rank, hatching where parts are added up."""

import pytest
import torch

from dlsys_code.book.cut_chart import EVERYBODY, PARTS, products
from dlsys_code.book.drawing import CYCLE

ALT = "两个矩阵相乘，每个格子的颜色是它的 rank"
X = ("X", torch.tensor([[1, 2]]), torch.tensor([[0, 1]]))
A = ("A", torch.tensor([[3], [4]]), torch.tensor([[0], [1]]))
Y = ("Y", torch.tensor([[11]]), torch.tensor([[PARTS]]))


def test_numbers_and_names_are_drawn_in_the_ranks_colours():
    drawn = products({"by rows": [X, A, Y]}, alt=ALT)
    assert drawn.svg == products({"by rows": [X, A, Y]}, alt=ALT).svg
    for text in ("by rows", "X", "A", "Y", "11", "·", "="):
        assert f"<!-- {text} -->" in drawn.svg
    assert all(colour.lower() in drawn.svg for colour in CYCLE[:2])
    assert CYCLE[2].lower() not in drawn.svg
    assert "<pattern" in drawn.svg
    alike = ("Y", torch.tensor([[11]]), torch.tensor([[EVERYBODY]]))
    assert "<pattern" not in products({"by rows": [X, A, alike]}, alt=ALT).svg


def test_more_ranks_than_colours_are_refused():
    many = ("A", torch.tensor([[3], [4]]), torch.tensor([[0], [6]]))
    with pytest.raises(ValueError, match="6 ranks can be told apart, not 7"):
        products({"by rows": [X, many, Y]}, alt=ALT)
