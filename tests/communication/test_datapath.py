"""Paths of a message counted by hand, and headers against the standards' sizes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication import framing
from dlsys_code.communication.datapath import (
    COPY,
    DMA,
    GPU,
    PINNED,
    USER,
    WIRE,
    Step,
    count,
    moves,
    paths,
    rdma,
    staged,
    tcp,
)
from dlsys_code.introduction.units import GB

EVERY = paths()
FRAMINGS = {each.name: each for each in framing.framings()}


@pytest.mark.parametrize("name", EVERY)
def test_bytes_go_on_from_where_they_came(name):
    steps = moves(EVERY[name])
    arrived = [step.target for step in steps[:-1]]
    assert arrived == [step.source for step in steps[1:]]
    assert steps[0].source == steps[-1].target  # from memory to the peer's like memory
    assert all(step.kind in (COPY, DMA, WIRE) for step in steps)


@pytest.mark.parametrize("name", EVERY)
def test_dma_engines_reach_only_memory_that_stays_in_place(name):
    ends = {
        end
        for step in EVERY[name]
        if step.kind == DMA and name != "TCP, MSG_ZEROCOPY"  # pins pages for one send
        for end in (step.source, step.target)
    }
    assert USER not in ends


@pytest.mark.parametrize("name", EVERY)
def test_a_path_crosses_the_wire_once_or_stays_in_one_host(name):
    wires = sum(step.kind == WIRE for step in EVERY[name])
    in_one_host = name in ("loopback TCP", "shared memory", "GPUDirect P2P")
    assert wires == (0 if in_one_host else 1)


@pytest.mark.parametrize(
    ("name", "copies", "dma", "calls", "switches", "interrupts"),
    [
        ("TCP", 2, 2, 2, 1, 1),
        ("TCP, MSG_ZEROCOPY", 1, 2, 3, 1, 1),
        ("TCP, GPU, pageable", 4, 4, 2, 1, 1),
        ("TCP, GPU, pinned", 2, 4, 2, 1, 1),
        ("RDMA", 0, 2, 0, 0, 0),
        ("RDMA, GPU, staged", 0, 4, 0, 0, 0),
        ("GPUDirect RDMA", 0, 2, 0, 0, 0),
        ("loopback TCP", 2, 0, 2, 1, 0),
        ("shared memory", 2, 0, 0, 0, 0),
        ("GPUDirect P2P", 0, 1, 0, 0, 0),
    ],
)
def test_counts_by_hand(name, copies, dma, calls, switches, interrupts):
    found = count(EVERY[name])
    assert (found.cpu_copies, found.dma_transfers) == (copies, dma)
    assert found.system_calls == calls
    assert (found.context_switches, found.interrupts) == (switches, interrupts)


def test_what_rdma_promises_are_counts_of_zero():
    promised = {
        name
        for name, path in EVERY.items()
        if (it := count(path)).zero_copy and it.kernel_bypass and it.cpu_offload
    }
    assert promised == {
        *("RDMA", "RDMA, GPU, staged", "GPUDirect RDMA", "GPUDirect P2P")
    }
    shared = count(EVERY["shared memory"])
    assert shared.kernel_bypass and not shared.zero_copy


def test_staging_adds_a_transfer_at_either_end_and_pageable_memory_a_copy():
    for memory, path in ((PINNED, rdma()), (PINNED, tcp(PINNED))):
        assert moves(path)[0].source == memory
        assert count(staged(path)).dma_transfers == count(path).dma_transfers + 2
        assert count(staged(path)).cpu_copies == count(path).cpu_copies
    assert count(staged(tcp(), pageable=True)).cpu_copies == count(tcp()).cpu_copies + 2
    assert count(rdma(GPU)) == count(rdma())


def test_the_cpu_reads_and_writes_every_copy():
    assert count([Step(COPY, "CPU", USER, PINNED)]).cpu_bytes(1000) == 2000
    assert count([]).cpu_bytes(1000) == 0


def test_cores_that_only_copy():
    # 50 GB in a second, copied once at each end, by cores that copy 10 GB/s.
    assert count(tcp()).copy_time_s(50 * GB, 10 * GB) == pytest.approx(10)
    assert count(rdma()).copy_time_s(50 * GB, 10 * GB) == 0


@pytest.mark.parametrize(("n", "bandwidth"), [(-1, 1.0), (1, 0.0), (1, -2.0)])
def test_impossible_copies_are_refused(n, bandwidth):
    with pytest.raises(ValueError, match=f"{n} bytes cannot be copied at {bandwidth}"):
        count(tcp()).copy_time_s(n, bandwidth)


def test_overheads_by_hand():
    ethernet = 8 + 14 + 4 + 12
    assert {name: each.overhead for name, each in FRAMINGS.items()} == {
        "InfiniBand": 8 + 12 + 4 + 2,
        "RoCE v1": ethernet + 40 + 12 + 4,
        "RoCE v2": ethernet + 20 + 8 + 12 + 4,
        "iWARP": ethernet + 20 + 32 + 2 + 14 + 4,
        "TCP": ethernet + 20 + 32,
    }


@pytest.mark.parametrize(
    ("name", "mtu", "payload"),
    [
        ("RoCE v2", 1500, 1024),
        ("RoCE v2", 4096 + 44, 4096),
        ("RoCE v2", 4096 + 43, 2048),
        ("RoCE v1", 4096 + 56, 4096),
        ("RoCE v1", 4096 + 55, 2048),
        ("RoCE v2", 9000, 4096),
        ("InfiniBand", 4096, 4096),
        ("InfiniBand", 4095, 2048),
        ("TCP", 1500, 1448),
        ("iWARP", 1500, 1428),
        ("iWARP", 1503, 1428),  # MPA pads to 4 bytes
    ],
)
def test_the_largest_payload_of_an_mtu(name, mtu, payload):
    assert FRAMINGS[name].payload(mtu) == payload


@settings(derandomize=True, deadline=None)
@given(
    name=st.sampled_from(sorted(FRAMINGS)),
    mtu=st.integers(400, 9216),
    packets=st.integers(1, 1000),
)
def test_whole_packets_have_the_efficiency_of_a_long_message(name, mtu, packets):
    each = FRAMINGS[name]
    n = packets * each.payload(mtu)
    assert n / each.wire_bytes(n, mtu) == pytest.approx(each.efficiency(mtu))
    assert each.wire_bytes(n + 1, mtu) == each.wire_bytes(n, mtu) + 1 + each.overhead


@settings(derandomize=True, deadline=None)
@given(mtu=st.integers(400, 9216))
def test_roce_v2_replaces_the_grh_by_fewer_bytes(mtu):
    v1, v2 = FRAMINGS["RoCE v1"], FRAMINGS["RoCE v2"]
    assert v1.overhead - v2.overhead == 40 - 20 - 8
    assert v2.efficiency(mtu) > v1.efficiency(mtu)


def test_what_is_routed_and_what_must_not_lose():
    assert [name for name, it in FRAMINGS.items() if not it.routed_by] == ["RoCE v1"]
    assert [name for name, it in FRAMINGS.items() if it.lossless == "PFC"] == [
        "RoCE v1",
        "RoCE v2",
    ]


@pytest.mark.parametrize("name", FRAMINGS)
def test_an_mtu_without_room_and_a_negative_message_are_refused(name):
    with pytest.raises(ValueError, match=f"MTU of 40 bytes leaves {name} no payload"):
        FRAMINGS[name].payload(40)
    with pytest.raises(ValueError, match="at least 0 bytes, not -1"):
        FRAMINGS[name].wire_bytes(-1, 1500)
