"""Numbers that remember who added them.

Every rank presses its own stamp on every chunk.  A stamp is one bit, so a sum keeps all
of its stamps, and one number in a message tells which chunk it is and whose share it
holds already::

    stamp of rank r on chunk c of p      2^(p c + r)
    rank 0's and rank 2's share of chunk 1, p = 4     2^4 + 2^6 = 80

A drawing of a recorded run reads them back; nothing about the algorithm is assumed.
"""

import torch
from torch import Tensor

EXACT_BITS = 53  # of float64; more stamps would be rounded away


def stamped(rank: int, p: int) -> Tensor:
    """Return p chunks of one element, each with the stamp of `rank`.

    Returns: (p,) float64.
    Errors: ValueError when p ranks need more bits than a float64 holds exactly.
    """
    if not 0 <= rank < p or p * p > EXACT_BITS:
        raise ValueError(f"no stamp for rank {rank} of {p}: at most 7 ranks have one")
    return torch.tensor([2.0 ** (p * chunk + rank) for chunk in range(p)]).double()


def read_stamps(value: float, p: int) -> tuple[int, frozenset[int]]:
    """Return (chunk, ranks whose share it holds) of one element of a message.

    Errors: ValueError when the value holds stamps of no chunk or of several.
    """
    bits = int(value)
    if value != bits or bits <= 0:
        raise ValueError(f"{value} is not a sum of stamps")
    chunk = ((bits & -bits).bit_length() - 1) // p
    shares = bits >> (p * chunk)
    if shares >> p:
        raise ValueError(f"{value} holds stamps of several chunks")
    return chunk, frozenset(r for r in range(p) if shares >> r & 1)
