"""What an order of the devices costs, by hand, by search and against measurements."""

from functools import cache
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture import machines, topology
from dlsys_code.architecture.detection import capture, detect
from dlsys_code.architecture.graph import Cable, connect
from dlsys_code.architecture.networks import rail_optimized
from dlsys_code.architecture.orders import (
    best_ring,
    loads,
    ring_bandwidth,
    shares,
    through_hosts,
)
from dlsys_code.architecture.search import direct_links, disjoint_rings, hops

# What NCCL expects of a link [bytes/s], in src/graph/topo.h.
NVLINK = Cable(bandwidth=20e9, kind="NVLink 2")
PCIE = Cable(bandwidth=12e9, kind="PCIe 3")
QPI = Cable(bandwidth=6e9, kind="QPI")
SLOW = Cable(bandwidth=8e9)  # less than a PCIe slot, more than half of one
TREE = machines.pcie_tree(
    sockets=2,
    switches_per_socket=2,
    devices_per_switch=2,
    pcie=PCIE,
    between_sockets=QPI,
)
IN_TURN = tuple(range(8))
DGX1 = detect(
    capture("DGX-1").text, nvlinks=6, nvlink=NVLINK, pcie=PCIE, between_cpus=QPI
)


def test_three_rings_of_the_dgx_1_carry_all_six_links():
    rings = disjoint_rings(direct_links(DGX1))
    assert ring_bandwidth(DGX1, rings) == 6 * 20e9
    assert set(loads(DGX1, rings).values()) == {1, 2}  # as many as cables


def test_in_the_order_of_the_ranks_the_dgx_1_waits_for_the_sockets():
    assert ring_bandwidth(DGX1, [IN_TURN]) == 6e9
    assert best_ring(DGX1) == (0, 3, 2, 1, 5, 6, 7, 4)  # the double links
    assert ring_bandwidth(DGX1, [best_ring(DGX1)]) == 4 * 20e9


def test_a_ring_to_and_fro_between_sockets_crosses_eight_times():
    assert loads(TREE, [IN_TURN])["cpu 0", "cpu 1"] == 2
    assert loads(TREE, [(0, 4, 1, 5, 2, 6, 3, 7)])["cpu 0", "cpu 1"] == 8
    assert ring_bandwidth(TREE, [IN_TURN]) == 6e9
    assert ring_bandwidth(TREE, [(0, 4, 1, 5, 2, 6, 3, 7)]) == 1.5e9


@cache
def best_of_tree() -> float:
    return ring_bandwidth(TREE, [best_ring(TREE)])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(ring=st.permutations(range(8)).map(tuple))
def test_no_order_of_the_tree_beats_the_one_that_is_found(ring):
    assert ring_bandwidth(TREE, [ring]) <= best_of_tree()
    crossings = sum((a < 4) != (b < 4) for a, b in hops(ring))
    assert loads(TREE, [ring])["cpu 1", "cpu 0"] == crossings


@settings(max_examples=12, deadline=None, derandomize=True)
@given(linked=st.sets(st.sampled_from(list(combinations(range(5), 2)))))
def test_no_order_of_five_beats_the_one_that_is_found(linked):
    machine = machines.pcie_tree(
        sockets=1,
        switches_per_socket=5,
        devices_per_switch=1,
        pcie=PCIE,
        between_sockets=QPI,
    )
    for a, b in linked:
        connect(machine, a, b, SLOW)
    orders = [(0, *rest) for rest in permutations(range(1, 5))]
    best = max(ring_bandwidth(machine, [ring]) for ring in orders)
    assert ring_bandwidth(machine, [best_ring(machine)]) == pytest.approx(best)


def test_a_way_through_several_switches_is_shared_by_their_links():
    node = machines.dgx_h100(NVLINK)
    part = shares(node, 0, 7)
    assert part[0, "nvswitch 0"] == part["nvswitch 0", 7] == pytest.approx(5 / 18)
    assert part[0, "nvswitch 3"] == pytest.approx(4 / 18)
    assert sum(part.values()) == pytest.approx(2)


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5])
def test_behind_nvswitches_every_order_is_as_good(order):
    node = machines.nvswitch_node(
        devices=4, switches=2, links_per_device=6, nvlink=NVLINK
    )
    assert ring_bandwidth(node, [order]) == pytest.approx(6 * 20e9)


def test_an_h100_node_as_measured():
    # NVIDIA/nccl issue 1455: 365 to 370 GB/s with NCCL_ALGO=RING on 8 H100.
    nvlink = Cable(bandwidth=20.6e9)  # SM90_NVLINK_BW
    assert ring_bandwidth(machines.dgx_h100(nvlink), [IN_TURN]) == pytest.approx(
        370.8e9
    )


def test_two_and_three_bridged_a100_as_measured():
    # NVIDIA/nccl-tests issue 178: 208 GB/s for two GPUs, 20 GB/s for three.
    machine = detect(
        capture("8 x A100, bridged in pairs").text,
        nvlinks=12,
        nvlink=NVLINK,
        pcie=Cable(bandwidth=24e9, kind="PCIe 4"),  # twice PCI_BW
        between_cpus=QPI,
    )
    two, three = (
        machine.subgraph(set(machine) - set(range(gpus, 8))) for gpus in (2, 3)
    )
    assert ring_bandwidth(two, [best_ring(two)]) == 240e9
    assert ring_bandwidth(three, [best_ring(three)]) == 24e9


@pytest.mark.parametrize("hosts", [2, 4, 6])
def test_a_ring_through_hosts_stays_on_its_rails(hosts):
    inside = (0, 3, 2, 1)
    network = rail_optimized(
        hosts=hosts, devices_per_host=4, spines=1, cable=PCIE, inside=NVLINK
    )
    ring = through_hosts(inside, hosts)
    assert sorted(ring) == list(range(4 * hosts))
    crossing = [(a, b) for a, b in hops(ring) if a // 4 != b // 4]
    assert len(crossing) == hosts
    assert all(a % 4 == b % 4 for a, b in crossing)
    assert not any("spine 0" in link for link in loads(network, [ring]))


@pytest.mark.parametrize("hosts", [1, 3])
def test_an_odd_number_of_hosts_is_refused(hosts):
    with pytest.raises(ValueError, match=f"even in number, not {hosts}"):
        through_hosts((0, 1), hosts)


def test_devices_do_not_forward():
    with pytest.raises(ValueError, match="no way from 0 to 2 that passes no other"):
        ring_bandwidth(topology.ring(4, NVLINK), [(0, 2, 1, 3)])


def test_too_many_devices_are_refused():
    with pytest.raises(ValueError, match="up to 9 devices, not 16"):
        best_ring(topology.ring(16, NVLINK))
