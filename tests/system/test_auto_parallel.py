"""Rules hold on ranks, the search finds the least, and a plan gives the serial step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from random import Random

import pytest
import torch
import torch.distributed as dist
from held import held, number
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from dlsys_code.communication.link import Link
from dlsys_code.introduction import serial
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.system import operators
from dlsys_code.system.auto_parallel import Parallel, planned
from dlsys_code.system.layouts import P, R, dual, join, layout, make_mesh
from dlsys_code.system.operator_graph import Operator, gpt
from dlsys_code.system.redistribution import redistribute
from dlsys_code.system.redistribution_steps import OURS
from dlsys_code.system.strategies import (
    Choice,
    Machine,
    Strategy,
    added_s,
    by_hand,
    kind_of,
    options,
    step_s,
)
from dlsys_code.system.strategy_search import brute_force, search
from dlsys_code.world import RankError

CONFIG = GPTConfig(
    vocabulary=16, width=16, layers=1, heads=4, key_value_heads=4, hidden=24, tied=False
)
b, T = 4, 8
GRAPH = gpt(CONFIG, batch=b, sequence=T)
exactly = partial(torch.testing.assert_close, rtol=1e-11, atol=1e-12)
BYTES = Link(latency_s=0, bandwidth=1)


def machine(*mesh: int, flops_per_s: float = 1e9, bandwidth: float = 1e6) -> Machine:
    link = Link(latency_s=1e-6, bandwidth=bandwidth)
    return Machine(mesh=mesh, links=(link,) * len(mesh), flops_per_s=flops_per_s)


# ------------------------------------------------------------ rules, on ranks


def drawn(operator: Operator) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Inputs, weights and buffers, and gradients of the outputs; all whole."""
    outs = {op.name: op.outs for op in GRAPH} | {"tokens": ((b, T),)}
    outs |= {"targets": ((b, T),)}
    shapes = [shape for name in operator.inputs for shape in outs[name]]
    inputs = [number(shape, seed) for seed, shape in enumerate(shapes)]
    if operator.inputs[-1] in ("tokens", "targets"):
        inputs[-1] = (number((b, T)).abs() * 1e6).long() % CONFIG.vocabulary
    weights = [number(s, 10 + i) for i, s in enumerate(operator.weights.values())]
    weights += [torch.arange(*shape) for shape in operator.buffers.values()]
    return inputs, weights, [number(shape, 20) for shape in operator.outs]


def there_and_back(
    operator: Operator, inputs: list, weights: list, gradients: list
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Outputs, and the gradients of what has any."""
    inputs, weights = (
        [x.detach().clone().requires_grad_(x.is_floating_point()) for x in some]
        for some in (inputs, weights)
    )
    outs = operator.run(inputs, weights)
    torch.autograd.backward(outs, gradients)
    some = [[x.grad for x in xs if x.requires_grad] for xs in (inputs, weights)]
    return [x.detach() for x in outs], *some


def tried_on(sizes: tuple[int, ...]) -> list[Operator]:
    """All operators; one with each table of rules on two axes, where they have many."""
    if len(sizes) == 1:
        return GRAPH
    return list({operator.rules: operator for operator in GRAPH}.values())


def on_parts(sizes: tuple[int, ...]) -> list:
    """Every operator under every strategy, on what this rank holds."""
    r, found, every = dist.get_rank(), [], options(GRAPH, sizes)
    for operator in tried_on(sizes):
        inputs, weights, gradients = drawn(operator)
        for strategy in every[operator.name]:
            parts = [
                [held(x, of, sizes)[r].contiguous() for x in xs]
                for xs, of in (
                    (inputs, strategy.inputs),
                    (weights, strategy.weights),
                    (gradients, dual(strategy.out)),
                )
            ]
            found.append(there_and_back(operator, *parts))
    return found


@pytest.mark.parametrize("sizes", [(1,), (2,), (4,), (2, 2)])
def test_every_rule_gives_what_one_process_gives(world, sizes):
    rows = world(prod(sizes))(on_parts, sizes)
    every = options(GRAPH, sizes)
    cases = [(op, s) for op in tried_on(sizes) for s in every[op.name]]
    assert len(cases) == len(rows[0])
    for i, (operator, strategy) in enumerate(cases):
        expected = there_and_back(operator, *drawn(operator))
        ends = strategy.out, dual(strategy.inputs), dual(strategy.weights)
        for k, of in enumerate(ends):
            for n, x in enumerate(expected[k]):
                parts = [row[i][k][n] for row in rows]
                exactly(join(parts, of, sizes), x)


def test_a_wrong_rule_is_noticed(world):
    """A product cut by rows gives terms, not shards."""
    (wrong,) = operators.rules("S2, S1 -> R")
    (right,) = operators.rules("S2, S1 -> P")
    inputs, weights, _ = drawn(GRAPH[4])
    parts = [
        GRAPH[4].run([x], [w])[0]
        for x, w in zip(
            held(inputs[0], layout("S2"), (2,)),
            held(weights[0], layout("S1"), (2,)),
            strict=True,
        )
    ]
    with pytest.raises(ValueError, match="2 replicas differ"):
        join(parts, (wrong.out,), (2,))
    exactly(join(parts, (right.out,), (2,)), GRAPH[4].run(inputs, weights)[0])


def test_every_rule_of_every_operator_is_among_those_tried():
    tried = {
        (op.rules, strategy.rules[0])
        for op in GRAPH
        for strategy in options(GRAPH, (2,))[op.name]
    }
    assert tried == {(op.rules, rule) for op in GRAPH for rule in op.rules}


# ------------------------------------------------------------ the search


def both(graph: Sequence[Operator], mesh: Machine) -> tuple[float, float, Choice]:
    by_name = {operator.name: operator for operator in graph}
    added = partial(added_s, graph=by_name, machine=mesh)
    some = options(graph, mesh.mesh)
    (found, choice), (least, _) = (
        way(graph, some, added) for way in (search, brute_force)
    )
    return found, least, choice


BRANCHES = {
    "attention": slice(1, 6),
    "feed-forward": slice(6, 11),
    "ends": slice(10, 14),
}


@pytest.mark.parametrize("bandwidth", [1e5, 1e7, 1e9])
@pytest.mark.parametrize("branch", BRANCHES)
@pytest.mark.parametrize("p", [2, 4])
def test_on_the_small_gpt_the_answer_is_brute_forces(p, branch, bandwidth):
    graph = GRAPH[BRANCHES[branch]]
    found, least, choice = both(graph, machine(p, bandwidth=bandwidth))
    assert found == pytest.approx(least, rel=1e-9)
    mesh = machine(p, bandwidth=bandwidth)
    assert step_s(graph, choice, mesh) == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("slow", [1, 100])
@pytest.mark.parametrize("some", [slice(2, 4), slice(7, 10)])
def test_on_a_mesh_of_two_axes_too(some, slow):
    links = Link(latency_s=0, bandwidth=1e6 / slow), Link(latency_s=0, bandwidth=1e6)
    mesh = replace(machine(2, 2), links=links)
    found, least, _ = both(GRAPH[some], mesh)
    assert found == pytest.approx(least, rel=1e-9)


@dataclass(frozen=True)
class Node:
    """An operator of a graph drawn at random."""

    name: str
    inputs: tuple[str, ...]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 6))
def test_on_any_graph_at_any_price_the_answer_is_brute_forces(seed, count):
    draw = Random(seed)
    graph = [
        Node(str(i), tuple({str(draw.randrange(i)) for _ in range(draw.randint(0, 2))}))
        if i
        else Node("0", ())
        for i in range(count)
    ]
    three = [
        Strategy((rule,)) for rule in operators.rules("R -> R", "S0 -> S0", "P -> P")
    ]
    prices: dict[object, float] = {}

    def added(node: Node, choice: Mapping[str, Strategy]) -> float:
        keys = [(node.name, choice[node.name])]
        keys += [(n, choice[n].out, node.name, choice[node.name]) for n in node.inputs]
        return sum(prices.setdefault(key, draw.random()) for key in keys)

    some = {node.name: three for node in graph}
    least, _ = brute_force(graph, some, added)
    found, choice = search(graph, some, added)
    assert found == pytest.approx(least)
    assert sum(added(node, choice) for node in graph) == pytest.approx(least)
    assert list(choice) == [node.name for node in graph]


# ------------------------------------------------------------ a step under a plan

SAMPLES = {"norm": "S0 -> S0", "query_key_value": "S0, R -> S0", "out": "S0, R -> S0"}
SAMPLES |= {"attention": "S0 -> S0", "add": "S0 -> S0", "gate_up": "S0, R -> S0"}
SAMPLES |= {"swiglu": "S0 -> S0", "down": "S0, R -> S0", "head": "S0, R -> S0"}
SAMPLES |= {"embed": "S0, R -> S0", "loss": "S0 -> P"}
MEGATRON = {"norm": "R -> R", "query_key_value": "R, S0 -> S2", "out": "S2, S1 -> P"}
MEGATRON |= {"attention": "S2 -> S2", "add": "R -> R", "gate_up": "R, S0 -> S2"}
MEGATRON |= {"swiglu": "S2 -> S2", "down": "S2, S1 -> P", "head": "R, S0 -> S2"}
MEGATRON |= {"embed": "R, S0 -> P", "loss": "R -> R"}
TOKENS = MEGATRON | {"norm": "S1 -> S1", "add": "S1 -> S1", "loss": "S1 -> P"}
KINDS = {"samples": SAMPLES, "megatron": MEGATRON, "tokens": TOKENS}


def model() -> GPT:
    whole = GPT(CONFIG, seed=3).double()
    for weight in whole.parameters():
        weight.data = weight.data * 10 if weight.dim() == 2 else weight.data + 0.1
    return whole


def data() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(5)
    inputs, targets = torch.randint(CONFIG.vocabulary, (2, b, T), generator=draw)
    return {"tokens": inputs, "targets": targets}


def one_step(
    sizes: tuple[int, ...], choice: Choice
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, and this rank's parts of the gradients."""
    whole = dict(model().named_parameters()) | {"words": torch.arange(16)}
    with torch.no_grad():
        moved = partial(redistribute, calls=OURS)
        parallel = Parallel(GRAPH, choice, whole, make_mesh(sizes), move=moved)
    loss = parallel.loss(data())
    parallel.backward(loss)
    return loss.detach(), {
        n: x.grad for n, x in parallel.parts.items() if x.requires_grad
    }


def check_step(world, sizes: tuple[int, ...], choice: Choice) -> list[int]:
    """Against the serial step; return the bytes that each rank sent."""
    whole = model()
    loss = serial.mean_loss(whole, *data().values())
    loss.backward()
    trace = world(prod(sizes)).trace(one_step, sizes, choice)
    layouts = {n: choice[op.name].weights for op in GRAPH for n in op.weights}
    assert sorted(layouts) == sorted(name for name, _ in whole.named_parameters())
    for name, weight in whole.named_parameters():
        parts = [gradients[name] for _, gradients in trace.results]
        exactly(join(parts, layouts[name], sizes), weight.grad)
    for value, _ in trace.results:
        exactly(value, loss.detach())
    return trace.bytes_sent()


def model_bytes(sizes: tuple[int, ...], choice: Choice) -> float:
    """Bytes by the cost model: links of 1 B/s, and work that takes no time."""
    links = (BYTES,) * len(sizes)
    counted = Machine(mesh=sizes, links=links, flops_per_s=1e30, item=8)
    return step_s(GRAPH, choice, counted)


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("p", [1, 2, 4])
def test_plans_by_hand_give_the_serial_step_for_the_bytes_counted(world, p, kinds):
    choice = by_hand(GRAPH, KINDS[kinds])
    sent = check_step(world, (p,), choice)
    scalars = 0 if kinds == "megatron" else 2  # the loss is added up, and its gradient
    more = scalars * 2 * (p - 1) * 8  # a ring cuts a number into p chunks of one
    assert sent == [round(model_bytes((p,), choice)) + more] * p


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
def test_two_axes_compose(world, outer, inner):
    check_step(world, (2, 2), by_hand(GRAPH, KINDS[outer], KINDS[inner]))


FOUND = [(sizes, bandwidth) for sizes in [(2,), (4,)] for bandwidth in (1e4, 1e6, 1e9)]


@pytest.mark.parametrize(("sizes", "bandwidth"), [*FOUND, ((2, 2), 1e6)])
def test_plans_that_were_found_give_the_serial_step(world, sizes, bandwidth):
    plan_s, choice = planned(GRAPH, machine(*sizes, bandwidth=bandwidth))
    check_step(world, sizes, choice)
    for kinds in KINDS.values():
        hand = by_hand(GRAPH, *[kinds] * len(sizes))
        assert plan_s <= step_s(GRAPH, hand, machine(*sizes, bandwidth=bandwidth))


# ------------------------------------------------------------ what it costs, by formula


def weight_bytes(graph: Sequence[Operator]) -> int:
    return sum(8 * prod(shape) for op in graph for shape in op.weights.values())


@pytest.mark.parametrize("p", [2, 4])
def test_data_parallel_sends_every_gradient_once(p):
    choice = by_hand(GRAPH, SAMPLES)
    assert model_bytes((p,), choice) == 2 * (p - 1) * weight_bytes(GRAPH) / p


@pytest.mark.parametrize("p", [2, 4])
def test_megatron_all_reduces_the_stream_four_times_a_block(p):
    """And the gradients of two gains, of which every rank has a term."""
    block = [operator for operator in GRAPH if operator.name.startswith("blocks")]
    counted = Machine(mesh=(p,), links=(BYTES,), flops_per_s=1e30, item=8)
    stream, gain = b * T * CONFIG.width * 8, CONFIG.width * 8
    all_reduced = 2 * (p - 1) * (4 * stream + 2 * gain) / p
    assert step_s(block, by_hand(block, MEGATRON), counted) == all_reduced
    assert step_s(block, by_hand(block, TOKENS), counted) == all_reduced


@pytest.mark.parametrize(("samples", "kinds"), [(1, MEGATRON), (64, SAMPLES)])
@pytest.mark.parametrize("p", [2, 4])
def test_few_tokens_make_it_cut_weights_and_many_make_it_cut_samples(p, samples, kinds):
    """Data parallel sends the weights, Megatron's the stream four times."""
    small = GPTConfig(layers=1, tied=False)
    block = gpt(small, batch=samples, sequence=64)[1:11]
    _, choice = planned(block, machine(p, flops_per_s=1e11, bandwidth=1e9))
    hand = by_hand(block, kinds)
    products = [op.name for op in block if op.rules == operators.LINEAR]
    assert len(products) == 4
    assert [choice[n].weights for n in products] == [hand[n].weights for n in products]


# ------------------------------------------------------------ refusals


def test_ranks_that_can_share_nothing_are_refused():
    with pytest.raises(ValueError, match=r"5 ranks of axis 1 can share none of \[4, 8"):
        options(GRAPH, (2, 5))
    with pytest.raises(ValueError, match="7 ranks of axis 0"):
        planned(GRAPH, machine(7))


def test_tied_weights_are_refused():
    with pytest.raises(ValueError, match="1 tied weight has 2 operators"):
        gpt(GPTConfig(), batch=1, sequence=4)


def test_a_mesh_larger_than_the_world_is_refused_before_any_message(world):
    choice = by_hand(GRAPH, SAMPLES)
    with pytest.raises(RankError) as failed:
        world(2)(one_step, (4,), choice)
    assert "a mesh of 4 = 4 ranks does not fit a world of 2" in failed.value.cause


def test_kinds_are_names_without_layer_and_number():
    assert [kind_of(op) for op in GRAPH[:6]] == [
        "embed",
        "norm",
        "query_key_value",
        "attention",
        "out",
        "add",
    ]
    assert (layout("R")[0], layout("P")[0]) == (R, P)


def gradients_twice(choice: Choice) -> list[list[Tensor]]:
    whole = dict(model().named_parameters()) | {"words": torch.arange(16)}
    parallel, found = Parallel(GRAPH, choice, whole, make_mesh((2,))), []
    for _ in range(2):
        parallel.backward(parallel.loss(data()))
        parts = parallel.parts.values()
        found.append([x.grad.clone() for x in parts if x.requires_grad])
    return found


def test_a_second_backward_begins_anew(world):
    for first, second in world(2)(gradients_twice, by_hand(GRAPH, SAMPLES)):
        exactly(first, second)


@pytest.mark.parametrize("word", [-1, CONFIG.vocabulary])
@pytest.mark.parametrize("rule", range(len(operators.EMBED)))
def test_what_is_no_word_is_refused_under_every_rule(word, rule):
    """Also where a rank has a few words only: it cannot take it for another's."""
    words = held(torch.arange(16), (operators.EMBED[rule].weights,), (2,))[0]
    inputs, weights = [torch.tensor([[word]])], [torch.ones(len(words), 16), words]
    with pytest.raises(ValueError, match=f"^{word} is no word of a vocabulary of 16"):
        GRAPH[0].run(inputs, weights)


def on_a_mesh(ranks: list, choice: Choice) -> dict[str, Tensor] | None:
    """The parts of the gradients on a mesh of these ranks, None on another rank."""
    mesh = DeviceMesh("cpu", ranks)
    if mesh.get_coordinate() is None:
        return None
    whole = dict(model().named_parameters()) | {"words": torch.arange(16)}
    parallel = Parallel(GRAPH, choice, whole, mesh)
    parallel.backward(parallel.loss(data()))
    return {n: x.grad for n, x in parallel.parts.items() if x.requires_grad}


@pytest.mark.parametrize("ranks", [[2, 3], [[0, 2], [1, 3]], [[3, 1]]])
def test_a_mesh_need_not_be_all_ranks_in_order(world, ranks):
    """Two rows in the order of a mesh, whose second rank may be rank 2 of the world."""
    sizes = tuple(torch.tensor(ranks).shape)
    choice = by_hand(GRAPH, *(SAMPLES, MEGATRON)[-len(sizes) :])
    whole = model()
    serial.mean_loss(whole, *data().values()).backward()
    layouts = {n: choice[op.name].weights for op in GRAPH for n in op.weights}
    found = world(4)(on_a_mesh, ranks, choice)
    in_order = torch.tensor(ranks).sort().values.flatten().tolist()
    for name, weight in whole.named_parameters():
        parts = [found[rank][name] for rank in in_order]
        exactly(join(parts, layouts[name], sizes), weight.grad)


def frozen_gains(choice: Choice) -> dict[str, Tensor | None]:
    whole = dict(model().named_parameters()) | {"words": torch.arange(16)}
    parallel = Parallel(GRAPH, choice, whole, make_mesh((2,)))
    parallel.parts["norm.weight"].requires_grad_(False)
    parallel.backward(parallel.loss(data()))
    return {name: part.grad for name, part in parallel.parts.items()}


def test_a_frozen_weight_has_no_gradient_and_the_others_theirs(world):
    choice = by_hand(GRAPH, SAMPLES)
    whole = model()
    whole.norm.weight.requires_grad_(False)
    serial.mean_loss(whole, *data().values()).backward()
    for gradients in world(2)(frozen_gains, choice):
        assert gradients["norm.weight"] is None
        for name, weight in whole.named_parameters():
            if weight.requires_grad:
                exactly(gradients[name], weight.grad)
