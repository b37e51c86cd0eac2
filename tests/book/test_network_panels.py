"""Small networks side by side: named, counted, and the same on every run."""

import pytest

from dlsys_code.architecture import machines, topology
from dlsys_code.architecture.counts import count
from dlsys_code.architecture.graph import Cable
from dlsys_code.book.network_panels import draw_networks, said

ALT = "三张小网络并排，圆圈是设备，方块是交换机"
NDR = Cable(bandwidth=50e9, kind="NDR")
NVLINK = Cable(bandwidth=50e9, kind="NVLink 5")
SMALL = {
    "circle of eight": topology.ring(8, NDR),
    "tree of four ports": topology.fat_tree(4, NDR),
    "one box": machines.nvswitch_node(
        devices=4, switches=2, links_per_device=2, nvlink=NVLINK
    ),
}


def test_a_panel_is_named_and_counted():
    drawn = draw_networks(SMALL, alt=ALT)
    assert drawn.svg == draw_networks(SMALL, alt=ALT).svg
    for name, graph in SMALL.items():
        counted = count(graph)
        assert f"<!-- {name} -->" in drawn.svg
        first, second = said(graph).splitlines()
        assert f"<!-- {first} -->" in drawn.svg
        assert f"<!-- {second} -->" in drawn.svg
        for number in (counted.devices, counted.switches, counted.cables):
            assert str(number) in first.replace(",", "").split()
        assert str(counted.bisection_cables) in second.split()


def test_a_kind_of_link_has_one_colour_in_all_panels():
    drawn = draw_networks(SMALL, alt=ALT).svg
    box = SMALL["one box"]
    in_legend = 1
    assert drawn.count("stroke: #d55e00") == box.number_of_edges() + in_legend
    alone = draw_networks({"one box": box}, alt=ALT).svg
    assert "#d55e00" not in alone  # the only kind takes the first colour


def test_the_devices_of_a_rack_stand_on_a_common_ground():
    tree = {"tree": SMALL["tree of four ports"]}
    pods_leaves = 8
    assert draw_networks(tree, alt=ALT).svg.count("fill: #e6e4dc") == pods_leaves
    assert (
        "fill: #e6e4dc"
        not in draw_networks({"ring": SMALL["circle of eight"]}, alt=ALT).svg
    )


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="no network"):
        draw_networks({}, alt=ALT)
