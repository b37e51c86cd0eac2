"""NCCL's guesses: by hand, then what must hold for all of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication import cost, nccl
from dlsys_code.communication.channels import Communicator, behind_nvswitch
from dlsys_code.communication.nccl import (
    ALGORITHMS,
    PROTOCOLS,
    bandwidth,
    bus_factor,
    choose,
    guesses,
    latency_s,
    steps,
    switches,
    time_s,
    wire_speed,
)
from dlsys_code.introduction.units import GB, GiB, KiB, MiB, us

A100 = behind_nvswitch(8)
every = settings(derandomize=True, deadline=None, max_examples=60)
sizes = st.integers(0, 16 * GiB)


def cluster(nodes: int, ranks_per_node: int = 8, **more) -> Communicator:
    """Nodes with 8 links to the network, as in the page."""
    return Communicator(
        nodes=nodes,
        ranks_per_node=ranks_per_node,
        channels=8,
        channel_bandwidth=24 * GB,
        **more,
    )


communicators = st.builds(
    cluster,
    st.integers(2, 300),
    st.integers(1, 8),
    cpu=st.sampled_from(["intel", "amd"]),
    architecture=st.sampled_from(["volta", "ampere", "hopper", "blackwell"]),
    medium=st.sampled_from(["NVLink", "PCIe"]),
) | st.builds(
    behind_nvswitch,
    st.integers(2, 16),
    architecture=st.sampled_from(["volta", "ampere", "hopper"]),
)
pairs = st.tuples(st.sampled_from(ALGORITHMS), st.sampled_from(PROTOCOLS))


@pytest.mark.parametrize(
    ("algorithm", "protocol", "latency_us", "speed"),
    [
        ("ring", "LL", 6.6 + 14 * 0.6, 87.7),  # half of 240 is over the limit
        ("ring", "LL128", 14 + 14 * 1.9, 0.92 * 240),
        ("ring", "Simple", 8.4 + 14 * 3.4, 240),
        ("tree", "LL", 6.8 + 14 * 0.6, 0.92 * 240 / 3.8),
        ("tree", "LL128", 14 + 14 * 1.25, 0.92 * 240 * 7 / 9),
        ("tree", "Simple", 8.4 + 14 * 4, 0.92 * 240),
    ],
)
def test_eight_a100s_by_hand(algorithm, protocol, latency_us, speed):
    assert latency_s(algorithm, protocol, A100) == pytest.approx(latency_us * us)
    assert wire_speed(algorithm, protocol, A100) == pytest.approx(speed * GB)


@pytest.mark.parametrize(
    ("algorithm", "protocol", "comm", "latency_us"),
    [
        ("ring", "LL", cluster(2), 6.6 + 28 * 1.0 + 2 * 2.7),  # a post takes 1 us
        ("tree", "LL", cluster(2), 6.8 + 14 * 0.6 + 2 * 5.0),
        ("ring", "Simple", cluster(2), 8.4 + 28 * 3.4 + 2 * 14),
        ("ring", "Simple", cluster(2, cpu="amd"), 8.4 + 28 * 6.0 + 2 * 14),
        ("tree", "LL", cluster(128), 6.8 + 14 * 0.6 + 14 * 5.0),
        ("tree", "LL", cluster(127), 6.8 + 14 * 0.6 + 12 * 5.0),  # log2, rounded down
        ("ring", "LL", cluster(4, 1), 6.6 + 6 * 5.0),  # the tree's network latency
    ],
)
def test_latencies_across_nodes_by_hand(algorithm, protocol, comm, latency_us):
    assert latency_s(algorithm, protocol, comm) == pytest.approx(latency_us * us)


def test_times_by_hand():
    # 56 us, and 1 GiB at 240 x 8 / 14 GB/s.
    assert time_s(GiB, "ring", "Simple", A100) == pytest.approx(
        56e-6 + GiB / (240e9 * 8 / 14)
    )
    # The tree's table says 0.6 from 1 MiB up to 2; half of 171.7 GB/s each way.
    half = 0.92 * 240e9 * 7 / 9 / 2
    assert time_s(3 * MiB // 2, "tree", "LL128", A100) == pytest.approx(
        31.5e-6 + 1.5 * MiB / (half * 0.6)
    )
    assert time_s(0, "tree", "Simple", A100) == pytest.approx(64.4e-6)
    assert time_s(GiB, "tree", "Simple", A100) == pytest.approx(
        64.4e-6 + GiB / (0.92 * 120e9)
    )


def test_a_tree_is_corrected_up_to_256_mib():
    below = 64.4e-6 + 300 * MiB / (0.92 * 120e9 * 0.9)
    assert time_s(300 * MiB, "tree", "Simple", A100) == pytest.approx(below)
    above = 64.4e-6 + 512 * MiB / (0.92 * 120e9)
    assert time_s(512 * MiB, "tree", "Simple", A100) == pytest.approx(above)


@pytest.mark.parametrize(
    ("nodes", "cpu", "limit"),
    [(2, "intel", 39.0), (2, "amd", 22.5), (3, "intel", 20.4), (3, "amd", 19.0)],
)
def test_across_nodes_the_cpu_limits_ll(nodes, cpu, limit):
    comm = cluster(nodes, cpu=cpu)
    assert wire_speed("ring", "LL", comm) == pytest.approx(limit * GB)


def test_a_ring_across_nodes_has_a_plateau_from_64_bytes_of_a_block():
    comm = cluster(4)
    blocks = 2 * 8 * 32
    slow = time_s(64 * blocks, "ring", "Simple", comm)
    fast = time_s(64 * blocks - 1, "ring", "Simple", comm)
    assert slow - fast == pytest.approx(
        0.4 * latency_s("ring", "Simple", comm), rel=1e-3
    )


@every
@given(pairs, communicators)
def test_no_ring_or_tree_is_faster_than_the_wire(pair, comm):
    assert 0 < wire_speed(*pair, comm) <= comm.wire
    busbw = bandwidth(*pair, comm) * bus_factor(comm.ranks)
    assert busbw <= comm.wire * (1 + 1e-12)


@every
@given(sizes, communicators)
def test_the_choice_is_the_least_guess(n, comm):
    allowed = [p for p in PROTOCOLS if p != "LL128" or comm.medium == "NVLink"]
    times = {(a, p): time_s(n, a, p, comm) for a in ALGORITHMS for p in allowed}
    algorithm, protocol, time = choose(n, comm)
    assert time == times[algorithm, protocol] == min(times.values())
    assert [guess.time_s for guess in guesses(n, comm)] == sorted(times.values())


@every
@given(sizes, sizes, st.sampled_from(PROTOCOLS), communicators)
def test_more_bytes_on_a_ring_take_longer(a, b, protocol, comm):
    short, long = sorted((a, b))
    assert time_s(short, "ring", protocol, comm) <= time_s(long, "ring", protocol, comm)


@every
@given(pairs, st.integers(3, 200), st.integers(2, 8))
def test_more_ranks_have_more_latency(pair, nodes, each):
    comm = cluster(nodes, each)
    assert latency_s(*pair, comm) < latency_s(*pair, cluster(nodes, each + 1))
    assert latency_s(*pair, comm) <= latency_s(*pair, cluster(nodes + 1, each))
    assert latency_s(*pair, comm) < latency_s(*pair, cluster(2 * nodes, each))


@every
@given(st.integers(2, 16), sizes)
def test_more_ranks_of_a_node_take_longer(p, n):
    fewer, more = behind_nvswitch(p), behind_nvswitch(p + 1)
    for protocol in PROTOCOLS:
        guess = time_s(n, "ring", protocol, fewer)
        assert guess < time_s(n, "ring", protocol, more)


@every
@given(st.integers(1, 64), st.integers(1, 8))
def test_a_ring_takes_the_steps_of_chapter_four(nodes, each):
    if nodes * each > 1:
        comm = cluster(nodes, each)
        rounds = cost.ring_all_reduce(comm.ranks, comm.ranks, 4).rounds
        assert sum(steps("ring", comm)) == rounds


@given(p=st.integers(1, 1000), k=st.integers(1, 1000))
def test_the_bus_factor_is_what_a_ring_sends(p, k):
    sent = cost.ring_all_reduce(p, p * k, 1).bytes_sent
    assert bus_factor(p) * p * k == pytest.approx(sent)


@pytest.mark.parametrize("comm", [A100, behind_nvswitch(3), cluster(2), cluster(32)])
def test_between_two_switches_nothing_changes(comm):
    low, high = KiB, 4 * GiB
    found = switches(comm, low=low, high=high)
    assert found[0] == (low, choose(low, comm))
    ends = [n for n, _ in found[1:]] + [high + 1]
    for (start, (*pair, _)), end in zip(found, ends, strict=True):
        inside = {start, end - 1} | {start + (end - start) * i // 9 for i in range(9)}
        assert {choose(n, comm)[:2] for n in inside} == {tuple(pair)}
    for n, (*pair, _) in found[1:]:
        assert choose(n - 1, comm)[:2] != tuple(pair)


def test_two_switches_between_two_sizes_that_are_looked_at(monkeypatch):
    comm = behind_nvswitch(3, release="2.20")  # LL128 wins for less than a doubling
    found = switches(comm, low=KiB, high=GiB)
    assert [choice.protocol for _, choice in found] == list(PROTOCOLS)
    monkeypatch.setattr(nccl, "MARKS", 1)
    assert switches(comm, low=KiB, high=GiB) == found


def test_eight_a100s_switch_twice():
    found = switches(A100, low=KiB, high=16 * GiB)
    assert [choice[:2] for _, choice in found] == [("ring", p) for p in PROTOCOLS]
    # Equal times: 15.0 + n / 50.1 = 40.6 + n / 126.2, 40.6 + n / 126.2 = 56 + n / 137.1
    ll, ll128, simple = (w * 8 / 14 for w in (87.7e9, 220.8e9, 240e9))
    first = 25.6e-6 / (1 / ll - 1 / ll128)
    second = 15.4e-6 / (1 / ll128 - 1 / simple)
    assert [n for n, _ in found[1:]] == pytest.approx([first, second], rel=1e-6)


def test_trees_win_few_bytes_and_rings_many_on_many_nodes():
    for nodes in (2, 4, 8, 16, 32, 64, 128):
        comm = cluster(nodes)
        assert choose(KiB, comm).algorithm == "tree"
        assert choose(16 * GiB, comm)[:2] == ("ring", "Simple")


def test_without_nvlink_there_is_no_ll128():
    comm = Communicator(
        ranks_per_node=4, channels=1, channel_bandwidth=12 * GB, medium="PCIe"
    )
    assert {guess.protocol for guess in guesses(MiB, comm)} == {"LL", "Simple"}


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 0 bytes, not -1"):
        choose(-1, A100)
    with pytest.raises(ValueError, match="'star' with 'LL' is none of tree, ring"):
        time_s(1, "star", "LL", A100)
    with pytest.raises(ValueError, match="'LL256' is none of .* LL, LL128, Simple"):
        time_s(1, "ring", "LL256", A100)
    with pytest.raises(ValueError, match="at least 1 rank, not 0"):
        bus_factor(0)
    with pytest.raises(ValueError, match="not 8 to 8"):
        switches(A100, low=8, high=8)
