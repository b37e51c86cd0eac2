"""Rings and trees that exist, share nothing, and are as many as there can be."""

from collections import Counter
from itertools import combinations, permutations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import machines, topology
from dlsys_code.architecture.detection import capture, detect
from dlsys_code.architecture.graph import Cable, connect, with_devices
from dlsys_code.architecture.search import (
    all_rings,
    binomial_tree,
    direct_links,
    disjoint_rings,
    hops,
)

NVLINK = Cable(bandwidth=25e9, kind="NVLink 2")
few = settings(max_examples=25, deadline=None, derandomize=True)


def with_single_links(network: nx.Graph) -> nx.Graph:
    single = network.copy()
    nx.set_edge_attributes(single, 1, "cables")
    return single


def used(rings: list[tuple[int, ...]]) -> Counter:
    return Counter(frozenset(hop) for ring in rings for hop in hops(ring))


def mesh_of(edges: set[tuple[int, int]], size: int) -> nx.Graph:
    network = with_devices([(rank,) for rank in range(size)])
    for a, b in edges:
        connect(network, a, b, NVLINK)
    return network


def test_a_complete_graph_has_every_order_once():
    rings = all_rings(mesh_of(set(combinations(range(6), 2)), 6))
    assert len(rings) == len(set(rings)) == 60  # 5! / 2
    assert all(ring[0] == 0 and ring[1] < ring[-1] for ring in rings)


@few
@given(edges=st.sets(st.sampled_from(list(combinations(range(6), 2)))))
def test_rings_are_those_of_a_search_through_all_orders(edges):
    network = mesh_of(edges, 6)
    orders = {(0, *rest) for rest in permutations(range(1, 6)) if rest[0] < rest[-1]}
    there = {ring for ring in orders if all(network.has_edge(*h) for h in hops(ring))}
    assert set(all_rings(network)) == there


def test_the_dgx_1_holds_three_rings_by_links():
    mesh = machines.cube_mesh(NVLINK)
    rings = disjoint_rings(mesh)
    assert len(rings) == 3
    cables = {frozenset((a, b)): n for a, b, n in mesh.edges(data="cables")}
    assert used(rings) == cables  # every cable is used, and none twice


def test_the_dgx_1_holds_two_rings_that_share_no_neighbours():
    rings = disjoint_rings(with_single_links(machines.cube_mesh(NVLINK)))
    assert len(rings) == 2
    assert set(used(rings).values()) == {1}


def test_double_links_of_the_dgx_1_are_one_ring_and_single_links_another():
    mesh = machines.cube_mesh(NVLINK)
    for cables, ring in ((2, (0, 3, 2, 1, 5, 6, 7, 4)), (1, (0, 1, 3, 7, 5, 4, 6, 2))):
        alike = [(a, b) for a, b, n in mesh.edges(data="cables") if n == cables]
        assert all_rings(mesh.edge_subgraph(alike)) == [ring]


def test_complete_graphs_fall_into_rings():
    # Walecki 1892: K_n of odd n is (n - 1) / 2 rings, of even n (n - 2) / 2 and a rest.
    for size in (3, 4, 5, 6, 7):
        network = mesh_of(set(combinations(range(size), 2)), size)
        assert len(disjoint_rings(network)) == (size - 1) // 2


@few
@given(
    edges=st.sets(st.sampled_from(list(combinations(range(5), 2)))),
    double=st.booleans(),
)
def test_no_more_rings_fit(edges, double):
    network = mesh_of(edges, 5)
    if double:
        nx.set_edge_attributes(network, 2, "cables")
    room = {frozenset((a, b)): n for a, b, n in network.edges(data="cables")}
    rings = all_rings(network)
    fits = [
        n
        for n in range(5)
        for some in combinations([*rings, *rings], n)
        if used(list(some)) <= Counter(room)
    ]
    assert len(disjoint_rings(network)) == max(fits)


def test_a_ring_of_double_links_counts_twice():
    square = topology.ring(4, NVLINK)
    nx.set_edge_attributes(square, 2, "cables")
    assert disjoint_rings(square) == [(0, 1, 2, 3)] * 2


def test_only_nvlinks_are_direct():
    text = capture("DGX-1").text
    pcie = Cable(bandwidth=12e9, kind="PCIe 3")
    whole = detect(text, nvlinks=6, nvlink=NVLINK, pcie=pcie, between_cpus=pcie)
    assert set(direct_links(whole)) == set(range(8))
    assert direct_links(whole).size(weight="cables") == 24
    assert direct_links(whole, "PCIe").size() == 0
    assert whole.size() == 33  # unchanged


@pytest.mark.parametrize("root", range(8))
def test_a_binomial_tree_of_the_dgx_1_from_every_root(root):
    mesh = machines.cube_mesh(NVLINK)
    have = {root}
    rounds = binomial_tree(mesh, root)
    for sent in rounds:
        assert {source for source, _ in sent} <= have
        assert all(mesh.has_edge(*pair) for pair in sent)
        targets = {target for _, target in sent}
        assert len(targets) == len(sent) == len(have)
        assert not targets & have
        have |= targets
    assert have == set(range(8))
    assert len(rounds) == 3


def test_a_binomial_tree_of_five_devices_has_an_unfilled_last_round():
    rounds = binomial_tree(mesh_of(set(combinations(range(5), 2)), 5), 0)
    assert [len(sent) for sent in rounds] == [1, 2, 1]


def test_a_ring_of_eight_has_no_binomial_tree():
    with pytest.raises(ValueError, match="no binomial tree from 0 over 8 links"):
        binomial_tree(topology.ring(8, NVLINK), 0)


def test_too_many_devices_are_refused():
    with pytest.raises(ValueError, match="up to 9 devices, not 10"):
        all_rings(topology.ring(10, NVLINK))


def test_a_cube_mesh_has_one_ring_of_doubled_and_one_of_single_links():
    mesh = machines.cube_mesh(NVLINK)
    rings = all_rings(mesh)
    widths = [{mesh.edges[hop]["cables"] for hop in hops(ring)} for ring in rings]
    assert len(rings) == 30
    assert [r for r, w in zip(rings, widths, strict=True) if w == {2}] == [
        (0, 3, 2, 1, 5, 6, 7, 4)
    ]
    assert [r for r, w in zip(rings, widths, strict=True) if w == {1}] == [
        (0, 1, 3, 7, 5, 4, 6, 2)
    ]
