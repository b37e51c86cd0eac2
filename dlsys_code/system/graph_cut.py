"""Cut a model's graph between ranks: a value that crosses the cut becomes a message.

The graph of a model says which operation needs which value.  Give every operation to a
rank, and for each value that one rank makes and another needs there is a send on the
one and a receive on the other; on the way back its gradient crosses the other way::

    rank 0    tokens - embed - block 0 - block 1 --+    ^
    rank 1                                         v  --+ block 2 - block 3 - loss

All ranks walk the one graph in its order, each runs what is its own; so sends and
receives meet in the same order.  Here a cut makes stages of consecutive operations.

Cost: a value is sent once to each rank that needs it, its gradient comes back once.
Weights and states fall by the number of stages; but each stage waits for the one before
it, and on the way back for the one after it, so one rank at a time computes.

Source: M. Abadi et al., "TensorFlow: a system for large-scale machine learning", OSDI
2016, section 3.3.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node, Tracer
from torch.fx.passes.shape_prop import ShapeProp

from dlsys_code.introduction import gpt


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A value that crosses a cut.  learns: its gradient comes back."""

    value: str
    source: int
    destination: int
    shape: torch.Size
    dtype: torch.dtype
    learns: bool

    @property
    def nbytes(self) -> int:
        """The bytes of the message, and of its gradient's."""
        return self.shape.numel() * self.dtype.itemsize


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A cut graph.  stage: of every operation, by name, its rank.

    device: where this rank has the weights, and receives.
    """

    module: GraphModule
    stage: dict[str, int]
    edges: list[Edge]
    device: torch.device

    @property
    def stages(self) -> int:
        """How many ranks it takes."""
        return 1 + max(self.stage.values())

    def modules(self) -> Iterator[tuple[str, nn.Module, int]]:
        """Yield the name, the module and the stage of what has weights."""
        for node in self.module.graph.nodes:
            if node.op == "call_module":
                name = str(node.target)
                yield name, self.module.get_submodule(name), self.stage[node.name]


class Blocks(Tracer):
    """Traces a GPT with each of its layers as one operation."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Return whether a module is one operation: a layer, or one of torch's."""
        return isinstance(module, gpt.Block) or super().is_leaf_module(module, name)


def graph_of(model: nn.Module) -> GraphModule:
    """Return the graph of a model; nothing is computed, the weights are its own."""
    tracer = Blocks(autowrap_functions=(gpt.rotations,))
    return GraphModule(model, tracer.trace(model))


def name_of(node: Node) -> str:
    """Return what an operation is called: a module as in the model, "blocks.2"."""
    return str(node.target) if node.op == "call_module" else node.name


def cut(model: nn.Module, tokens: Tensor, *, before: Sequence[str]) -> Plan:
    """Return the plan in which a new stage begins at each name in `before`.

    tokens: of the shape of a batch.  before: in the order of the graph, such as
    "blocks.2".
    Errors: ValueError when the graph has no such names in this order, or when something
    that is no tensor crosses.
    """
    module = graph_of(model)
    names = [name_of(node) for node in module.graph.nodes]
    places = [names.index(name) if name in names else -1 for name in before]
    if -1 in places or places != sorted(set(places)):
        raise ValueError(f"cannot cut before {list(before)}: the order is {names}")
    stage = {
        node.name: sum(place <= i for place in places)
        for i, node in enumerate(module.graph.nodes)
    }
    edges = crossing(module, stage, tokens)
    device = next(model.parameters()).device
    return Plan(module=module, stage=stage, edges=edges, device=device)


def crossing(module: GraphModule, stage: dict[str, int], tokens: Tensor) -> list[Edge]:
    """Return the values that cross, in the order in which they are made.

    Shapes come from a run without numbers, on the meta device.
    """
    empty = deepcopy(module).to("meta")
    ShapeProp(empty).propagate(tokens.to("meta"))
    edges = []
    for node in empty.graph.nodes:
        if node.op != "placeholder":  # every rank reads the batch itself
            needed = {stage[user.name] for user in node.users} - {stage[node.name]}
            edges += [edge_of(node, stage[node.name], rank) for rank in sorted(needed)]
    return edges


def edge_of(node: Node, source: int, destination: int) -> Edge:
    """Return the message that a value becomes on its way to another rank."""
    value = node.meta.get("tensor_meta")
    if not hasattr(value, "dtype"):
        raise ValueError(
            f"{node.name} is no tensor: it cannot go from {source} to {destination}"
        )
    return Edge(
        value=node.name,
        source=source,
        destination=destination,
        shape=value.shape,
        dtype=value.dtype,
        learns=value.requires_grad,
    )
