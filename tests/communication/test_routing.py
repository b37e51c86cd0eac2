"""Routes against the shortest paths of networkx, and the three ways to choose."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.graph import Cable, connect
from dlsys_code.architecture.networks import rail_optimized
from dlsys_code.architecture.topology import fat_tree, torus
from dlsys_code.communication.directed_links import Links
from dlsys_code.communication.routing import (
    ecmp,
    find_routes,
    scramble,
    shortest,
    spray,
)

CABLE = Cable(bandwidth=1e9, latency_s=1e-6)
CHOICES = {"shortest": shortest, "ecmp": ecmp(7), "spray": spray}


@st.composite
def networks(draw) -> nx.Graph:
    """Up to 6 devices that hang on up to 5 switches, joined at random."""
    switches = draw(st.integers(1, 5))
    network = nx.Graph()
    for device in range(draw(st.integers(2, 6))):
        connect(network, device, f"leaf {draw(st.integers(0, switches - 1))}", CABLE)
    for i in range(1, switches):
        connect(network, f"leaf {i}", f"leaf {draw(st.integers(0, i - 1))}", CABLE)
    for a, b in draw(st.lists(st.tuples(*[st.integers(0, switches - 1)] * 2))):
        if a != b and not network.has_edge(f"leaf {a}", f"leaf {b}"):
            connect(network, f"leaf {a}", f"leaf {b}", CABLE)
    return network


def routes_between(network: nx.Graph, pairs: list[tuple[int, int]], choose):
    """The links, and for each pair {(from, to): part}."""
    links = Links.of(network)
    number = {node: i for i, node in enumerate(links.nodes)}
    ends = np.array([[number[a], number[b]] for a, b in pairs]).T
    flow, link, part = find_routes(links, *ends, choose)
    names = links.names()
    found = [{} for _ in pairs]
    for f, i, p in zip(flow, link, part, strict=True):
        found[f][names[i]] = float(p)
    return found


@pytest.mark.parametrize("name", CHOICES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(network=networks())
def test_what_comes_in_goes_out_on_shortest_ways_only(name, network):
    devices = [node for node in network if isinstance(node, int)]
    pairs = [(a, b) for a in devices for b in devices if a != b]
    routes = routes_between(network, pairs, CHOICES[name])
    for (a, b), route in zip(pairs, routes, strict=True):
        length = nx.shortest_path_length(network, a, b)
        assert sum(route.values()) == pytest.approx(length)
        for node in network:
            out = sum(part for (u, _), part in route.items() if u == node)
            into = sum(part for (_, v), part in route.items() if v == node)
            assert out - into == pytest.approx((node == a) - (node == b))
        if name != "spray":
            assert set(route.values()) == {1.0} and len(route) == length


def test_spray_uses_all_shortest_paths_of_a_fat_tree_alike():
    network = fat_tree(4, CABLE)
    (route,) = routes_between(network, [(0, 15)], spray)
    paths = list(nx.all_shortest_paths(network, 0, 15))
    assert len(paths) == 4
    expected = {}
    for path in paths:
        for hop in nx.utils.pairwise(path):
            expected[hop] = expected.get(hop, 0) + 1 / 4
    assert route == expected


def test_a_hash_is_fixed_by_its_seed_and_uses_every_way():
    network = fat_tree(8, CABLE)
    pairs = [(a, b) for a in range(16) for b in range(64, 128)]
    one, again, other = (
        routes_between(network, pairs, ecmp(seed)) for seed in (1, 1, 2)
    )
    assert one == again != other
    used = Counter(
        head for route in one for _, head in route if str(head).startswith("core")
    )
    # 1,024 flows on 16 cores: 64 each, give or take five standard deviations.
    assert len(used) == 16
    assert all(abs(n - 64) < 5 * np.sqrt(64 * 15 / 16) for n in used.values())


def test_the_scrambler_is_splitmix():
    assert [hex(x) for x in scramble(np.array([0], dtype=np.uint64))] == [
        "0xe220a8397b1dcdaf"
    ]


def test_devices_do_not_forward_where_switches_can():
    network = rail_optimized(
        hosts=2, devices_per_host=2, spines=1, cable=CABLE, inside=CABLE
    )
    # By hops, 0 - NVSwitch - 1 - leaf 1 - 3 is as short, but device 1 would forward.
    for choose in CHOICES.values():
        (route,) = routes_between(network, [(0, 3)], choose)
        assert list(route) == [
            (0, "leaf 0"),
            ("leaf 0", "spine 0"),
            ("spine 0", "leaf 1"),
            ("leaf 1", 3),
        ]


def test_devices_forward_where_there_is_no_other_way():
    network = torus((4,), CABLE)
    assert routes_between(network, [(0, 2)], spray) == [
        {(0, 1): 0.5, (1, 2): 0.5, (0, 3): 0.5, (3, 2): 0.5}
    ]


def test_no_way_is_an_error_that_names_the_ends():
    network = nx.union(
        torus((2,), CABLE), nx.relabel_nodes(torus((2,), CABLE), {0: 2, 1: 3})
    )
    with pytest.raises(ValueError, match="no way from 1 to 2"):
        routes_between(network, [(0, 1), (1, 2)], shortest)
