"""Channels laid over NVLinks, by hand and up to the links."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.channels import Communicator, behind_nvswitch
from dlsys_code.communication.tuning import constant

GOOD = {"ranks_per_node": 8, "channels": 12, "channel_bandwidth": 20e9}


@pytest.mark.parametrize(
    ("architecture", "links", "channels", "bandwidth"),
    [
        ("ampere", 12, 12, 20e9),  # 240 = 6 x 40, cut in two
        ("volta", 6, 6, 20e9),  # 120 = 3 x 40, cut in two
        ("hopper", 18, 12, 30e9),  # 370.8: 6 x 60, and 9 x 40 move no more
        ("ampere", 1, 1, 20e9),  # not faster than 25, so not cut
        ("hopper", 8, 8, 20e9),  # 164.8: 4 x 40 beats 2 x 60, 3 x 50, 5 x 30
        ("hopper", 14, 7, 40e9),  # 288.4: 7 x 40, so many that they stay whole
    ],
)
def test_the_search_by_hand(architecture, links, channels, bandwidth):
    found = behind_nvswitch(8, links=links, architecture=architecture)
    assert (found.channels, found.channel_bandwidth) == (channels, bandwidth)


@given(st.integers(1, 18), st.sampled_from(["volta", "ampere", "hopper"]))
@settings(derandomize=True)
def test_channels_fill_the_links_but_no_more(links, architecture):
    found = behind_nvswitch(8, links=links, architecture=architecture)
    of_a_gpu = links * constant("NVLink", architecture)
    assert of_a_gpu / 2 < found.wire <= of_a_gpu * (1 + 1e-12)


def test_what_a_communicator_knows():
    comm = Communicator(nodes=3, **GOOD)
    assert (comm.ranks, comm.wire, comm.scale) == (24, 240e9, "more")
    assert [behind_nvswitch(8).scale, Communicator(nodes=2, **GOOD).scale] == [
        "1 node",
        "2 nodes",
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ranks_per_node": 0}, "at least 2 ranks, not 1 nodes of 0"),
        ({"ranks_per_node": 1}, "at least 2 ranks, not 1 nodes of 1"),
        ({"nodes": 0}, "not 0 nodes of 8"),
        ({"channels": 0}, "not 0 of"),
        ({"channel_bandwidth": 0.0}, "not 12 of 0.0 B/s"),
        ({"architecture": "kepler"}, "'kepler', but volta, ampere"),
        ({"nodes": 2, "cpu": "arm"}, "'arm', but intel, amd"),
        ({"medium": "rope"}, "over rope'"),
        ({"release": "3.0"}, "'3.0', but"),
        ({"release": "2.20", "nodes": 2}, "no row 'network post'"),
    ],
)
def test_an_impossible_communicator_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Communicator(**GOOD | wrong)


def test_a_search_without_links_or_speeds_is_refused():
    with pytest.raises(ValueError, match="at least 1 link, not 0"):
        behind_nvswitch(8, links=0)
    with pytest.raises(ValueError, match="no row 'speeds tried, blackwell'"):
        behind_nvswitch(8, architecture="blackwell")
