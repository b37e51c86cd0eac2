"""Every pair of layouts: same tensor, bytes of the cost, no more than torch sends."""

import logging
from functools import partial
from itertools import product
from math import prod

import pytest
import torch
from held import held, number
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial, Shard
from torch.distributed.tensor._redistribute import _gen_transform_infos

from dlsys_code.communication.cost import of_messages
from dlsys_code.communication.link import Link
from dlsys_code.system.beside import race
from dlsys_code.system.layouts import (
    Layout,
    P,
    R,
    cut,
    dual,
    join,
    layout,
    local_shape,
    make_mesh,
    names,
)
from dlsys_code.system.redistribution import (
    cheapest,
    redistribute,
    seconds,
    total,
)
from dlsys_code.system.redistribution_beside import contenders, sent_in_spans
from dlsys_code.system.redistribution_moves import moves
from dlsys_code.system.redistribution_steps import OURS
from dlsys_code.world import RankError, compute, control

SHAPE = (8, 16)
ITEM = 8
exactly = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)


def every_layout(axes: int, dimensions: int = 2) -> list[Layout]:
    places = [R, P, *map(Shard, range(dimensions))]
    return list(product(places, repeat=axes))


PAIRS = list(product(every_layout(2), repeat=2))


# ------------------------------------------------------------ exhaustive, on ranks


def all_pairs(sizes: tuple[int, ...]) -> list[list[Tensor]]:
    """What this rank holds after each redistribution; a span marks each of them."""
    mesh, whole, found = make_mesh(sizes), number(SHAPE), []
    for source, target in PAIRS:
        x = held(whole, source, sizes)[torch.distributed.get_rank()].contiguous()
        before = x.clone()
        with compute(f"{names(source)} > {names(target)}"), control.off():
            y = redistribute(x, source, target, mesh, calls=OURS)
        assert torch.equal(x, before)
        found.append(y)
    return found


@pytest.mark.parametrize("sizes", [(2, 2), (2, 4)])
def test_every_pair_gives_the_same_tensor_for_the_bytes_of_its_cost(world, sizes):
    trace = world(sizes[0] * sizes[1]).trace(all_pairs, sizes)
    sent = [sent_in_spans(trace, rank=r) for r in range(len(trace.results))]
    whole = number(SHAPE)
    for i, (source, target) in enumerate(PAIRS):
        exactly(join([row[i] for row in trace.results], target, sizes), whole)
        way = cheapest(SHAPE, source, target, sizes, item=ITEM)
        pair = f"{names(source)} > {names(target)}"
        assert {row[pair] for row in sent} == {total(way).bytes_sent}, pair


# ------------------------------------------------------------ beside torch's DTensor


def torch_can(source: Layout, target: Layout) -> bool:
    """DTensor makes no new partial axes."""
    pairs = zip(source, target, strict=True)
    return all(to != P or at == P for at, to in pairs)


def plan_bytes(before: DTensor, after: DTensor, sizes: tuple[int, ...]) -> int:
    """What torch's plan sends by our costs, with an all-to-all as on GPUs."""
    here, sent = before.placements, 0
    for step in _gen_transform_infos(before._spec, after._spec):
        axis, (_, place) = step.mesh_dim, step.src_dst_placements
        there = (*here[:axis], place, *here[axis + 1 :])
        known = moves(here, SHAPE, sizes, item=ITEM)
        (move,) = [move for move in known if move.after == there]
        here, sent = there, sent + move.cost.bytes_sent
    return sent


def all_pairs_by_torch(sizes: tuple[int, ...]) -> list[tuple[Tensor, int]]:
    """What this rank holds after each redistribution by DTensor; its plan's bytes."""
    logging.disable(logging.WARNING)  # it would merge collectives, were the mesh named
    mesh, whole, found = make_mesh(sizes), number(SHAPE), []
    for source, target in filter(lambda pair: torch_can(*pair), PAIRS):
        x = held(whole, source, sizes)[torch.distributed.get_rank()].contiguous()
        before = DTensor.from_local(x, mesh, source)
        with compute(f"{names(source)} > {names(target)}"):
            after = before.redistribute(mesh, target)
        found.append((after.to_local(), plan_bytes(before, after, sizes)))
    logging.disable(logging.NOTSET)
    return found


@pytest.mark.parametrize(
    ("sizes", "cheaper_on_cpus", "cheaper_anywhere"),
    [((2, 2), 73, 35), ((2, 4), 83, 57)],
)
def test_never_more_bytes_than_torchs_own(
    world, sizes, cheaper_on_cpus, cheaper_anywhere
):
    trace = world(sizes[0] * sizes[1]).trace(all_pairs_by_torch, sizes)
    sent, whole, less = sent_in_spans(trace), number(SHAPE), [0, 0]
    pairs = [pair for pair in PAIRS if torch_can(*pair)]
    for i, (source, target) in enumerate(pairs):
        exactly(join([row[i][0] for row in trace.results], target, sizes), whole)
        ours = total(cheapest(SHAPE, source, target, sizes, item=ITEM)).bytes_sent
        theirs = sent[f"{names(source)} > {names(target)}"], trace.results[0][i][1]
        assert ours <= min(theirs), f"{names(source)} > {names(target)}"
        less = [n + (ours < other) for n, other in zip(less, theirs, strict=True)]
    assert (len(pairs), less) == (169, [cheaper_on_cpus, cheaper_anywhere])


# ------------------------------------------------------------ by hand


@pytest.mark.parametrize(
    ("source", "target", "sizes", "kinds"),
    [
        ("S0", "R", (4,), "all-gather"),
        ("R", "S1", (4,), "slice"),
        ("P", "R", (4,), "all-reduce"),
        ("P", "S0", (4,), "reduce-scatter"),
        ("S0", "S1", (4,), "all-to-all"),
        ("R", "P", (4,), "one keeps it"),
        ("S1", "P", (4,), "among zeros"),
        ("S0 S0", "R S0", (2, 2), "all-to-all, all-gather, all-to-all"),
        ("P P", "R R", (2, 2), "reduce-scatter, all-reduce, all-gather"),
        ("S0 S1", "S0 S1", (2, 2), ""),
    ],
)
def test_the_cheapest_way_is_the_one_found_by_hand(source, target, sizes, kinds):
    way = cheapest(SHAPE, layout(source), layout(target), sizes, item=ITEM)
    assert ", ".join(move.kind.name for move in way) == kinds


@pytest.mark.parametrize(
    ("latency_s", "kinds", "rounds"),
    [(0, ["slice", "all-reduce", "all-gather"], 7), (1, ["all-reduce"], 6)],
)
def test_slow_starts_make_fewer_and_larger_moves(latency_s, kinds, rounds):
    """Replicas on the other axis could share the sum, for a round more."""
    price = seconds((Link(latency_s=latency_s, bandwidth=1e9),) * 2)
    ends = layout("R P"), layout("R R")
    way = cheapest(SHAPE, *ends, (2, 4), item=ITEM, price=price)
    assert [move.kind.name for move in way] == kinds
    assert total(way).rounds == rounds


@settings(derandomize=True, max_examples=60, deadline=None)
@given(data=st.data())
def test_no_way_of_few_moves_is_cheaper(data):
    """Brute force: every way of up to four moves, at prices drawn anew."""
    sizes = data.draw(st.sampled_from([(2,), (4,), (2, 3), (3, 2)]))
    of = st.sampled_from(every_layout(len(sizes)))
    source, target, slow = data.draw(of), data.draw(of), data.draw(st.integers(1, 9))
    links = [Link(latency_s=0, bandwidth=1 / w) for w in (slow, 1)][: len(sizes)]
    price, shape = seconds(tuple(links)), (36, 72)
    best = {source: 0.0}
    for _ in range(4):
        for here, spent in list(best.items()):
            for move in moves(here, shape, sizes, item=1):
                there = spent + price(move)
                best[move.after] = min(there, best.get(move.after, there))
    found = sum(map(price, cheapest(shape, source, target, sizes, item=1, price=price)))
    assert found <= best.get(target, found) + 1e-9


def test_ways_lead_from_source_to_target():
    for source, target in PAIRS:
        way = cheapest(SHAPE, source, target, (2, 4), item=ITEM)
        stations = [source, *(move.after for move in way)]
        assert [move.before for move in way] == stations[:-1]
        assert stations[-1] == target


def must_arrive(source: Layout, target: Layout, sizes: tuple[int, ...]) -> int:
    """Bytes that the neediest rank lacks; a bound for anyone, with no sums to make."""
    index = torch.arange(SHAPE[0] * SHAPE[1]).view(SHAPE)
    rows = zip(cut(index, source, sizes), cut(index, target, sizes), strict=True)
    return max(int((~torch.isin(new, old)).sum()) for old, new in rows) * ITEM


def test_how_far_the_ways_are_from_the_least_that_anyone_must_send():
    reached = 0
    pairs = [pair for pair in PAIRS if P not in (*pair[0], *pair[1])]
    for source, target in pairs:
        way = cheapest(SHAPE, source, target, (2, 2), item=ITEM)
        least = must_arrive(source, target, (2, 2))
        assert least <= total(way).bytes_sent
        reached += least == total(way).bytes_sent
    assert (reached, len(pairs)) == (67, 81)


# ------------------------------------------------------------ gradients


def gradients(sizes: tuple[int, ...], pairs: list[tuple[Layout, Layout]]) -> list:
    """Gradients of x in the dual layouts, for f = sum of sin(x) weighted by w."""
    mesh, whole, found = make_mesh(sizes), number(SHAPE), []
    r = torch.distributed.get_rank()
    for source, target in pairs:
        x = held(whole, source, sizes)[r].clone().requires_grad_()
        y = redistribute(x, source, target, mesh)
        y.backward(held(whole.cos(), dual(target), sizes)[r])
        found.append(x.grad)
    return found


@pytest.mark.parametrize("sizes", [(4,), (2, 2)])
def test_gradients_come_back_in_the_dual_layout(world, sizes):
    pairs = list(product(every_layout(len(sizes)), repeat=2))
    rows = world(prod(sizes))(gradients, sizes, pairs)
    for i, (source, _) in enumerate(pairs):
        exactly(
            join([row[i] for row in rows], dual(source), sizes), number(SHAPE).cos()
        )


# ------------------------------------------------------------ layouts and refusals


def test_cutting_and_joining_are_inverse():
    for of in every_layout(2):
        parts = cut(number(SHAPE), of, (2, 4))
        assert {tuple(x.shape) for x in parts} == {local_shape(SHAPE, of, (2, 4))}
        exactly(join(parts, of, (2, 4)), number(SHAPE))
        assert layout(names(of)) == of
        assert dual(dual(of)) == of


def test_two_axes_cut_one_dimension_like_torch():
    parts = cut(torch.arange(8), layout("S0 S0"), (2, 4))
    assert [int(x) for x in parts] == list(range(8))
    parts = cut(torch.arange(8).view(2, 4), layout("S1 S0"), (2, 2))
    assert [x.tolist() for x in parts] == [[[0, 1]], [[4, 5]], [[2, 3]], [[6, 7]]]


def test_replicas_that_differ_are_noticed():
    with pytest.raises(ValueError, match="2 replicas differ: R does not hold"):
        join([torch.zeros(2), torch.ones(2)], layout("R"), (2,))


@pytest.mark.parametrize(
    ("shape", "of", "sizes", "message"),
    [
        ((7, 4), "S0 R", (2, 2), r"2 ranks cannot share 7 evenly: S0 R of \(7, 4\)"),
        ((6, 4), "S0 S0", (2, 2), "2 ranks cannot share 3 evenly"),
        ((8, 4), "S2 R", (2, 2), "S2 cuts none of 2 dimensions"),
        ((8, 4), "S0", (2, 2), "1 placements, S0, for 2 axes"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(shape, of, sizes, message):
    fine = (R,) * len(sizes)
    with pytest.raises(ValueError, match=message):
        local_shape(shape, layout(of), sizes)
    with pytest.raises(ValueError, match=message):
        cheapest(shape, fine, layout(of), sizes, item=8)
    with pytest.raises(ValueError, match=message):
        cheapest(shape, layout(of), fine, sizes, item=8)


def test_names_that_are_no_placement_are_refused():
    for name in ("Q", "S", "Sx", "RR"):
        with pytest.raises(ValueError, match=f"not '{name}'"):
            layout(f"R {name}")


@pytest.mark.parametrize("kind", ["avg", "max", "min", "product"])
def test_a_partial_that_is_no_sum_is_refused(kind):
    """Its terms added up would be another tensor."""
    other = (Partial(kind),)
    with pytest.raises(ValueError, match="none of S, R and P, which is a sum"):
        cheapest((4,), other, (R,), (2,), item=8)
    with pytest.raises(ValueError, match="none of S, R and P, which is a sum"):
        cut(torch.ones(4), other, (2,))


def too_uneven() -> str:
    with pytest.raises(ValueError) as caught:
        redistribute(torch.ones(7, 4), layout("P"), layout("S0"), make_mesh((2,)))
    return str(caught.value)


def test_uneven_sizes_are_refused_before_any_message(world):
    trace = world(2).trace(too_uneven)
    assert trace.results[0].startswith("2 ranks cannot share 7 evenly: S0 of (7, 4)")
    assert not [e for e in trace.events if e.kind in ("send", "collective")]


def test_a_sum_of_any_size_can_be_added_up(world):
    assert [m.kind.name for m in cheapest((7,), (P,), (R,), (2,), item=8)] == [
        "all-reduce"
    ]


def test_a_mesh_larger_than_the_world_is_refused(world):
    with pytest.raises(RankError) as failed:
        world(4)(make_mesh, (2, 4))
    assert failed.value.cause == (
        "ValueError: a mesh of 2 x 4 = 8 ranks does not fit a world of 4"
    )


def test_of_messages_is_the_cost(world):
    """Rounds too, of one way with three moves."""
    ends = layout("S0 S0"), layout("R S0")
    trace = world(4).trace(one_way, *ends)
    expected = total(cheapest(SHAPE, *ends, (2, 2), item=ITEM))
    counted = of_messages(trace.messages())
    assert (counted.rounds, counted.bytes_sent) == (
        expected.rounds,
        expected.bytes_sent,
    )


def one_way(source: Layout, target: Layout) -> None:
    mesh = make_mesh((2, 2))
    x = cut(number(SHAPE), source, (2, 2))[torch.distributed.get_rank()]
    redistribute(x, source, target, mesh, calls=OURS)


# ------------------------------------------------------------ any mesh, any shape


def carry(source: Layout, target: Layout, sizes: tuple, shape: tuple) -> Tensor:
    x = held(number(shape), source, sizes)[torch.distributed.get_rank()]
    return redistribute(x, source, target, make_mesh(sizes))


MESHES = [(1,), (2,), (3,), (5,), (8,), (1, 4), (3, 2), (2, 3), (4, 2), (2, 2, 2)]


@settings(derandomize=True, max_examples=25, deadline=None)
@given(data=st.data())
def test_any_pair_on_any_mesh_of_up_to_8_ranks(world, data):
    sizes = data.draw(st.sampled_from(MESHES))
    dimensions = data.draw(st.integers(1, 3))
    of = st.tuples(
        *[st.sampled_from([R, P, *map(Shard, range(dimensions))])] * len(sizes)
    )
    source, target = data.draw(of), data.draw(of)
    every = prod(sizes)  # divides each dimension that any of the two cuts
    cut_by_any = {place.dim for place in (*source, *target) if isinstance(place, Shard)}
    shape = tuple(
        data.draw(st.integers(1, 3)) * (every if i in cut_by_any else 1)
        for i in range(dimensions)
    )
    parts = world(every)(carry, source, target, sizes, shape)
    exactly(join(parts, target, sizes), number(shape))


def raced() -> tuple[list[Tensor], dict[str, list[float]]]:
    """What both contenders have in the end, and their times."""
    ends, sizes = (layout("S0 S0"), layout("R S0")), (2, 2)
    both = contenders((8, 4), ends, sizes)
    made = [make(torch.distributed.group.WORLD)() for make in both.values()]
    return made, race(both, rounds=2)


def test_both_contenders_do_the_same(world):
    for (ours, theirs), times in world(4)(raced):
        assert torch.equal(ours, theirs)
        assert ours.shape == (4, 4)
        assert {name: len(s) for name, s in times.items()} == {"ours": 2, "DTensor": 2}
