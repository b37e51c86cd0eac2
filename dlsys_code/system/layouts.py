"""Layouts: how a tensor lies on a mesh of ranks.

Ranks are numbered along the dimensions of a mesh, its axes: of a mesh (2, 4) rank 6 is
at (1, 2).  For every axis a layout says what the ranks along it hold of the tensor::

    S0, S1, ...   shard       the i-th of p equal pieces along that dimension
    R             replicate   all of it
    P             partial     a term of a sum; all terms together are the tensor

So 'S0 R' cuts the rows between the first axis, and along the second all have the same.
Where two axes cut one dimension the later one cuts the pieces of the earlier.  Sizes
that do not divide are refused; torch's DTensor pads them.

Every layout has a dual, in which gradients come: who had the same copy of a tensor has
a term of its gradient each (R -> P), and each term has the gradient of the whole sum
(P -> R); a shard has its own (S -> S).

Sources: Y. Xu et al., "GSPMD: general and scalable parallelization for ML computation
graphs", arXiv:2105.04663 (2021), section 3.1; torch.distributed.tensor, "Placement
types".
"""

from collections.abc import Sequence
from math import prod

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import Partial, Placement, Replicate, Shard

Layout = tuple[Placement, ...]  # one placement for each axis of the mesh

R, P = Replicate(), Partial()


def layout(names: str) -> Layout:
    """Return the layout with these names: 'S0 R' -> (Shard(0), Replicate())."""
    return tuple(_placement(name) for name in names.split())


def _placement(name: str) -> Placement:
    if name[0] == "S" and name[1:].isdigit():
        return Shard(int(name[1:]))
    if name not in ("R", "P"):
        raise ValueError(f"a placement is R, P or S and a dimension, not {name!r}")
    return R if name == "R" else P


def names(of: Layout) -> str:
    """Return the names of a layout: (Shard(0), Replicate()) -> 'S0 R'."""
    return " ".join(
        f"S{place.dim}" if isinstance(place, Shard) else "R" if place == R else "P"
        for place in of
    )


def dual(of: Layout) -> Layout:
    """Return the layout in which the gradient of a tensor comes."""
    return tuple({R: P, P: R}.get(place, place) for place in of)


def local_shape(
    shape: Sequence[int], of: Layout, mesh: Sequence[int]
) -> tuple[int, ...]:
    """Return the shape of what every rank holds of a tensor of this shape.

    mesh: the sizes of its axes.
    Errors: ValueError when layout, tensor and mesh do not fit, with their numbers.
    """
    if len(of) != len(mesh):
        raise ValueError(f"{len(of)} placements, {names(of)}, for {len(mesh)} axes")
    mine = list(shape)
    for place, p in zip(of, mesh, strict=True):
        if isinstance(place, Shard):
            if not 0 <= place.dim < len(mine):
                raise ValueError(f"S{place.dim} cuts none of {len(mine)} dimensions")
            if mine[place.dim] % p:
                raise ValueError(
                    f"{p} ranks cannot share {mine[place.dim]} evenly: "
                    f"{names(of)} of {tuple(shape)} on a mesh {tuple(mesh)}"
                )
            mine[place.dim] //= p
        elif place not in (R, P):
            raise ValueError(f"{place} is none of S, R and P, which is a sum")
    return tuple(mine)


def fits(shape: Sequence[int], of: Layout, mesh: Sequence[int]) -> bool:
    """Return whether a tensor of this shape can have that layout."""
    try:
        local_shape(shape, of, mesh)
    except ValueError:
        return False
    return True


def cut(whole: Tensor, of: Layout, mesh: Sequence[int]) -> list[Tensor]:
    """Return what each rank holds of a tensor, in rank order.

    Of a sum the first rank along an axis holds all, and the others zeros.
    Errors: ValueError as in `local_shape`.
    """
    local_shape(whole.shape, of, mesh)
    if not of:
        return [whole]
    (place, *inner), (p, *rest) = of, mesh
    pieces = [whole] * p
    if isinstance(place, Shard):
        pieces = whole.chunk(p, place.dim)
    elif place == P:
        pieces = [whole] + [torch.zeros_like(whole)] * (p - 1)
    return [part for piece in pieces for part in cut(piece, tuple(inner), rest)]


def join(parts: Sequence[Tensor], of: Layout, mesh: Sequence[int]) -> Tensor:
    """Return the tensor that the ranks hold in parts: undo `cut`.

    Errors: ValueError when replicas differ by more than rounding.
    """
    if not of:
        return parts[0]
    (place, *inner), (_, *rest) = of, mesh
    each = prod(rest)  # ranks that share a piece
    rows = [parts[i : i + each] for i in range(0, len(parts), each)]
    pieces = [join(row, tuple(inner), rest) for row in rows]
    if isinstance(place, Shard):
        return torch.cat(pieces, place.dim)
    if place == P:
        return torch.stack(pieces).sum(0)
    if any(not torch.allclose(pieces[0], piece) for piece in pieces):
        raise ValueError(f"{len(pieces)} replicas differ: {names(of)} does not hold")
    return pieces[0]


def make_mesh(sizes: Sequence[int], device: str = "cpu") -> DeviceMesh:
    """Return all ranks as a mesh with axes of these sizes.

    Errors: ValueError when they are more or less than the ranks there are.
    """
    if prod(sizes) != dist.get_world_size():
        product = " x ".join(map(str, sizes))
        raise ValueError(
            f"a mesh of {product} = {prod(sizes)} ranks does not fit a world of "
            f"{dist.get_world_size()}"
        )
    return init_device_mesh(device, tuple(sizes))
