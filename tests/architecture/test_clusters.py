"""Rail-optimised networks and dragonflies."""

from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.architecture.graph import Cable, check, endpoints
from dlsys_code.architecture.networks import dragonfly, rail_optimized

CABLE = Cable(bandwidth=50e9, kind="NDR")
NVLINK = Cable(bandwidth=25e9, kind="NVLink 3")
few = settings(max_examples=25, deadline=None, derandomize=True)


@few
@given(hosts=st.integers(1, 5), g=st.integers(1, 8), units=st.integers(1, 3))
def test_devices_of_the_same_number_share_a_leaf(hosts, g, units):
    network = rail_optimized(
        hosts=hosts * units,
        devices_per_host=g,
        hosts_per_unit=hosts,
        spines=2,
        cable=CABLE,
        inside=NVLINK,
    )
    check(network)
    for r in endpoints(network):
        host, i = divmod(r, g)
        leaf = f"leaf {host // hosts * g + i}"
        assert set(network[r]) == {leaf, f"nvswitch {host}"}
    leaves = [node for node in network if str(node).startswith("leaf")]
    assert len(leaves) == g * units
    assert all(len(set(network[leaf])) == hosts + 2 for leaf in leaves)


def test_the_same_rail_is_two_hops_away_and_another_one_four():
    network = rail_optimized(
        hosts=4, devices_per_host=8, spines=8, cable=CABLE, inside=NVLINK
    )
    assert nx.shortest_path_length(network, 3, 11) == 2  # the same leaf
    assert nx.shortest_path_length(network, 3, 4) == 2  # the same host
    assert nx.shortest_path_length(network, 3, 12) == 4


def test_links_of_one_host_are_side_by_side():
    network = rail_optimized(
        hosts=2,
        devices_per_host=8,
        spines=4,
        cable=CABLE,
        inside=NVLINK,
        links_inside=12,
        cables=2,
    )
    assert network.edges[3, "nvswitch 0"]["bandwidth"] == 12 * 25e9
    assert network.edges["leaf 3", "spine 1"]["cables"] == 2


def test_hosts_that_do_not_fill_their_units_are_refused():
    with pytest.raises(ValueError, match="6 hosts of 8 devices in units of 4 hosts"):
        rail_optimized(
            hosts=6,
            devices_per_host=8,
            hosts_per_unit=4,
            spines=4,
            cable=CABLE,
            inside=NVLINK,
        )


def butterfly(a: int, p: int, h: int, groups: int | None = None) -> nx.Graph:
    return dragonfly(
        routers_per_group=a,
        devices_per_router=p,
        global_cables=h,
        groups=groups,
        cable=CABLE,
    )


def test_the_dragonfly_of_the_paper():
    # Kim et al., ISCA 2008, figure 5: h = p = 2, a = 4, so g = 9 groups and N = 72.
    network = butterfly(4, 2, 2)
    assert len(endpoints(network)) == 72
    assert len(network) == 72 + 9 * 4


@few
@given(a=st.integers(1, 5), p=st.integers(1, 3), h=st.integers(1, 3))
def test_a_full_dragonfly(a, p, h):
    network, g = butterfly(a, p, h), a * h + 1
    check(network)
    routers = [f"router {i}" for i in range(a * g)]
    assert len(endpoints(network)) == a * p * (a * h + 1)
    assert {network.degree(router, weight="cables") for router in routers} == {
        p + a - 1 + h
    }
    joined = nx.quotient_graph(
        network.subgraph(routers), lambda x, y: group(x, a) == group(y, a)
    )
    assert joined.size() == g * (g - 1) // 2  # every group to every other
    assert network.size() == a * p * g + g * a * (a - 1) // 2 + g * (g - 1) // 2


def group(router: str, a: int) -> int:
    return int(router.split()[1]) // a


@pytest.mark.parametrize("groups", [2, 3, 5, 9])
def test_fewer_groups_share_the_global_cables(groups):
    network = butterfly(4, 2, 2, groups)
    routers = network.subgraph(node for node in network if isinstance(node, str))
    for one, other in combinations(range(groups), 2):
        between = sum(
            cables
            for x, y, cables in routers.edges(data="cables")
            if {group(x, 4), group(y, 4)} == {one, other}
        )
        assert between == 8 // (groups - 1)
    degrees = {n for _, n in routers.degree(weight="cables")}
    assert degrees == {4 - 1 + 2}


def test_groups_that_cannot_all_be_joined_are_refused():
    for groups in (4, 10, 1):
        with pytest.raises(ValueError, match=f"{groups} groups of 4 routers"):
            butterfly(4, 2, 2, groups)
    with pytest.raises(ValueError, match="with 0 devices"):
        butterfly(4, 0, 2)
