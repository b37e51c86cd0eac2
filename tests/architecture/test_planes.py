"""Network planes: ports, leaves, spines and cables in closed form."""

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.counts import count, oversubscription
from dlsys_code.architecture.graph import Cable, check, endpoints
from dlsys_code.architecture.planes import Plane, planes, ports, wire

CABLE = Cable(bandwidth=50e9, kind="400 Gbit/s")
few = settings(max_examples=25, deadline=None, derandomize=True)
numbers = {
    "units": st.integers(1, 3),
    "each": st.integers(1, 4),
    "p": st.integers(1, 4),
    "s": st.integers(1, 3),
    "side": st.integers(1, 2),
}


@few
@given(**numbers)
def test_a_plane_in_closed_form(units, each, p, s, side):
    plane = Plane(ports=p, cable=CABLE, hosts_per_unit=each, spines=s, cables=side)
    network = wire(plane, units * each)
    check(network)
    switches = [node for node in network if isinstance(node, str)]
    assert len(switches) == units * p + s
    cables = sum(n for _, _, n in network.edges(data="cables"))
    assert cables == units * each * p + units * p * s * side
    assert {ports(network, host) for host in endpoints(network)} == {p}
    assert plane.bandwidth_per_host == p * 50e9


@few
@given(**numbers)
def test_a_host_of_several_ports_survives_the_loss_of_a_leaf(units, each, p, s, side):
    plane = Plane(ports=p, cable=CABLE, hosts_per_unit=each, spines=s, cables=side)
    network = wire(plane, units * each)
    leaves = [node for node in network if str(node).startswith("leaf")]
    for leaf in leaves:
        left = network.subgraph(set(network) - {leaf})
        alone = [host for host in endpoints(left) if not left[host]]
        assert len(alone) == (each if p == 1 else 0)


def test_the_compute_plane_is_the_published_one_of_four_units():
    # NVIDIA, DGX SuperPOD H100, table 4: 32 leaves, 16 spines, 1,024 cables between
    # them; there 127 of 128 hosts are filled.
    plane = Plane(ports=8, cable=CABLE, hosts_per_unit=32, spines=16, cables=2)
    network = wire(plane, 128)
    counted = count(network)
    assert counted.switches == 32 + 16
    assert counted.cables == 128 * 8 + 1024
    assert oversubscription(network) == 1
    assert counted.bandwidth_per_device == plane.bandwidth_per_host


def test_planes_share_no_switch_and_no_cable():
    one = Plane(ports=1, cable=CABLE, hosts_per_unit=4)
    made = planes({"storage": one, "service": one}, 4)
    assert list(made) == ["storage", "service"]
    first, second = made.values()
    assert first is not second
    first.remove_node("leaf 0")
    assert nx.is_connected(second)
    assert all(not first[host] and second[host] for host in endpoints(second))


@pytest.mark.parametrize(
    ("plan", "hosts", "said"),
    [
        ({"hosts_per_unit": 4}, 6, "6 hosts do not fill units of 4"),
        ({"hosts_per_unit": 2}, 4, "2 units need a spine"),
        ({"hosts_per_unit": 2}, 0, "0 hosts do not fill"),
    ],
)
def test_hosts_that_do_not_fit_are_refused(plan, hosts, said):
    with pytest.raises(ValueError, match=said):
        wire(Plane(ports=2, cable=CABLE, **plan), hosts)


@pytest.mark.parametrize(
    "bad", [{"ports": 0}, {"hosts_per_unit": 0}, {"spines": -1}, {"cables": 0}]
)
def test_no_plane_of_nothing(bad):
    plane = {"ports": 1, "cable": CABLE, "hosts_per_unit": 1} | bad
    with pytest.raises(ValueError, match="make no plane"):
        Plane(**plane)
