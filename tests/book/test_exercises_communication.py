"""What chapter 3's exercises hold against an answer, checked by hand."""

from collections import Counter
from itertools import permutations
from math import ceil

import networkx as nx
import numpy as np
import pytest

from dlsys_code.architecture.search import all_rings
from dlsys_code.book import exercises_communication_hosts as hosts
from dlsys_code.book import exercises_communication_links as links
from dlsys_code.book import exercises_communication_networks as networks
from dlsys_code.book.exercises_communication import EXERCISES
from dlsys_code.communication.sharing import Routes, max_min_shares

BY_HAND = {
    "nvlink_over_network": 9,
    "half_bandwidth": 100_000,
    "fat_tree_devices": 27_648,  # Al-Fares et al., section 1
    "leaf_ratio": 3,
    "roce_goodput": 50 * 1024 / (1024 + 82),
    "copied_gibibytes": 8,
    "ring_starts_later": 14.8,
    "on_the_wire": 315,
    "server_breaks_at": 5000 / (2 * (4 + 246.784)),
}


@pytest.mark.parametrize(("name", "value"), BY_HAND.items())
def test_the_numbers_by_hand(name, value):
    assert EXERCISES[name].value == pytest.approx(value, rel=1e-9)


def test_a_fit_may_miss_the_true_link_by_no_more_than_is_allowed():
    for sizes, times in links.samples():
        faults = [
            links.fault_of_estimate((k.latency_s, k.seconds_per_byte), sizes, times)
            for k in links.LINKS
        ]
        assert "" in faults


def test_the_smallest_bundle_has_the_share_and_no_smaller_one():
    for n, link in links.bundles():
        k = max(1, ceil(9 * link.half_bandwidth_bytes / n))
        found = [links.fault_of_bundle(each, n, link) for each in (k - 1, k, k + 1)]
        assert [bool(fault) for fault in found] == [True, False, True]
        least, less = (
            link.latency_s / (link.latency_s + each * n / link.bandwidth)
            for each in (k, k - 1)
        )
        assert least <= 0.1 and (k == 1 or less > 0.1)


def test_the_two_layouts_give_the_link_back():
    for case in links.layouts():
        faults = [
            links.fault_of_layouts((k.latency_s, k.seconds_per_byte), *case)
            for k in links.LINKS
        ]
        assert faults.count("") == 1


@pytest.mark.parametrize("case", hosts.PAUSES)
def test_a_sender_waits_with_one_slot_less(case):
    """Play the two sides with a given number of slots."""

    def waits(slots: int) -> bool:
        fill, empty, pause = case
        free_s, ends = pause, []
        for i in range(hosts.PIECES):
            begin = i * fill
            if i >= slots and ends[i - slots] > begin:
                return True
            free_s = max(free_s, begin + fill) + empty
            ends.append(free_s)
        return False

    enough = hosts.slots_needed(*case)
    assert not waits(enough) and waits(enough - 1)


def test_meshes_with_and_without_rings():
    found = [bool(all_rings(graph)) for graph in networks.meshes()]
    assert found == [True] * 4 + [False] * 2


@pytest.mark.parametrize("racks", [[[0, 1], [2, 3]], [[0, 2], [3, 1]]])
def test_no_order_of_a_tree_crosses_less_than_is_asked_for(racks):
    """Try every order of four ranks: a message of the tree joins two racks up, down."""
    faults = [networks.fault_of_tree(each, racks) for each in permutations(range(4))]
    assert set(faults) >= {""} and all("2 条就够" in said for said in faults if said)


def test_the_shares_of_the_package_are_fair():
    for paths, capacities in networks.FLOWS:
        rates = max_min_shares(Routes.along(paths), len(paths), np.array(capacities))
        assert networks.fault_of_shares(rates, paths, capacities) == ""


def test_runs_of_events_are_counted():
    assert hosts.shortened(["cnp", "turn", "turn", "cnp"]) == "cnp、turn × 2、cnp"


def test_the_choices_to_make_are_not_all_alike():
    best = Counter(hosts.nccl.choose(n, comm)[:2] for n, comm in hosts.calls())
    assert len(best) >= 4


def test_a_mesh_is_shown_by_its_size():
    assert networks.shown_mesh(nx.cycle_graph(5)) == "5 个设备，5 对直连"
