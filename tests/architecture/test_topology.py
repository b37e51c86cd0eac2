"""Regular networks, held against the numbers in the works that describe them."""

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import topology
from dlsys_code.architecture.graph import Cable, check, endpoints

CABLE = Cable(bandwidth=50e9, latency_s=1e-6, kind="NDR")
few = settings(max_examples=25, deadline=None, derandomize=True)


def cables(network: nx.Graph) -> int:
    return network.size(weight="cables")


def ports(network: nx.Graph) -> set[int]:
    """How many cables end in the switches."""
    return {n for node, n in network.degree(weight="cables") if isinstance(node, str)}


@few
@given(devices=st.integers(2, 60))
def test_a_ring_is_a_cycle(devices):
    network = topology.ring(devices, CABLE)
    assert cables(network) == devices
    assert {n for _, n in network.degree(weight="cables")} == {2}
    check(network)


@few
@given(shape=st.lists(st.integers(2, 5), min_size=1, max_size=3))
def test_a_torus_has_two_cables_a_dimension_at_every_device(shape):
    network = topology.torus(shape, CABLE)
    assert {n for _, n in network.degree(weight="cables")} == {2 * len(shape)}
    check(network)


def test_ranks_of_a_torus_count_the_last_dimension_fastest():
    network = topology.torus((2, 3), CABLE)
    assert nx.get_node_attributes(network, "place")[4] == (1, 1)
    assert sorted(network[0]) == [1, 2, 3]
    assert network.edges[0, 3]["cables"] == 2  # forwards and backwards meet


@pytest.mark.parametrize("k", [2, 4, 6, 8, 24])
def test_the_fat_tree_of_al_fares(k):
    # SIGCOMM 2008, section 2.2: k pods, (k/2)^2 cores, 5 k^2 / 4 switches, k^3/4 hosts.
    network = topology.fat_tree(k, CABLE)
    names = [node.split()[0] for node in network if isinstance(node, str)]
    assert len(endpoints(network)) == k**3 // 4
    assert len(names) == 5 * k**2 // 4
    assert names.count("core") == (k // 2) ** 2
    assert names.count("leaf") == names.count("spine") == k**2 // 2
    assert cables(network) == 3 * k**3 // 4
    assert ports(network) == {k}
    check(network)


@few
@given(half=st.integers(1, 6))
def test_two_levels_of_switches(half):
    k = 2 * half
    network = topology.fat_tree(k, CABLE, levels=2)
    assert len(endpoints(network)) == k**2 // 2
    assert len(network) - len(endpoints(network)) == 3 * k // 2
    assert ports(network) == {k}


@pytest.mark.parametrize("levels", [2, 3])
def test_oversubscription_takes_ports_from_the_spines(levels):
    network = topology.fat_tree(8, CABLE, levels=levels, oversubscription=3)
    down = [a for a, _, _ in network.edges("leaf 0", data=True)]
    leaf = network["leaf 0"]
    assert sum(isinstance(node, int) for node in leaf) == 6
    assert sum(isinstance(node, str) for node in leaf) == 2
    assert len(down) == 8
    assert ports(network) == {8}


def test_two_devices_of_a_pod_share_a_spine_and_two_of_pods_a_core():
    network = topology.fat_tree(4, CABLE)
    assert nx.shortest_path_length(network, 0, 1) == 2
    assert nx.shortest_path_length(network, 0, 2) == 4
    assert nx.shortest_path_length(network, 0, 4) == 6
    # (k/2)^2 ways between pods, k/2 inside one
    assert len(list(nx.all_shortest_paths(network, 0, 4))) == 4
    assert len(list(nx.all_shortest_paths(network, 0, 2))) == 2


@pytest.mark.parametrize("radix", [0, -2, 3, 5])
def test_ports_that_cannot_be_halved_are_refused(radix):
    with pytest.raises(ValueError, match=f"the {radix} ports .* 1 to 1"):
        topology.fat_tree(radix, CABLE)


def test_ports_that_cannot_be_shared_so_are_refused():
    with pytest.raises(ValueError, match="the 8 ports .* 2 to 1"):
        topology.fat_tree(8, CABLE, oversubscription=2)
    with pytest.raises(ValueError, match="the 8 ports .* 0 to 1"):
        topology.fat_tree(8, CABLE, oversubscription=0)


def test_an_odd_number_of_ports_cannot_be_halved_above_the_leaves():
    with pytest.raises(ValueError, match="the 9 ports .* 2 to 1"):
        topology.fat_tree(9, CABLE, oversubscription=2)


@pytest.mark.parametrize("levels", [1, 4])
def test_other_numbers_of_levels_are_refused(levels):
    with pytest.raises(ValueError, match=f"2 or 3 levels here, not {levels}"):
        topology.fat_tree(4, CABLE, levels=levels)


def test_shapes_too_small_are_refused():
    with pytest.raises(ValueError, match=r"at least 2 devices a dimension, not \(1,\)"):
        topology.ring(1, CABLE)
    with pytest.raises(ValueError, match=r"not \(4, 0\)"):
        topology.torus((4, 0), CABLE)
    with pytest.raises(ValueError, match="0 spines"):
        topology.spine_leaf(leaves=2, spines=0, devices_per_leaf=2, cable=CABLE)
