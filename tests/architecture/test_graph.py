"""A network as a graph: cables side by side, and networks that no plan can run on."""

import networkx as nx
import pytest

from dlsys_code.architecture import topology
from dlsys_code.architecture.graph import Cable, check, connect

CABLE = Cable(bandwidth=50e9, latency_s=1e-6, kind="NDR")
UPLINK = Cable(bandwidth=100e9, kind="XDR")


def test_a_link_holds_all_its_cables():
    network = topology.spine_leaf(
        leaves=2, spines=1, devices_per_leaf=3, cable=CABLE, uplink=UPLINK, cables=4
    )
    assert network.edges[0, "leaf 0"] == {
        "cables": 1,
        "bandwidth": 50e9,
        "latency_s": 1e-6,
        "kind": "NDR",
    }
    assert network.edges["leaf 1", "spine 0"] == {
        "cables": 4,
        "bandwidth": 400e9,
        "latency_s": 0,
        "kind": "XDR",
    }
    assert network.nodes[4] == {"kind": "device", "tier": 0, "place": (1, 1)}
    assert network.nodes["spine 0"] == {"kind": "switch", "tier": 2}


@pytest.mark.parametrize("bandwidth", [0, -1e9, float("nan")])
def test_a_cable_without_bandwidth_is_refused(bandwidth):
    with pytest.raises(ValueError, match=f"0 s and {bandwidth} B/s"):
        Cable(bandwidth=bandwidth)


def test_a_negative_latency_is_refused():
    with pytest.raises(ValueError, match="-1e-06 s"):
        Cable(bandwidth=1e9, latency_s=-1e-6)


def test_links_of_two_kinds_or_of_no_cable_are_refused():
    network = topology.ring(3, CABLE)
    with pytest.raises(ValueError, match="0 and 1 are joined by NDR, not XDR"):
        connect(network, 0, 1, UPLINK)
    with pytest.raises(ValueError, match="0 and 2 cannot be joined by 0 cables"):
        connect(network, 0, 2, CABLE, cables=0)


def test_a_network_in_two_parts_is_refused():
    network = topology.spine_leaf(leaves=3, spines=1, devices_per_leaf=2, cable=CABLE)
    network.remove_edge("leaf 2", "spine 0")
    with pytest.raises(ValueError, match=r"reaches 4 of 6 devices, not \[4, 5\]"):
        check(network)


def test_networks_that_no_plan_can_run_on_are_refused():
    with pytest.raises(ValueError, match=r"numbered 0 .. N - 1, not \[\]"):
        check(nx.Graph())
    gap = topology.ring(4, CABLE)
    gap.remove_node(2)
    with pytest.raises(ValueError, match=r"not \[0, 1, 3\]"):
        check(gap)
    cut = topology.ring(4, CABLE)
    cut.edges[1, 2]["bandwidth"] = 0
    with pytest.raises(ValueError, match="the link 1 - 2 has 0 B/s"):
        check(cut)
