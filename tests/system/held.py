"""What ranks hold of a tensor, for tests."""

import torch
from torch import Tensor

from dlsys_code.system.layouts import Layout, P, cut


def held(whole: Tensor, of: Layout, mesh: tuple[int, ...]) -> list[Tensor]:
    """What the ranks hold; of a sum every rank has a term that is not zero."""
    if not of:
        return [whole]
    (place, *inner), (p, *rest) = of, mesh
    pieces = cut(whole, (place,), (p,))
    if place == P:
        terms = [whole.sin() + i for i in range(p - 1)]
        pieces = [*terms, whole - sum(terms)]
    return [x for piece in pieces for x in held(piece, tuple(inner), tuple(rest))]


def number(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64)
