"""Pictures of networks: everything is drawn, apart from each other, and repeatably."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations

import networkx as nx
import numpy as np
import pytest

from dlsys_code.architecture import machines, topology
from dlsys_code.architecture.detection import captures, detect
from dlsys_code.architecture.graph import Cable
from dlsys_code.architecture.networks import dragonfly, rail_optimized
from dlsys_code.architecture.search import disjoint_rings, hops
from dlsys_code.book.layouts import layout
from dlsys_code.book.networks import draw_network

ALT = "一张网络图，圆圈是设备，方块是交换机"
CABLE = Cable(bandwidth=50e9, kind="NDR")
NVLINK = Cable(bandwidth=25e9, kind="NVLink 2")
MESH = machines.cube_mesh(NVLINK)
NETWORKS = {
    "ring": topology.ring(8, CABLE),
    "torus": topology.torus((4, 3), CABLE),
    "torus in depth": topology.torus((3, 3, 3), CABLE),
    "fat-tree": topology.fat_tree(4, CABLE),
    "rails": rail_optimized(
        hosts=4, devices_per_host=4, spines=2, cable=CABLE, inside=NVLINK
    ),
    "dragonfly": dragonfly(
        routers_per_group=4, devices_per_router=2, global_cables=1, cable=CABLE
    ),
    "cube mesh": MESH,
    "NVSwitches": machines.dgx_a100(NVLINK),
} | {
    row.name: detect(
        row.text, nvlinks=row.nvlinks, nvlink=NVLINK, pcie=CABLE, between_cpus=CABLE
    )
    for row in captures()
}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_nodes_stand_in_the_same_place(name):
    places = layout(NETWORKS[name]).places
    assert set(places) == set(NETWORKS[name])
    for (_, a), (_, b) in combinations(places.items(), 2):
        assert np.hypot(a[0] - b[0], a[1] - b[1]) > 0.05


@pytest.mark.parametrize("name", NETWORKS)
def test_no_line_runs_through_a_third_node(name):
    graph = NETWORKS[name]
    placed = layout(graph)
    for a, b in graph.edges:
        line = placed.line(a, b)
        assert line[0] == pytest.approx(placed.places[a])
        assert line[-1] == pytest.approx(placed.places[b])
        others = np.array([placed.places[node] for node in set(graph) - {a, b}])
        middle = line[len(line) // 2] if len(line) > 2 else line.mean(axis=0)
        if np.isnan(middle).any():  # only the ends are drawn
            middle = line[1]
        assert np.hypot(*(others - middle).T).min() > 0.02


def test_devices_on_a_circle_stand_in_the_order_that_is_given():
    ring = (0, 3, 2, 1, 5, 6, 7, 4)
    places = layout(MESH, ring).places
    steps = [np.hypot(*np.subtract(places[a], places[b])) for a, b in hops(ring)]
    assert steps == pytest.approx([steps[0]] * 8)
    assert steps[0] < np.hypot(*np.subtract(places[0], places[7]))


def test_ends_of_a_torus_in_depth_point_away_from_each_other():
    placed = layout(NETWORKS["torus in depth"])
    line = placed.line(0, 2)
    assert np.isnan(line[2]).all()
    assert line[1] - line[0] == pytest.approx(line[4] - line[3])
    assert (line[1] - line[0]) @ (line[4] - line[0]) < 0


def test_lines_side_by_side_are_parallel():
    placed = layout(MESH)
    left, middle, right = (placed.line(0, 3, aside) for aside in (-1, 0, 1))
    assert left + right == pytest.approx(2 * middle)
    assert np.abs(left - middle).max() > 0.01


def test_a_nic_stands_beside_its_device():
    tree = machines.pcie_tree(
        sockets=2,
        switches_per_socket=1,
        devices_per_switch=2,
        nics_per_switch=1,
        pcie=CABLE,
        between_sockets=CABLE,
    )
    places = layout(tree).places
    row = sorted((node for node, at in places.items() if at[1] == 0), key=places.get)
    assert row == [0, 1, "nic 0", 2, 3, "nic 1"]


@pytest.mark.parametrize("name", ["cube mesh", "rails", "DGX-1", "dragonfly"])
def test_a_picture_is_the_same_from_run_to_run(name):
    first, second = (draw_network(NETWORKS[name], alt=ALT) for _ in range(2))
    assert first.svg == second.svg
    title = ElementTree.fromstring(first.svg).find("{http://www.w3.org/2000/svg}title")
    assert title.text == ALT


def strokes(svg: str, colour: str) -> int:
    return svg.lower().count(f"stroke: {colour}")


def test_every_link_is_a_line_and_every_hop_a_mark():
    plain = draw_network(MESH, alt=ALT).svg
    assert strokes(plain, "#0072b2") == 16 + 2  # and two in the legend
    rings = disjoint_rings(MESH)
    marked = {f"ring {i}": hops(ring) for i, ring in enumerate(rings)}
    drawn = draw_network(MESH, alt=ALT, marked=marked).svg
    for colour in ("#0072b2", "#d55e00", "#009e73"):
        assert strokes(drawn, colour) == 8 + 1


def test_the_heavier_direction_of_a_link_counts():
    ring = NETWORKS["ring"]
    one = draw_network(ring, alt=ALT, loads={(0, 1): 3.0, (1, 0): 1.0, (1, 2): 1.5}).svg
    other = draw_network(ring, alt=ALT, loads={(1, 0): 3.0, (1, 2): 1.5}).svg
    assert one == other
    assert one != draw_network(ring, alt=ALT, loads={(1, 0): 3.0, (1, 2): 3.0}).svg


def test_no_load_at_all_is_drawn_too():
    assert draw_network(NETWORKS["ring"], alt=ALT, loads={(0, 1): 0.0}).svg


def test_marks_and_loads_on_links_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="no link 0 - 7"):
        draw_network(MESH, alt=ALT, marked={"ring": [(0, 1), (0, 7)]})
    with pytest.raises(ValueError, match="no link 3 - leaf 9"):
        draw_network(NETWORKS["fat-tree"], alt=ALT, loads={(3, "leaf 9"): 1.0})


def test_more_marks_than_colours_are_refused():
    many = {str(i): [(0, 1)] for i in range(7)}
    with pytest.raises(ValueError, match="6 marks can be told apart, not 7"):
        draw_network(MESH, alt=ALT, marked=many)


def test_a_network_in_parts_can_be_drawn():
    parted = nx.Graph(NETWORKS["ring"])
    parted.remove_edges_from(list(parted.edges))
    assert draw_network(parted, alt=ALT).svg
