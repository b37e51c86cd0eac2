"""The wiring of planes: a dot for every port, a bar for every plane."""

import xml.etree.ElementTree as ElementTree

import pytest

from dlsys_code.architecture.graph import Cable
from dlsys_code.architecture.planes import Plane, planes
from dlsys_code.book.drawing import CYCLE
from dlsys_code.book.plane_chart import draw_planes

ALT = "两台主机和两个平面，每个端口是一条线，末端的圆点在自己的平面上"
FAST, SLOW = (Cable(bandwidth=n * 1e9, kind=f"{n} GB/s") for n in (50, 1))
PLAN = {
    "compute": Plane(ports=3, cable=FAST, hosts_per_unit=2, spines=1),
    "service": Plane(ports=1, cable=SLOW, hosts_per_unit=4),
}
NETWORKS = planes(PLAN, 4)


def test_a_port_is_a_line_in_the_colour_of_its_plane():
    drawn = draw_planes(NETWORKS, alt=ALT, shown=2)
    assert drawn.svg == draw_planes(NETWORKS, alt=ALT, shown=2).svg
    root = ElementTree.fromstring(drawn.svg)
    styles = [element.get("style", "") for element in root.iter()]
    for plane, colour in zip(PLAN.values(), CYCLE, strict=False):
        lines = [s for s in styles if f"stroke: {colour.lower()}" in s and "none" in s]
        wires = [s for s in lines if "stroke-width: 1.2" in s]
        assert len(wires) == 2 * plane.ports
    for text in ("compute", "3 x 50 GB/s", "7 switches", "1 switch", "host 1"):
        assert f"<!-- {text}" in drawn.svg or f"\n{text}" in drawn.svg
    assert "host 2" not in drawn.svg


def test_too_many_hosts_and_planes_are_refused():
    with pytest.raises(ValueError, match="5 hosts cannot be drawn where a plane has 4"):
        draw_planes(NETWORKS, alt=ALT, shown=5)
    many = {str(i): NETWORKS["service"] for i in range(7)}
    with pytest.raises(ValueError, match="6 planes can be told apart, not 7"):
        draw_planes(many, alt=ALT)
