"""What racks do to an all-reduce: orders, crossings, predictions, the stored run."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.hosts import EmulatedCluster, why_not
from dlsys_code.communication.link import Link
from dlsys_code.communication.shaping import burst
from dlsys_code.communication.wiring import Measured, Plan
from dlsys_code.primitive import hosts_run, racks, racks_model, racks_race
from dlsys_code.world import World

EIGHT = Plan(racks=2, hosts=2, ranks=2, host_bandwidth=1e9, spine_bandwidth=1e8)
FAST = Link(latency_s=0.0, bandwidth=1e12)
SPINE_ONLY = Measured(host=FAST, rack=FAST, spine=Link(latency_s=0, bandwidth=1e7))
REASON = why_not()


def crossings(name: str, plan: Plan, count: int) -> Counter:
    """Bytes from rack to rack."""
    rack, sums = plan.hosts * plan.ranks, Counter()
    for _, source, destination, n in racks.RACERS[name].messages(plan, count):
        if source // rack != destination // rack:
            sums[source // rack, destination // rack] += n
    return sums


def sum_of_all(name: str, plan: Plan) -> torch.Tensor:
    rank = torch.distributed.get_rank()
    return racks.RACERS[name].join(plan)(torch.arange(24.0) + rank)


def test_mixed_takes_a_rank_of_each_rack_in_turn():
    assert racks.racks_of(EIGHT) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert racks.mixed(EIGHT) == [0, 4, 1, 5, 2, 6, 3, 7]


def test_crossings_of_eight_ranks_by_hand():
    """n bytes each: 14 steps of n/8, once or four times; 2 n/4 of 4 ranks; 4 n; n."""
    n = 64 * 4
    by_hand = {
        "ring": 14 * n // 8,
        "ring, mixed": 4 * 14 * n // 8,
        "hierarchical": 4 * 2 * (n // 4) // 2,
        "tree": 4 * n,
        "tree, mixed": n,
    }
    for name, sent in by_hand.items():
        assert crossings(name, EIGHT, 64) == {(0, 1): sent, (1, 0): sent}


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 64))
def test_a_slow_spine_alone_takes_its_bytes_over_its_bandwidth(hosts, ranks, k):
    """Less what the bucket, full at first, lets pass at once."""
    plan = Plan(
        racks=2, hosts=hosts, ranks=ranks, host_bandwidth=1e9, spine_bandwidth=1e8
    )
    count = 2 * hosts * ranks * k
    full_s = burst(1e8) / 1e8
    for name in ("ring", "ring, mixed"):
        sent = crossings(name, plan, count)[0, 1]
        steps = 2 * (2 * hosts * ranks - 1)
        first_s = sent / steps / 1e7
        predicted = racks_model.predict(name, plan, SPINE_ONLY, 4 * count)
        assert predicted == pytest.approx(sent / 1e7 - min(full_s, first_s), rel=1e-3)


@pytest.mark.parametrize(
    ("crowd", "by_hand"),
    [
        # Steps of 4, 2, 1, 1, 2 and 4 messages: (3 + 1 + 0) / 7 of all, twice.
        ({"crowd_s": 7e-3}, 8e-3),
        # (4 + 2 + 1) / 8 of 4,096 bytes, twice.
        ({"crowd_s_per_byte": 1e-6}, 7168e-6),
    ],
)
def test_what_ranks_cost_each_other_is_a_part_of_what_all_do(crowd, by_hand):
    """Less a bucket that had time to fill before the last step."""
    crowded = Measured(host=FAST, rack=FAST, spine=SPINE_ONLY.spine, **crowd)
    with_others, alone = (
        racks_model.predict("tree", EIGHT, measured, 4096)
        for measured in (crowded, SPINE_ONLY)
    )
    assert with_others - alone == pytest.approx(by_hand - burst(1e8) / 1e8)


def test_a_pause_spares_no_more_than_it_lasted():
    """A ring that crosses the spine in every step pauses for alpha between them."""
    slow = Link(latency_s=1e-5, bandwidth=1e7)
    measured = Measured(host=FAST, rack=FAST, spine=slow)
    steps, chunk_s = 14, 4096 / 1e7
    rest_s = burst(1e8) / 1e8 + (steps - 1) * 1e-5
    predicted = racks_model.predict("ring", EIGHT, measured, 8 * 4096)
    assert predicted == pytest.approx(steps * (1e-5 + chunk_s) - rest_s, rel=1e-3)


@pytest.mark.parametrize("name", racks.RACERS)
def test_every_racer_sends_its_plan_and_gets_the_sum(world, name):
    trace = world(8).trace(sum_of_all, name, EIGHT)
    for total in trace.results:
        assert torch.equal(total, 8 * torch.arange(24.0) + 28)
    planned = Counter(m[1:] for m in racks.RACERS[name].messages(EIGHT, 24))
    assert Counter(m[1:] for m in trace.messages()) == planned


def test_the_longest_run_is_from_the_last_start_to_the_last_end():
    of_ranks = [{8: [(0.0, 5.0), (10.0, 11.0)]}, {8: [(1.0, 4.0), (9.0, 14.0)]}]
    assert racks_race.longest(of_ranks) == {8: [4.0, 4.0]}


@pytest.mark.parametrize("lacking", ["racks", "hosts", "ranks"])
def test_a_way_that_does_not_exist_is_not_measured(lacking):
    plan = replace(EIGHT, **{lacking: 1})
    with pytest.raises(ValueError, match="takes 2 of each"):
        racks_race.calibrate(World(plan.racks * plan.hosts * plan.ranks), plan)


def test_the_stored_run_is_whole_and_says_what_it_is():
    run = hosts_run.stored()
    assert run.source == "stored run"
    assert {row.name for row in run.rows} == set(racks.RACERS)
    for name in racks.RACERS:
        for size in hosts_run.SIZES:
            row = run.row(name, size)
            predicted = racks_model.predict(name, hosts_run.EIGHT, run.measured, size)
            assert row.predicted_s == pytest.approx(predicted)
    with pytest.raises(ValueError, match="no 'ring' of 3 bytes"):
        run.row("ring", 3)


def test_without_the_rights_the_stored_run_is_shown(monkeypatch):
    monkeypatch.setattr(hosts_run, "why_not", lambda: "no rights")
    assert hosts_run.live_or_stored().source == "stored run"


TORCHRUN = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
x = torch.ones(1000)
dist.all_reduce(x)
print("sum", x[0].item(), flush=True)
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.skipif(
    REASON is not None and os.environ.get("CI") != "true", reason=str(REASON)
)
def test_torchrun_runs_on_the_hosts(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(TORCHRUN)
    with EmulatedCluster(
        racks=2, hosts=1, ranks=2, host_bandwidth=1e8, spine_bandwidth=1e8
    ) as cluster:
        first = cluster.hosts[0].address
        agents = [
            subprocess.Popen(
                host.network.entry(
                    sys.executable, "-m", "torch.distributed.run",
                    "--nnodes=2", "--nproc-per-node=2", "--rdzv-backend=c10d",
                    f"--rdzv-endpoint={first}:29400", "--rdzv-id=test",
                    f"--rdzv-conf=is_host={int(host.number == 0)}",
                    f"--local-addr={host.address}", str(script),
                ),
                stdout=subprocess.PIPE,
                text=True,
                pass_fds=host.network.open_files(),
                env={**os.environ, "GLOO_SOCKET_IFNAME": "eth0"},
            )
            for host in cluster.hosts
        ]  # fmt: skip
        try:
            said = [agent.communicate(timeout=120)[0] for agent in agents]
        finally:
            for agent in agents:
                agent.kill()
    assert [text.count("sum 4.0") for text in said] == [2, 2]
