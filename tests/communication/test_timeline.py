"""Plans on networks: closed forms where nothing contends, fairness where it does."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_routing import networks
from test_sharing import bottlenecks

from dlsys_code.architecture.graph import Cable, connect
from dlsys_code.architecture.networks import rail_optimized
from dlsys_code.architecture.topology import fat_tree, ring, spine_leaf
from dlsys_code.communication import cost, formulas
from dlsys_code.communication.directed_links import Links
from dlsys_code.communication.event_loop import Run
from dlsys_code.communication.flows import Flows
from dlsys_code.communication.link import Link
from dlsys_code.communication.plan import in_turn, on_ranks
from dlsys_code.communication.routing import ecmp, shortest, spray
from dlsys_code.communication.sharing import Routes
from dlsys_code.communication.timeline import columns, simulate
from dlsys_code.communication.turns import Turns
from dlsys_code.introduction.units import GB, MB, us
from dlsys_code.primitive import (
    barrier,
    double_tree,
    doubling,
    exchange,
    halving,
    hierarchical,
    rooted,
    tree,
)
from dlsys_code.primitive import ring as ring_algorithm
from dlsys_code.world.trace import Message

CABLE = Cable(bandwidth=1 * GB, latency_s=2.5 * us)
LINK = Link(latency_s=5 * us, bandwidth=1 * GB)  # two cables of a crossbar
MESSAGES = st.lists(
    st.builds(
        Message,
        st.integers(0, 4),
        st.integers(0, 5),
        st.integers(0, 5),
        st.sampled_from([0, 1000, 2000, 5000]),
    ),
    max_size=20,
)
# From p, count and item: the plan, and its price.
ALGORITHMS = {
    "ring reduce-scatter": (
        ring_algorithm.reduce_scatter_messages,
        cost.ring_reduce_scatter,
    ),
    "ring all-gather": (ring_algorithm.all_gather_messages, cost.ring_all_gather),
    "ring all-reduce": (ring_algorithm.all_reduce_messages, cost.ring_all_reduce),
    "tree broadcast": (tree.broadcast_messages, cost.tree_broadcast),
    "tree reduce": (tree.reduce_messages, cost.tree_reduce),
    "tree all-reduce": (tree.all_reduce_messages, cost.tree_all_reduce),
    "doubling all-reduce": (
        doubling.all_reduce_messages,
        formulas.doubling_all_reduce,
    ),
    "doubling all-gather": (
        lambda p, count, item: doubling.all_gather_messages(p, count // p, item),
        formulas.doubling_all_gather,
    ),
    "halving all-reduce": (halving.all_reduce_messages, formulas.halving_all_reduce),
    "tree scatter": (
        lambda p, count, item: rooted.scatter_messages([count // p] * p, item),
        formulas.tree_scatter,
    ),
    "tree gather": (
        lambda p, count, item: rooted.gather_messages([count // p] * p, item),
        formulas.tree_gather,
    ),
    "scatter and all-gather": (
        rooted.broadcast_messages,
        formulas.scatter_allgather_broadcast,
    ),
    "pairwise all-to-all": (
        lambda p, count, item: exchange.pairwise_messages([[count // p] * p] * p, item),
        formulas.pairwise_all_to_all,
    ),
    "Bruck all-to-all": (exchange.bruck_messages, formulas.bruck_all_to_all),
    "barrier": (
        lambda p, count, item: barrier.barrier_messages(p),
        lambda p, count, item: formulas.dissemination_barrier(p),
    ),
    "double tree all-reduce": (
        double_tree.all_reduce_messages,
        lambda p, count, item: cost.of_messages(
            double_tree.all_reduce_messages(p, count, item)
        ),
    ),
}
IN_STEP = [
    name for name in ALGORITHMS if name.startswith(("ring", "pairwise", "Bruck"))
]


def crossbar(devices: int) -> nx.Graph:
    return spine_leaf(leaves=1, spines=1, devices_per_leaf=devices, cable=CABLE)


def run_of(plan: list[Message], network: nx.Graph, choose, rendezvous: bool = False):
    """What `simulate` makes, with its inside in view."""
    step, source, destination, sizes = columns(plan)
    links = Links.of(network)
    node = np.array([links.nodes.index(r) for r in range(6) if r in network])
    ends = node[source], node[destination]
    flows = Flows.between(*ends, sizes, links=links, choose=choose)
    turns = Turns(step, source, destination, rendezvous=rendezvous)
    return flows, Run(flows, turns, flows.latency_s())


def routes_of(flows: Flows, messages: np.ndarray) -> Routes:
    """The routes of some messages, numbered from 0."""
    flow, link, part = flows.routes
    entries = [np.flatnonzero(flow == pair) for pair in flows.pair[messages]]
    chosen = np.concatenate([[], *entries]).astype(int)
    sizes = np.array([len(e) for e in entries], dtype=int)
    numbers = np.repeat(np.arange(len(entries)), sizes)
    return Routes(numbers, link[chosen], part[chosen])


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17])
def test_a_crossbar_takes_what_the_formula_says(name, p):
    plan, price = ALGORITHMS[name]
    took = simulate(plan(p, 240 * p, 4), crossbar(p), rendezvous=True)
    assert took.finish_s == pytest.approx(price(p, 240 * p, 4).time_s(LINK), rel=1e-9)


@pytest.mark.parametrize("name", IN_STEP)
@pytest.mark.parametrize("p", [1, 2, 5, 8])
def test_where_all_ranks_do_the_same_no_receiver_is_late(name, p):
    plan, price = ALGORITHMS[name]
    took = simulate(plan(p, 240 * p, 4), crossbar(p))
    assert took.finish_s == pytest.approx(price(p, 240 * p, 4).time_s(LINK), rel=1e-9)


@pytest.mark.parametrize("inner, outer", [(1, 4), (4, 1), (4, 2), (3, 5)])
def test_two_levels_take_the_sum_of_their_formulas(inner, outer):
    count = inner * outer * 60
    nodes = np.arange(inner * outer).reshape(outer, inner).tolist()
    plan = hierarchical.all_reduce_messages(nodes, count, 4)
    inside, across = formulas.hierarchical_all_reduce(inner, outer, count, 4)
    expected = inside.time_s(LINK) + across.time_s(LINK)
    took = simulate(plan, crossbar(inner * outer)).finish_s
    assert took == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("p", [2, 3, 8, 32])
def test_a_ring_on_a_ring_takes_its_formula(p):
    plan = ring_algorithm.all_reduce_messages(p, 100 * p, 4)
    # Two devices are joined by two cables.
    beta = 1 / CABLE.bandwidth / (2 if p == 2 else 1)
    expected = 2 * (p - 1) * (CABLE.latency_s + 400 * beta)
    assert simulate(plan, ring(p, CABLE)).finish_s == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("choose", [spray, ecmp(3)])
def test_a_ring_on_a_fat_tree_goes_as_fast_as_its_longest_way(choose):
    # 128 devices, 6 cables between pods: one flow a link, wherever the hash sends it.
    plan = ring_algorithm.all_reduce_messages(128, 128 * 100, 4)
    took = simulate(plan, fat_tree(8, CABLE), route=choose)
    expected = 2 * 127 * (6 * CABLE.latency_s + 400 / CABLE.bandwidth)
    assert took.finish_s == pytest.approx(expected, rel=1e-9)


def test_1024_devices_take_their_formulas():
    network = fat_tree(16, CABLE)
    steps = 8
    flat = [
        Message(s, r, (r + 1) % 1024, 400) for s in range(steps) for r in range(1024)
    ]
    took = simulate(flat, network)
    expected = steps * (6 * CABLE.latency_s + 400 / CABLE.bandwidth)
    assert took.finish_s == pytest.approx(expected, rel=1e-9)

    hosts = np.arange(1024).reshape(128, 8).tolist()
    plan = hierarchical.all_reduce_messages(hosts, 1024 * 100, 4)
    inside, across = formulas.hierarchical_all_reduce(8, 128, 1024 * 100, 4)
    near = Link(latency_s=2 * CABLE.latency_s, bandwidth=CABLE.bandwidth)
    far = Link(latency_s=6 * CABLE.latency_s, bandwidth=CABLE.bandwidth)
    expected = inside.time_s(near) + across.time_s(far)
    assert simulate(plan, network).finish_s == pytest.approx(expected, rel=1e-9)


def test_two_flows_on_one_link_take_twice_as_long_and_two_ways_do_not():
    alone = simulate([Message(0, 0, 2, 10**6)], crossbar(4)).finish_s
    assert alone == pytest.approx(1005 * us)
    same = simulate([Message(0, 0, 2, 10**6), Message(0, 1, 2, 10**6)], crossbar(4))
    assert same.end_s == pytest.approx([2005 * us] * 2)
    both = simulate([Message(0, 0, 2, 10**6), Message(0, 2, 0, 10**6)], crossbar(4))
    assert both.end_s == pytest.approx([alone] * 2)


def test_rates_change_when_a_message_ends_by_hand():
    # 1 MB and 3 MB share a link of 1 GB/s: half each until 2 ms, then 2 MB alone.
    network = crossbar(3)
    took = simulate([Message(0, 0, 2, 1 * MB), Message(0, 1, 2, 3 * MB)], network)
    assert took.end_s == pytest.approx([2.005e-3, 4.005e-3], rel=1e-12)
    assert took.start_s.tolist() == [0, 0]
    busy = dict(zip(took.links.names(), took.link_busy_s, strict=True))
    assert busy[0, "leaf 0"] == pytest.approx(2e-3)
    assert busy[1, "leaf 0"] == busy["leaf 0", 2] == pytest.approx(4e-3)
    assert busy["leaf 0", 0] == 0
    assert took.loads()["leaf 0", 2] == 4 * MB


def test_the_next_step_starts_later_where_a_link_was_shared_by_hand():
    # Step 0: 0 and 1 send 1 MB to 2.  Step 1: 2 sends on to 3 when it has both.
    plan = [Message(0, 0, 2, MB), Message(0, 1, 2, MB), Message(1, 2, 3, MB)]
    took = simulate(plan, crossbar(4))
    assert took.start_s == pytest.approx([0, 0, 2.005e-3])
    assert took.finish_s == pytest.approx(3.010e-3)


def test_an_eager_message_shares_the_door_of_a_busy_receiver():
    plan = [Message(0, 0, 1, MB), Message(1, 2, 1, MB)]
    assert simulate(plan, crossbar(3)).end_s == pytest.approx([2.005e-3] * 2)
    careful = simulate(plan, crossbar(3), rendezvous=True)
    assert careful.end_s == pytest.approx([1.005e-3, 2.010e-3])


def test_the_overhead_of_a_host_is_paid_by_every_message():
    plan = ring_algorithm.all_reduce_messages(4, 400, 4)
    took = simulate(plan, crossbar(4), overhead_s=10 * us).finish_s
    assert took == pytest.approx(simulate(plan, crossbar(4)).finish_s + 6 * 10 * us)


def test_hashes_that_meet_slow_a_step_by_the_most_flows_on_a_link():
    network = spine_leaf(leaves=2, spines=8, devices_per_leaf=8, cable=CABLE)
    plan = [Message(0, r, 8 + r, MB) for r in range(8)]
    slowest = set()
    for seed in range(20):
        took = simulate(plan, network, route=ecmp(seed))
        most = max(load for (_, to), load in took.loads().items() if "spine" in str(to))
        assert took.finish_s == pytest.approx(4 * CABLE.latency_s + most / GB)
        slowest.add(round(most / MB))
    assert len(slowest) > 1 and min(slowest) > 1  # 8 flows all apart: 1 in 416
    assert simulate(plan, network).finish_s == pytest.approx(1010 * us)
    crowded = simulate(plan, network, route=shortest)
    assert crowded.finish_s == pytest.approx(8010 * us)


def test_ranks_on_other_devices_are_the_plan_with_other_numbers():
    network = rail_optimized(
        hosts=2, devices_per_host=4, spines=2, cable=CABLE, inside=CABLE
    )
    plan, place = ring_algorithm.all_reduce_messages(6, 600, 4), [7, 2, 0, 5, 1, 4]
    placed = simulate(plan, network, place=place)
    renamed = simulate(on_ranks(place, plan), network)
    assert placed.end_s.tolist() == renamed.end_s.tolist()
    assert placed.loads() == renamed.loads()


@pytest.mark.parametrize("rendezvous", [False, True])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(network=networks(), plan=MESSAGES, seed=st.integers(0, 99))
def test_every_moment_of_any_plan_is_fair_and_nothing_is_lost(
    rendezvous, network, plan, seed
):
    devices = [node for node in network if isinstance(node, int)]
    plan = [m for m in plan if m.source != m.destination and {*m[1:3]} <= {*devices}]
    choose = spray if seed == 0 else ecmp(seed)
    flows, run = run_of(plan, network, choose, rendezvous)
    delay_s, bandwidth = flows.latency_s(), flows.links.bandwidth
    moved, began = np.zeros(len(plan)), np.full(len(plan), np.inf)
    for moment in run.moments():
        routes = routes_of(flows, moment.moving)
        slowed = bottlenecks(routes, moment.rate, bandwidth)
        assert slowed == set(range(len(moment.moving)))
        assert set(moment.busy) == set(routes.link)
        moved[moment.moving] += moment.rate * (moment.end_s - moment.start_s)
        began[moment.moving] = np.minimum(began[moment.moving], moment.start_s)
    assert moved == pytest.approx([m.bytes for m in plan], rel=1e-6, abs=1e-3)
    assert began == pytest.approx(run.start_s + delay_s, rel=1e-9)
    for i, message in enumerate(plan):
        ends = message[1:3] if rendezvous else message[1:2]
        before = [
            run.end_s[j]
            for j, other in enumerate(plan)
            if other.step < message.step and {*ends} & {*other[1:3]}
        ]
        assert run.start_s[i] == max(before, default=0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(network=networks(), plan=MESSAGES, seed=st.integers(0, 9))
def test_links_carry_the_bytes_of_every_hop(network, plan, seed):
    devices = [node for node in network if isinstance(node, int)]
    plan = [m for m in plan if m.source != m.destination and {*m[1:3]} <= {*devices}]
    took = simulate(plan, network, route=spray if seed == 0 else ecmp(seed))
    hops = [nx.shortest_path_length(network, *m[1:3]) for m in plan]
    assert sum(took.loads().values()) == pytest.approx(
        sum(h * m.bytes for h, m in zip(hops, plan, strict=True))
    )
    full = took.link_busy_s * took.links.bandwidth
    assert (took.link_bytes <= full * (1 + 1e-9) + 1e-6).all()


def test_a_longer_plan_starts_where_the_shorter_ends():
    one = ring_algorithm.all_reduce_messages(4, 400, 4)
    took = simulate(in_turn(one, one), crossbar(4)).finish_s
    assert took == pytest.approx(2 * simulate(one, crossbar(4)).finish_s)


def test_no_messages_take_no_time():
    took = simulate([], crossbar(2))
    assert took.finish_s == 0 and len(took.end_s) == 0


@pytest.mark.parametrize(
    "plan, place, error",
    [
        ([Message(0, 0, 4, 1)], None, "5 ranks cannot be placed on 4 devices"),
        ([Message(0, 0, 1, 1)], [0], "2 ranks cannot be placed on 1 devices"),
        ([Message(0, 0, 1, 1)], [0, 9], r"devices 0 \.\. 3 to itself, not \[0, 9\]"),
        ([Message(0, 0, 1, 1)], [2, 2], r"devices 0 \.\. 3 to itself, not \[2, 2\]"),
        ([Message(0, 1, 1, 1)], None, "source=1, destination=1"),
        ([Message(0, -1, 1, 1)], None, "source=-1"),
        ([Message(0, 0, 1, -8)], None, "bytes=-8"),
    ],
)
def test_plans_that_do_not_fit_are_refused(plan, place, error):
    with pytest.raises(ValueError, match=error):
        simulate(plan, crossbar(4), place=place)


def test_networks_that_cannot_carry_anything_are_refused():
    apart = crossbar(2)
    connect(apart, 2, "leaf 7", CABLE)
    with pytest.raises(ValueError, match="reaches 2 of 3 devices"):
        simulate([Message(0, 0, 1, 1)], apart)
    dead = crossbar(2)
    dead.edges[0, "leaf 0"]["bandwidth"] = 0
    with pytest.raises(ValueError, match="has 0 B/s"):
        simulate([Message(0, 0, 1, 1)], dead)
    with pytest.raises(ValueError, match="at least 0 s to a message, not -1 s"):
        simulate([Message(0, 0, 1, 1)], crossbar(2), overhead_s=-1)
