"""Counts on graphs against closed formulas, and cuts against all cuts."""

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import counts, machines, topology
from dlsys_code.architecture.counts import (
    Counts,
    cables_by_kind,
    count,
    oversubscription,
)
from dlsys_code.architecture.graph import Cable
from dlsys_code.architecture.networks import dragonfly, rail_optimized

CABLE = Cable(bandwidth=50e9, kind="NDR")
THIN = Cable(bandwidth=25e9, kind="EDR")
few = settings(max_examples=20, deadline=None, derandomize=True)


def test_four_devices_on_a_ring_by_hand():
    assert count(topology.ring(4, CABLE)) == Counts(
        devices=4,
        switches=0,
        cables=4,
        diameter=2,
        bisection_cables=2,
        bisection_bandwidth=100e9,
    )


@few
@given(devices=st.integers(2, 200))
def test_a_ring_in_closed_form(devices):
    counted = count(topology.ring(devices, CABLE))
    assert counted.cables == devices
    assert counted.diameter == devices // 2
    assert counted.bisection_cables == 2


@few
@given(shape=st.lists(st.sampled_from([2, 4, 6]), min_size=1, max_size=3))
def test_an_even_torus_in_closed_form(shape):
    # Dally and Towles, chapter 5: 4 N / k channels, two of which are one cable here.
    counted = count(topology.torus(shape, CABLE))
    assert counted.diameter == sum(length // 2 for length in shape)
    assert counted.bisection_cables == 2 * counted.devices // max(shape)


@pytest.mark.parametrize("k", [4, 8, 12])
def test_a_fat_tree_has_full_bisection(k):
    counted = count(topology.fat_tree(k, CABLE))
    assert counted.diameter == 6
    assert counted.bisection_cables == counted.devices // 2 == k**3 // 8
    assert counted.bandwidth_per_device == 50e9


@few
@given(
    pairs=st.integers(1, 4), spines=st.integers(1, 4), ratio=st.sampled_from([1, 2, 3])
)
def test_oversubscription_divides_the_bisection(pairs, spines, ratio):
    counted = count(
        topology.spine_leaf(
            leaves=2 * pairs,
            spines=spines,
            devices_per_leaf=ratio * spines,
            cable=CABLE,
        )
    )
    assert counted.diameter == 4
    assert counted.cables == counted.devices * (1 + 1 / ratio)
    assert counted.bisection_cables == counted.devices // (2 * ratio)


@pytest.mark.parametrize("h", [1, 2, 3])
def test_a_balanced_dragonfly(h):
    counted = count(
        dragonfly(
            routers_per_group=2 * h, devices_per_router=h, global_cables=h, cable=CABLE
        )
    )
    g = 2 * h * h + 1
    assert counted.diameter == 5  # one local, one global, one local cable, two devices
    assert counted.devices == g * 2 * h * h
    assert counted.bisection_cables == (g * g - 1) // 4


def test_rails_have_full_bisection_between_hosts():
    network = rail_optimized(
        hosts=8, devices_per_host=4, spines=4, cable=CABLE, inside=THIN, links_inside=12
    )
    counted = count(network)
    assert counted.bisection_cables == 16
    assert cables_by_kind(network) == {"NDR": 32 + 16, "EDR": 32 * 12}


SMALL = {
    "ring of 9": topology.ring(9, CABLE),
    "torus 3 x 4": topology.torus((3, 4), CABLE),
    "torus 3 x 3": topology.torus((3, 3), CABLE),
    "torus 2 x 2 x 3": topology.torus((2, 2, 3), CABLE),
    "leaves of 4": topology.spine_leaf(
        leaves=3, spines=2, devices_per_leaf=4, cable=CABLE, uplink=THIN
    ),
    "five leaves": topology.spine_leaf(
        leaves=5, spines=2, devices_per_leaf=2, cable=CABLE, cables=2
    ),
    "dragonfly 2 2 1": dragonfly(
        routers_per_group=2, devices_per_router=2, global_cables=1, cable=CABLE
    ),
    "dragonfly 2 1 2": dragonfly(
        routers_per_group=2, devices_per_router=1, global_cables=2, cable=CABLE
    ),
    "two units of rails": rail_optimized(
        hosts=6,
        devices_per_host=2,
        hosts_per_unit=3,
        spines=2,
        cable=CABLE,
        inside=THIN,
    ),
    "a PCIe tree": machines.pcie_tree(
        sockets=2,
        switches_per_socket=2,
        devices_per_switch=3,
        pcie=CABLE,
        between_sockets=THIN,
    ),
    "NVSwitches": machines.nvswitch_node(
        devices=10, switches=3, links_per_device=7, nvlink=CABLE
    ),
}


@pytest.mark.parametrize("weight", ["cables", "bandwidth"])
@pytest.mark.parametrize("name", SMALL)
def test_the_cut_along_a_coordinate_is_the_best_of_all(monkeypatch, name, weight):
    along = counts.bisection(SMALL[name], weight)
    monkeypatch.setattr(counts, "FEW", 12)
    assert along == counts.bisection(SMALL[name], weight)


def test_bandwidths_without_a_common_measure_are_cut_nearly_as_exactly():
    odd = Cable(bandwidth=25.781e9 + 1 / 3)
    counted = count(topology.ring(6, odd))
    assert counted.bisection_bandwidth == pytest.approx(2 * odd.bandwidth, rel=1e-6)


def test_a_cut_may_go_through_devices_own_cables():
    # All three devices of a half are cheaper to cut off than the fat link above them.
    network = topology.spine_leaf(
        leaves=2, spines=1, devices_per_leaf=3, cable=CABLE, cables=8
    )
    assert count(network).bisection_cables == 3


def test_a_network_in_two_parts_is_not_counted():
    network = topology.ring(6, CABLE)
    network.remove_edges_from([(0, 1), (3, 4)])
    with pytest.raises(ValueError, match=r"reaches 3 of 6 devices, not \[1, 2, 3\]"):
        count(network)


def test_one_device_has_no_bisection():
    alone = nx.Graph()
    alone.add_node(0, kind="device", tier=0, place=(0,))
    with pytest.raises(ValueError, match="1 device has no halves"):
        count(alone)


@few
@given(spines=st.integers(1, 4), devices=st.integers(1, 6), side=st.integers(1, 2))
def test_oversubscription_is_down_over_up(spines, devices, side):
    network = topology.spine_leaf(
        leaves=2, spines=spines, devices_per_leaf=devices, cable=CABLE, cables=side
    )
    assert oversubscription(network) == pytest.approx(devices / (spines * side))
    uplink = Cable(bandwidth=100e9, kind="XDR")
    faster = topology.spine_leaf(
        leaves=2, spines=spines, devices_per_leaf=devices, cable=CABLE, uplink=uplink
    )
    assert oversubscription(faster) == pytest.approx(devices / (2 * spines))


def test_a_fat_tree_is_oversubscribed_at_its_leaves_only():
    assert oversubscription(topology.fat_tree(8, CABLE)) == 1
    assert oversubscription(topology.fat_tree(8, CABLE, oversubscription=3)) == 3


def test_no_oversubscription_without_switches_or_above_the_top():
    with pytest.raises(ValueError, match="without leaves"):
        oversubscription(topology.ring(4, CABLE))
    flat = dragonfly(
        routers_per_group=2, devices_per_router=1, global_cables=1, cable=CABLE
    )
    with pytest.raises(ValueError, match="router 0 has no switch above"):
        oversubscription(flat)


def test_the_worst_leaf_decides():
    network = topology.spine_leaf(leaves=3, spines=2, devices_per_leaf=2, cable=CABLE)
    assert oversubscription(network) == 1
    network.remove_edge("leaf 1", "spine 0")
    assert oversubscription(network) == 2
