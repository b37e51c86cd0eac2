"""Strategies: one rule per axis for every operator, and what they cost together.

A choice gives each operator of a graph a strategy.  Its time in one training step is
that of the operators and of the edges between them, one after the other::

    operator    3 FLOPs / (ranks that share them x rate)       forward, 2 x backward
                + weights' gradients, from dual(w) to w        P -> R: an all-reduce
    edge        from the layout out to the layout in           forward
                + from dual(in) to dual(out)                   backward

Nothing overlaps, links are idle, every operator reaches the same rate, and memory has
no price: see the chapter for how such a model errs.

Sources: Z. Jia, S. Lin, C. R. Qi and A. Aiken, "Exploring hidden dimensions in
parallelizing convolutional neural networks", ICML 2018 (the sum of both); L. Zheng et
al., "Alpa: automating inter- and intra-operator parallelism for distributed deep
learning", OSDI 2022, section 4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from math import prod

from dlsys_code.communication.link import Link
from dlsys_code.system.layouts import Layout, dual, fits, names
from dlsys_code.system.operator_graph import Operator, Shape
from dlsys_code.system.operators import Rule, rules
from dlsys_code.system.redistribution import cheapest, seconds


@dataclass(frozen=True)
class Strategy:
    """One rule for each axis of the mesh."""

    rules: tuple[Rule, ...]

    @cached_property
    def inputs(self) -> Layout:
        """The layout of all inputs."""
        return tuple(rule.inputs for rule in self.rules)

    @cached_property
    def weights(self) -> Layout:
        """The layout of all weights."""
        return tuple(rule.weights for rule in self.rules)

    @cached_property
    def out(self) -> Layout:
        """The layout of all outputs."""
        return tuple(rule.out for rule in self.rules)

    def __str__(self) -> str:
        return f"{names(self.inputs)}, {names(self.weights)} -> {names(self.out)}"


Choice = Mapping[str, Strategy]  # operator -> strategy
Options = Mapping[str, Sequence[Strategy]]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A mesh of ranks, the links along each of its axes, the rate of a rank."""

    mesh: tuple[int, ...]
    links: tuple[Link, ...]
    flops_per_s: float
    item: int = 4  # bytes of an element


def options(graph: Sequence[Operator], mesh: tuple[int, ...]) -> Options:
    """Return the strategies of every operator for which the sizes divide.

    Errors: ValueError when the ranks of an axis could share nothing at all.
    """
    outs = {operator.name: operator.outs for operator in graph}
    found = {}
    for operator in graph:
        inputs = [shape for name in operator.inputs for shape in outs.get(name, ())]
        weights = [*operator.weights.values(), *operator.buffers.values()]
        found[operator.name] = [
            strategy
            for strategy in map(Strategy, product(operator.rules, repeat=len(mesh)))
            if all_fit(inputs, strategy.inputs, mesh)
            and all_fit(weights, strategy.weights, mesh)
            and all_fit(operator.outs, strategy.out, mesh)
        ]
    for axis, p in enumerate(mesh):
        every = (strategy for some in found.values() for strategy in some)
        if p > 1 and not any(strategy.rules[axis].shares for strategy in every):
            sizes = sorted(
                {size for shapes in outs.values() for s in shapes for size in s}
            )
            raise ValueError(f"{p} ranks of axis {axis} can share none of {sizes}")
    return found


def all_fit(shapes: Sequence[Shape], of: Layout, mesh: tuple[int, ...]) -> bool:
    """Return whether tensors of all these shapes can have the layout."""
    return all(fits(shape, of, mesh) for shape in shapes)


@cache
def way_s(shape: Shape, source: Layout, target: Layout, machine: Machine) -> float:
    """Return the time of the cheapest redistribution [s]."""
    price = seconds(machine.links)
    ends = (shape, source, target, machine.mesh)
    return sum(map(price, cheapest(*ends, item=machine.item, price=price)))


@cache
def edge_s(shape: Shape, out: Layout, into: Layout, machine: Machine) -> float:
    """Return the time of a tensor on its way, and of its gradient back [s]."""
    back_s = way_s(shape, dual(into), dual(out), machine)
    return way_s(shape, out, into, machine) + back_s


def operator_s(operator: Operator, strategy: Strategy, machine: Machine) -> float:
    """Return the time of an operator, and of the gradients of its weights [s]."""
    shared = zip(strategy.rules, machine.mesh, strict=True)
    share = prod(p for rule, p in shared if rule.shares)
    at = strategy.weights
    shapes = operator.weights.values()
    gradients_s = sum(way_s(shape, dual(at), at, machine) for shape in shapes)
    return 3 * operator.flops / share / machine.flops_per_s + gradients_s


def added_s(
    operator: Operator, choice: Choice, graph: Mapping[str, Operator], machine: Machine
) -> float:
    """Return what an operator and the edges to it add to the time [s].

    choice: of the operator and of all that it takes inputs from.  graph: by name; what
    is not in it is data, which a rank reads in any layout.
    """
    into = choice[operator.name].inputs
    edges_s = sum(
        edge_s(shape, choice[name].out, into, machine)
        for name in operator.inputs
        if name in graph
        for shape in graph[name].outs
    )
    return operator_s(operator, choice[operator.name], machine) + edges_s


def step_s(graph: Sequence[Operator], choice: Choice, machine: Machine) -> float:
    """Return the time of a training step without its optimizer [s]."""
    by_name = {operator.name: operator for operator in graph}
    return sum(added_s(operator, choice, by_name, machine) for operator in graph)


def by_hand(graph: Sequence[Operator], *texts: Mapping[str, str]) -> Choice:
    """Return a choice from rules written down, for each axis by the operator's kind.

    texts: such as {"norm": "S0 -> S0"}; the kind is the name's last part, its number
    left out.
    """
    return {
        operator.name: Strategy(
            tuple(rules(text[kind_of(operator)])[0] for text in texts)
        )
        for operator in graph
    }


def kind_of(operator: Operator) -> str:
    """Return the kind of an operator: 'blocks.0.norm_1' -> 'norm'."""
    return operator.name.rpartition(".")[2].rstrip("_0123456789")
