"""A choice of strategies, carried out: every rank runs the graph on its parts.

Nothing here knows a kind of parallelism.  Before an operator its inputs are brought
into the layout that its rule wants; autograd brings the gradients back in the dual
layouts; and gradients of weights are brought from there to where the weights are::

    plan     graph, machine -> search -> choice
    run      cut weights and data -> (redistribute, run) for each operator -> loss
    back     gradients of weights: dual(w) -> w

The loss of all ranks together counts once: where an axis replicates it, every rank of
the axis begins with a p-th.

Source: L. Zheng et al., "Alpa: automating inter- and intra-operator parallelism for
distributed deep learning", OSDI 2022.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from dlsys_code.system.layouts import Layout, R, cut, dual
from dlsys_code.system.operator_graph import Operator
from dlsys_code.system.redistribution import redistribute
from dlsys_code.system.strategies import Choice, Machine, added_s, options
from dlsys_code.system.strategy_search import search


def planned(graph: Sequence[Operator], machine: Machine) -> tuple[float, Choice]:
    """Return the least time of a step [s] and the choice of strategies that has it.

    Errors: ValueError when the ranks of an axis could share nothing.
    """
    by_name = {operator.name: operator for operator in graph}
    added = partial(added_s, graph=by_name, machine=machine)
    return search(graph, options(graph, machine.mesh), added)


class Parallel:
    """This rank's part of a graph under a choice.

    weights: whole, by name, alike on every rank; buffers too.  move: `redistribute`,
    maybe at another price.
    """

    def __init__(
        self,
        graph: Sequence[Operator],
        choice: Choice,
        weights: Mapping[str, Tensor],
        mesh: DeviceMesh,
        *,
        move: Callable[..., Tensor] = redistribute,
    ):
        self.graph, self.choice, self.mesh, self.move = graph, choice, mesh, move
        self.parts: dict[str, Tensor] = {}
        for operator in graph:
            for name in (*operator.weights, *operator.buffers):
                part = self.mine(weights[name], choice[operator.name].weights)
                learns = name in operator.weights
                self.parts[name] = nn.Parameter(part.clone(), requires_grad=learns)

    def mine(self, whole: Tensor, of: Layout) -> Tensor:
        """Return this rank's part of a tensor that all ranks have."""
        for axis, place in enumerate(of):
            along = self.mesh.get_group(axis)
            whole = cut(whole, (place,), (along.size(),))[along.rank()]
        return whole

    def loss(self, data: Mapping[str, Tensor]) -> Tensor:
        """Return the loss of all ranks together.  data: whole, by name."""
        outs: dict[str, Sequence[Tensor]] = {}
        for operator in self.graph:
            into, names = operator.inputs, (*operator.weights, *operator.buffers)
            inputs = [self.bring(name, operator, outs, data) for name in into]
            weights = [self.parts[name] for name in names]
            outs[operator.name] = operator.run(sum(inputs, []), weights)
        (mean,) = outs[operator.name]
        at = self.choice[operator.name].out
        return self.move(mean, at, (R,) * len(at), self.mesh)

    def bring(
        self,
        name: str,
        to: Operator,
        outs: Mapping[str, Sequence[Tensor]],
        data: Mapping[str, Tensor],
    ) -> list[Tensor]:
        """Return outputs of an operator, or data, as another operator wants them."""
        into = self.choice[to.name].inputs
        if name in data:
            return [self.mine(data[name], into)]
        at = self.choice[name].out
        return [self.move(x, at, into, self.mesh) for x in outs[name]]

    def backward(self, loss: Tensor) -> None:
        """Give every part of a weight the gradient of the whole loss, anew."""
        for part in self.parts.values():
            part.grad = None
        loss.backward(torch.full_like(loss, 1 / self.mesh.size()))  # its terms: P
        for operator in self.graph:
            at = self.choice[operator.name].weights
            for name in operator.weights:
                part = self.parts[name]
                if part.grad is not None:  # it learns, and the loss depends on it
                    part.grad = self.move(part.grad, dual(at), at, self.mesh)
