"""Context parallelism: the tokens of one sequence, shared by the ranks.

Everything in a transformer but attention treats each token alone, so a rank that holds
some tokens needs nothing but their positions.  Attention joins all of them; modules
`ring_attention` and `ulysses` do that.  Under a causal mask token t collects from t + 1
tokens, so late tokens are more work.  Who holds which tokens of T, of p ranks::

    contiguous   the r-th of p pieces           work grows with r
    zigzag       the r-th of 2 p pieces, and    all ranks have T (T + 1)/(2 p) pairs,
                 the r-th from the end          and as many in every step of the ring

A rank keeps T/p tokens instead of T, and so 1/p of the activations.

Sources: W. Brandon et al., "Striped attention: faster ring attention for causal
transformers", arXiv:2311.09431 (2023), on the imbalance; A. Dubey et al., "The Llama 3
herd of models", arXiv:2407.21783 (2024), section 3.3.2, for the 2 p pieces.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Layout = Callable[[int, int, int], Tensor]


def contiguous(T: int, p: int, r: int) -> Tensor:
    """Return the positions of rank r's tokens, the r-th of p pieces.  (T/p,)

    Errors: ValueError when the tokens do not make p equal pieces.
    """
    return pieces(T, p)[r]


def zigzag(T: int, p: int, r: int) -> Tensor:
    """Return the positions of rank r's tokens, an early and a late piece.  (T/p,)

    Errors: ValueError when the tokens do not make 2 p equal pieces.
    """
    early_and_late = pieces(T, 2 * p)[[r, 2 * p - 1 - r]]
    return early_and_late.flatten()


def pieces(T: int, count: int) -> Tensor:
    """Return the positions 0 to T - 1 in `count` rows.

    Errors: ValueError when that leaves a rest.
    """
    if T % count:
        raise ValueError(f"{T} tokens cannot be cut into {count} equal pieces")
    return torch.arange(T).view(count, -1)


def whole(p: int, T: int, layout: Layout) -> Tensor:
    """Return the positions of all tokens in rank order.  (T,)"""
    return torch.cat([layout(T, p, r) for r in range(p)])


def seen(queries: Tensor, keys: Tensor, *, causal: bool) -> Tensor:
    """Return which query may collect from which key, by their positions.

    queries: (m,).  keys: (n,).  Returns: (m, n) of bool.
    """
    earlier = queries.unsqueeze(1) >= keys
    return earlier if causal else torch.ones_like(earlier)


def work(T: int, p: int, layout: Layout) -> Tensor:
    """Return how many pairs of tokens rank r computes in step i of a causal ring.

    In step i it holds the keys of rank r - i.  Returns: (p, p), [r, i].
    """
    held = [layout(T, p, r) for r in range(p)]
    pairs = [
        [seen(held[r], held[r - i], causal=True).sum() for i in range(p)]
        for r in range(p)
    ]
    return torch.tensor(pairs)


def busiest(T: int, p: int, layout: Layout) -> int:
    """Return how many pairs are computed in turn when every step waits for all ranks.

    `zigzag` needs T (T + 1)/(2 p), an equal share of the work; `contiguous`, with k
    tokens on a rank, k (k + 1)/2 + (p - 1) k^2, about 2 - 1/p times as many.
    """
    return int(work(T, p, layout).amax(0).sum())


class Tile(NamedTuple):
    """The part of a block's scores that has to be computed, and what counts in it."""

    rows: slice
    keys: slice
    mask: Tensor


def tile_of(mask: Tensor) -> Tile:
    """Return the smallest rectangle that holds all of a mask (queries, keys).

    A block of the future is empty; under `zigzag` half of every foreign block is left.
    """
    rows, keys = span(mask.any(1)), span(mask.any(0))
    return Tile(rows, keys, mask[rows, keys])


def span(used: Tensor) -> slice:
    """Return the slice from the first true value to the last; empty without one."""
    where = used.nonzero().flatten().tolist()
    return slice(where[0], where[-1] + 1) if where else slice(0, 0)


def check_fit(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Check that a rank's queries, (b, a, t, d), fit its keys and values, (b, g, t, d).

    Errors: ValueError with the shapes when they do not.
    """
    (b, a, t, d), (_, g, _, _) = q.shape, k.shape
    if k.shape != v.shape or k.shape != (b, g, t, d):
        shapes = ", ".join(str(tuple(x.shape)) for x in (q, k, v))
        raise ValueError(f"queries, keys and values do not fit: {shapes}")
    if a % g:
        raise ValueError(f"{a} heads cannot share {g} key-value heads evenly")
