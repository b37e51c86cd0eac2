"""Machines against what their makers say of them."""

import networkx as nx
import pytest

from dlsys_code.architecture import machines
from dlsys_code.architecture.counts import count, oversubscription
from dlsys_code.architecture.graph import Cable, check

NVLINK = Cable(bandwidth=25e9, kind="NVLink 2")
PCIE = Cable(bandwidth=12e9, kind="PCIe 3")
QPI = Cable(bandwidth=6e9, kind="QPI")


def tree(**changed: int) -> nx.Graph:
    shape = {"sockets": 2, "switches_per_socket": 2, "devices_per_switch": 2}
    shape |= {"nics_per_switch": 1, **changed}
    return machines.pcie_tree(pcie=PCIE, between_sockets=QPI, **shape)


def test_the_cube_mesh_has_six_links_a_device():
    mesh = machines.cube_mesh(NVLINK)
    check(mesh)
    assert {n for _, n in mesh.degree(weight="cables")} == {6}
    assert {n for _, n in mesh.degree()} == {4}
    counted = count(mesh)
    assert (counted.cables, counted.diameter, counted.bisection_cables) == (24, 2, 6)


def test_the_cube_mesh_is_a_cube_with_two_diagonals_on_two_faces():
    # "a cube with GPUs at its corners, all twelve edges connected through NVLink, and
    # two of the six faces having their diagonals connected as well"
    mesh = machines.cube_mesh(NVLINK)
    mesh.remove_edges_from([(0, 3), (1, 2), (4, 7), (5, 6)])
    assert nx.is_isomorphic(mesh, nx.hypercube_graph(3))


@pytest.mark.parametrize(
    ("machine", "devices", "switches", "bandwidth"),
    [
        # device to the switches, one direction: 300, 450 and 900 GB/s
        (machines.dgx_a100(Cable(bandwidth=25e9)), 8, 6, 300e9),
        (machines.dgx_h100(Cable(bandwidth=25e9)), 8, 4, 450e9),
        (machines.nvl72(Cable(bandwidth=50e9)), 72, 18, 900e9),
    ],
)
def test_nvswitches_leave_every_device_all_its_links(
    machine, devices, switches, bandwidth
):
    check(machine)
    counted = count(machine)
    assert (counted.devices, counted.switches) == (devices, switches)
    assert counted.diameter == 2
    assert machine.degree(0, weight="bandwidth") == bandwidth
    assert counted.bandwidth_per_device == bandwidth


def test_a_switch_of_the_nvl72_has_72_ports():
    rack = machines.nvl72(Cable(bandwidth=50e9))
    ports = {n for v, n in rack.degree(weight="cables") if isinstance(v, str)}
    assert ports == {72}
    assert sum(n for _, n in rack.degree(range(72), weight="bandwidth")) == 64.8e12


def test_links_of_an_h100_go_out_as_evenly_as_they_can():
    node = machines.dgx_h100(NVLINK)
    assert sorted(d["cables"] for d in node[0].values()) == [4, 4, 5, 5]


def test_a_pcie_tree_is_a_tree():
    network = tree()
    check(network)
    assert nx.is_tree(network)
    assert count(network).diameter == 5
    assert count(network).bisection_bandwidth == 6e9
    assert nx.shortest_path(network, 0, 7) == [
        0, "pcie 0", "cpu 0", "cpu 1", "pcie 3", 7,
    ]  # fmt: skip
    assert network.nodes["nic 3"]["kind"] == "nic"
    assert set(network["pcie 3"]) == {6, 7, "nic 3", "cpu 1"}


@pytest.mark.parametrize(
    "changed", [{"sockets": 0}, {"devices_per_switch": 0}, {"nics_per_switch": -1}]
)
def test_machines_without_devices_are_refused(changed):
    with pytest.raises(ValueError, match="make no machine"):
        tree(**changed)


def test_fewer_links_than_switches_are_refused():
    with pytest.raises(ValueError, match="8 devices cannot join 6 switches by 4 links"):
        machines.nvswitch_node(devices=8, switches=6, links_per_device=4, nvlink=NVLINK)


def test_a_cloudmatrix_is_as_its_paper_has_it():
    # Zuo et al. 2025, section 3: 7 switches in each of 48 hosts, 7 x 16 above them,
    # 392 GB/s a device, not oversubscribed.
    network = machines.cloudmatrix384(Cable(bandwidth=28e9, kind="UB"))
    check(network)
    counted = count(network)
    assert (counted.devices, counted.switches) == (384, 7 * 48 + 7 * 16)
    assert counted.bandwidth_per_device == 392e9
    assert oversubscription(network) == 1
    on_boards, above = 384 * 14, 7 * 48 * 16
    assert counted.cables == on_boards + above
    assert {network.degree(f"spine {i}", weight="cables") for i in range(112)} == {48}
