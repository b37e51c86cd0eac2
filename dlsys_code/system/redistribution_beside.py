"""Our redistribution and torch's own, on the same part of the same tensor.

DTensor goes axis by axis and straight to the target where it can; ours takes the way
with the fewest bytes.  Both make the collectives of torch, and both are watched here,
about 60 us a call: a mesh of DTensor finds its groups by name, and only those have one.
On the CPU torch's all-to-all of two dimensions is an all-gather, and a slice after it.

Source: torch.distributed.tensor, "Redistributing a DTensor".
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from dlsys_code.system.beside import Contender, Step
from dlsys_code.system.layouts import Layout, cut, make_mesh
from dlsys_code.system.redistribution import redistribute
from dlsys_code.world import Trace

Shape = tuple[int, ...]
# What a rank sends in a ring, in units of (p - 1)/p of the bytes that a trace names.
ON_A_RING = {"all_reduce": 2, "all_gather": 1, "reduce_scatter": 1, "all_to_all": 1}
Way = Callable[[Tensor, Layout, Layout, DeviceMesh], Tensor]


def by_torch(x: Tensor, source: Layout, target: Layout, mesh: DeviceMesh) -> Tensor:
    """Do as `redistribute`, by torch's DTensor.

    Errors: RuntimeError for a target with a new partial axis.
    """
    whole = DTensor.from_local(x, mesh, source, run_check=False)
    return whole.redistribute(mesh, target).to_local()


def contender(
    way: Way, shape: Shape, ends: tuple[Layout, Layout], sizes: Shape
) -> Contender:
    """Return who takes a tensor of float32 from one layout to the other in a step.

    way: `redistribute` or `by_torch`.  ends: source and target.  sizes: of the mesh.
    """

    def make(_: ProcessGroup) -> Step:
        mesh = make_mesh(sizes, torch.get_default_device().type)
        part = cut(torch.ones(shape), ends[0], sizes)[dist.get_rank()].clone()

        def step() -> Tensor:
            with torch.no_grad():
                return way(part, *ends, mesh)

        return step

    return make


def contenders(
    shape: Shape, ends: tuple[Layout, Layout], sizes: Shape
) -> dict[str, Contender]:
    """Return both, for `race`."""
    ways = {"ours": redistribute, "DTensor": by_torch}
    return {name: contender(way, shape, ends, sizes) for name, way in ways.items()}


def sent_in_spans(trace: Trace, *, rank: int = 0) -> dict[str, float]:
    """Return the bytes that a rank sent after each marked span began, by its name.

    Messages count as they are, a collective of torch as what a ring sends for it.
    """
    sent, span = {}, None
    for event in (event for event in trace.events if event.rank == rank):
        if event.kind == "compute":
            span = event.op
            sent[span] = 0.0
        elif span and event.kind == "send":
            sent[span] += event.bytes
        elif span and event.kind == "collective":
            p = len(event.group)
            sent[span] += ON_A_RING[event.op] * (p - 1) / p * event.bytes
    return sent
