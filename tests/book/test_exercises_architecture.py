"""What chapter 2's exercises hold against an answer, checked by hand or on graphs."""

from itertools import permutations
from math import inf, sqrt

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import traffic
from dlsys_code.architecture.counts import count as counted
from dlsys_code.architecture.graph import Cable
from dlsys_code.architecture.networks import dragonfly, rail_optimized
from dlsys_code.architecture.placement import Placement
from dlsys_code.architecture.search import disjoint_rings, hops
from dlsys_code.architecture.stragglers import Fixed, Random, simulate
from dlsys_code.architecture.topology import fat_tree, torus
from dlsys_code.architecture.updates import Run
from dlsys_code.book import exercises_architecture_clocks as clocks
from dlsys_code.book import exercises_architecture_lost as lost
from dlsys_code.book import exercises_architecture_networks as networks
from dlsys_code.book import exercises_architecture_numbers as numbers
from dlsys_code.book import exercises_architecture_programs as programs
from dlsys_code.book import exercises_architecture_rings as rings
from dlsys_code.book import exercises_architecture_servers as servers
from dlsys_code.book.exercises_architecture import EXERCISES
from dlsys_code.communication.cost import ring_all_reduce as ring_cost

CABLE = Cable(bandwidth=1.0)
BY_HAND = {
    "cables_crossed": 38 * 6 * 16,
    "server_gigabytes": 24 * 14,
    "straggler_round": 1 + 9 * (1 - 0.99**64),
    "rate_with_a_bound": 8 / 4,
    "save_every": sqrt(2 * 54 * 24 * 60 / 419 / 4),
    "dragonfly_devices": 16 * 8 * 129,
}


@pytest.mark.parametrize(("name", "value"), BY_HAND.items())
def test_the_numbers_by_hand(name, value):
    assert EXERCISES[name].value == pytest.approx(value, rel=1e-9)


def test_the_ways_to_the_next_of_four_devices_on_two_hosts():
    """As section 1 wires them: device, PCIe switch, NIC, leaf."""
    wired = nx.Graph()
    for host in range(2):
        for node in (2 * host, 2 * host + 1, f"nic {host}"):
            wired.add_edge(node, f"pcie {host}")
        wired.add_edge(f"nic {host}", "leaf 0")
    ways = [nx.shortest_path_length(wired, a, b) for a, b in hops(range(4))]
    assert ways == numbers.WAYS


def test_the_round_with_stragglers_on_paper():
    run = simulate(64, bound=0, updates=64 * 500, times=Random(0.01, 10))
    assert run.duration_s() / 500 == pytest.approx(numbers.ROUND, rel=0.05)


def test_the_rate_with_a_bound_on_paper():
    run = simulate(8, bound=16, updates=8000, times=Fixed(0, 4))
    assert 1 / run.time_per_update_s() == pytest.approx(numbers.IN_STEP, rel=0.03)


def test_no_other_interval_costs_less():
    def cost(every: float) -> float:
        return numbers.SAVE / every + every / (2 * numbers.BETWEEN)

    assert cost(numbers.EVERY) < min(
        cost(numbers.EVERY * f) for f in (0.9, 1.1, 0.5, 2)
    )


@pytest.mark.parametrize("case", servers.PLACEMENTS)
def test_the_busiest_rank_is_that_of_the_chapter(case):
    serves, workers = case
    starts = [sum(serves[:r]) for r in range(len(serves))]
    spans = {
        str(r): range(start, start + served)
        for r, (start, served) in enumerate(zip(starts, serves, strict=True))
    }
    server_of = {str(r): r for r in range(len(serves))}
    placed = Placement(keys=spans, server_of=server_of, workers=workers)
    four_bytes = max(traffic.bytes_sent(placed))
    assert servers.fault_of_busiest(four_bytes // 4, serves, workers) == ""


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 400), st.integers(1, 500))
def test_the_fewest_servers_are_enough_and_one_less_is_not(p, n, room, given_too_many):
    def enough(s: int) -> bool:
        return s > 0 and max(p * n / s, n) <= room

    right = next((s for s in range(1, p * n + 1) if enough(s)), 0)
    assert servers.fault_of_servers(right, p, n, 1.0, room) == ""
    if given_too_many != right:
        assert servers.fault_of_servers(given_too_many, p, n, 1.0, room)


def test_a_backup_that_answers_loses_nothing_and_a_log_shows_when():
    found = [lost.lost(events) for (events,) in lost.runs()]
    assert found == [[0, 1, 2], [3, 4, 5], [0, 1, 2], [], [], [3, 4], [], [3]]


def test_staleness_may_be_more_than_the_bound_and_the_lead_may_not():
    """The page says so of these very records."""
    bounds = [0, inf, inf, 2, 3]
    stale = []
    for (workers, updates), bound in zip(clocks.records(), bounds, strict=True):
        run = Run(workers, list(updates))
        assert max(run.leads()) <= bound
        stale.append(max(run.staleness()) > bound)
    assert any(stale)


def test_a_long_record_is_shown_as_it_begins():
    *_, (workers, updates) = clocks.records()
    shown = clocks.shown_record(workers, updates)
    assert shown.startswith("4 个工人，60 个更新，(worker, clock, seen) 依次是\n[(")
    assert shown.endswith(")]\n……后面还有 36 个")
    assert shown.count("(") == clocks.SHOWN + 1
    short = clocks.shown_record(workers, updates[:3])
    assert short.splitlines()[-1].startswith("[(") and short.count("(") == 4


def test_a_log_is_shown_whole_and_may_have_no_checkpoint_and_no_death():
    for (events,) in lost.runs():
        head, _, listed = lost.shown_events(events).partition("\n")
        assert eval(listed) == events
        assert head.endswith("死了，events =")
    assert lost.shown_events([("one", "updated", 0)]) == (
        "one，没有检查点，没有服务器死，events =\n[('one', 'updated', 0)]"
    )


def test_every_belief_about_who_begins_differs_from_the_rule_somewhere():
    for said, rule in clocks.MISTAKEN:
        verdicts = [clocks.fault_of_begin(rule(*case), *case) for case in clocks.CLOCKS]
        assert any(said in verdict for verdict in verdicts)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.randoms())
def test_a_plan_is_right_if_and_only_if_all_sums_arrive(p, luck):
    """Plans with one row changed, or none, are played."""
    first = luck.sample(range(p), p)
    plan = [[first[(r - k) % p] for r in range(p)] for k in range(2 * (p - 1))]
    if plan and luck.random() < 0.7:
        plan[luck.randrange(len(plan))] = luck.sample(range(p), p)
    assert (rings.fault_of_plan(plan, p) == "") == sums_arrive(plan, p)


def sums_arrive(plan: list[list[int]], p: int) -> bool:
    """Whether everybody has the sum of every chunk once the plan has been carried out.

    A value is a list of the ranks that are in it; a sum has each of them once.
    """
    held = [[[r] for _ in range(p)] for r in range(p)]
    for k, row in enumerate(plan):
        sent = [held[r][row[r]] for r in range(p)]
        for r in range(p):
            chunk, to = row[r], (r + 1) % p
            adds = k < p - 1
            held[to][chunk] = (held[to][chunk] if adds else []) + sent[r]
    return all(sorted(held[r][c]) == list(range(p)) for r in range(p) for c in range(p))


@pytest.mark.parametrize(("p", "count"), [(3, 9), (4, 12), (5, 20)])
def test_where_all_divides_rings_and_servers_send_what_one_ring_does(p, count):
    costs = programs.on_their_rings, programs.server_on_all_ranks, ring_cost
    assert len({price(p, count, 8).bytes_sent for price in costs}) == 1


def test_no_start_of_uneven_rings_sends_less():
    """Whichever two chunks a rank leaves out of 7 and of 6 values, 5 ranks send 22."""
    least = sum(
        min(
            max(2 * sum(size) - order[r - 1] - order[r] for r in range(5))
            for order in permutations(size)
        )
        for size in ([2, 2, 1, 1, 1], [2, 1, 1, 1, 1])
    )
    assert programs.on_their_rings(5, 13, 1).bytes_sent == least == 22


def test_the_rings_to_run_on_share_no_link():
    for p, orders in programs.RINGS.items():
        links = [frozenset(hop) for order in orders for hop in hops(order)]
        assert len(links) == len(set(links)) == p * len(orders)
        assert all(sorted(order) == list(range(p)) for order in orders)


def test_the_links_have_room_for_so_many_rings():
    found = [len(disjoint_rings(links)) for links in rings.meshes()]
    assert found == [3, 2, 2, 1, 0]
    for links, most in zip(rings.meshes(), found, strict=True):
        assert rings.most_rings(frozenset(links.edges(data="cables"))) == most
        assert rings.fault_of_rings(disjoint_rings(links), links) == ""


@pytest.mark.parametrize("shape", networks.SHAPES[:7])
def test_a_torus_has_these_counts(shape):
    counts = counted(torus(shape, CABLE))
    right = counts.cables, counts.diameter, counts.bisection_cables
    assert networks.fault_of_torus(right, shape) == ""


@pytest.mark.parametrize("case", networks.TREES[:3])
def test_a_fat_tree_has_these_counts(case):
    radix, ratio = case
    counts = counted(fat_tree(radix, CABLE, oversubscription=ratio))
    right = counts.devices, counts.switches, counts.cables
    assert networks.fault_of_tree(right, *case) == ""


def test_a_dragonfly_has_so_many_devices():
    small = dragonfly(
        routers_per_group=4, devices_per_router=2, global_cables=2, cable=CABLE
    )
    assert counted(small).devices == 4 * 2 * (4 * 2 + 1)


@pytest.mark.parametrize("case", networks.RAILS)
def test_messages_between_rails_go_as_in_the_graph(case):
    a, b, each, unit = case
    hosts = -(-(max(a, b) // each + 1) // unit) * unit
    network = rail_optimized(
        hosts=hosts,
        devices_per_host=each,
        spines=2,
        cable=CABLE,
        inside=CABLE,
        hosts_per_unit=unit,
    )
    leaves = [
        int(next(x for x in network[r] if "leaf" in x).split()[1]) for r in (a, b)
    ]
    others = set(range(hosts * each)) - {a, b}
    way = nx.shortest_path(network.subgraph(set(network) - others), a, b)
    tops = [
        name for name in ("spine", "leaf", "nvswitch") if name in " ".join(way[1:-1])
    ]
    answer = (*leaves, {"nvswitch": "nvlink"}.get(tops[0], tops[0]))
    assert networks.fault_of_rail(answer, *case) == ""
