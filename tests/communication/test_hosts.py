"""An emulated cluster: real ranks on shaped links, and nothing left of it."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import on_hosts
import pytest
import torch

from dlsys_code.communication import namespaces, wiring
from dlsys_code.communication.hosts import EmulatedCluster, hurry, why_not
from dlsys_code.communication.shaping import frames_bytes
from dlsys_code.introduction.units import Mbit, MiB
from dlsys_code.primitive import ring
from dlsys_code.world import RankError, World

HERE = Path(__file__).parent
SMALL = dict(racks=2, hosts=1, ranks=1)
RATES = dict(host_bandwidth=800 * Mbit, spine_bandwidth=400 * Mbit)
SHAPE = dict(racks=2, hosts=2, ranks=2, host_bandwidth=1000 * Mbit)
REASON = why_not()
possible = pytest.mark.skipif(
    REASON is not None and os.environ.get("CI") != "true", reason=str(REASON)
)


@pytest.fixture(scope="module")
def cluster():
    with EmulatedCluster(**SHAPE, spine_bandwidth=400 * Mbit) as made:
        yield made


@pytest.fixture(scope="module")
def eight(cluster):
    with World(8, hosts=cluster) as world:
        yield world


@possible
def test_every_rank_lives_on_its_host(cluster, eight):
    reports = eight(on_hosts.whereabouts)
    assert len({inode for inode, _, _ in reports}) == 4
    for rank, (inode, addresses, told) in enumerate(reports):
        host = cluster[rank]
        assert inode == host.network.inode
        assert host.address in addresses
        others = {h.address for h in cluster.hosts} - {host.address}
        assert not any(f"{other}\n" in addresses for other in others)
        assert told == {
            "GLOO_SOCKET_IFNAME": "eth0",
            "GROUP_RANK": str(rank // 2),
            "LOCAL_RANK": str(rank % 2),
            "LOCAL_WORLD_SIZE": "2",
        }
    assert [host.rack for host in cluster.hosts] == ["rack 0"] * 2 + ["rack 1"] * 2


@possible
@pytest.mark.parametrize("count", [0, 1, 37, 10_000])
def test_the_ring_over_hosts_is_gloos_sum(eight, count):
    for ours, theirs in eight(on_hosts.sums, count):
        assert torch.equal(ours, theirs)


@possible
def test_messages_are_the_plan_on_one_clock(eight):
    trace = eight.trace(on_hosts.ring_of_ones, 1000)
    assert trace.messages() == ring.all_reduce_messages(8, 1000, 4)
    begun = [event.start_s for event in trace.events]
    assert 0 <= max(begun) - min(begun) < 60


@possible
@pytest.mark.parametrize("size", [MiB, 3 * MiB + 5])
def test_frames_of_a_message_cross_the_spine_once(cluster, eight, size):
    eight(on_hosts.one_way, 0, 7, 1)
    ways = [("rack 0", "rack 1"), ("rack 1", "rack 0")]
    before = [cluster.carried(*way) for way in ways]
    eight(on_hosts.one_way, 0, 7, size)
    there, back = (
        cluster.carried(*way) - was for way, was in zip(ways, before, strict=True)
    )
    assert frames_bytes(size) <= there <= 1.01 * frames_bytes(size) + 5000
    assert back < 0.02 * size  # acknowledgements


@possible
def test_a_message_inside_a_rack_stays_there(cluster, eight):
    spine = cluster.carried("rack 0", "rack 1")
    port = cluster.carried("host 0", "rack 0")
    eight(on_hosts.one_way, 0, 2, MiB)
    assert cluster.carried("rack 0", "rack 1") - spine < 5000
    assert cluster.carried("host 0", "rack 0") - port >= frames_bytes(MiB)


@possible
def test_the_ring_puts_on_the_spine_what_its_plan_says(cluster, eight):
    count, racks = 100_000, [range(4), range(4, 8)]
    planned = [
        m.bytes
        for m in ring.all_reduce_messages(8, count, 4)
        if m.source in racks[0] and m.destination in racks[1]
    ]
    eight(on_hosts.ring_of_ones, count)
    before = cluster.carried("rack 0", "rack 1")
    eight(on_hosts.ring_of_ones, count)
    carried = cluster.carried("rack 0", "rack 1") - before
    least = sum(map(frames_bytes, planned))
    assert least <= carried <= 1.05 * least + 10_000


@possible
def test_ranks_in_a_hurry_have_real_time_priority(cluster):
    """In a World of their own: the priority stays until the ranks end."""
    with World(8, hosts=cluster) as hurrying:
        may = hurrying(hurry)
        policies = hurrying(os.sched_getscheduler, 0)
    assert policies == [os.SCHED_RR if has else os.SCHED_OTHER for has in may]
    assert all(may) or os.geteuid() != 0


@possible
def test_a_cut_cable_ends_the_call_and_a_mended_one_carries_again(cluster, eight):
    cluster.cut("rack 0", "rack 1")
    with pytest.raises(RankError) as caught:
        eight(on_hosts.ring_of_ones, 1000, timeout_s=2)
    assert caught.value.kind == "stuck"
    assert "rank 4 is waiting in" in str(caught.value)
    assert "ring_of_ones() did not finish in 2 s" in str(caught.value)
    cluster.mend("rack 0", "rack 1")
    assert eight(on_hosts.ring_of_ones, 1000) == [8.0] * 8


@possible
def test_an_exception_on_a_host_names_its_rank(eight):
    with pytest.raises(RankError, match="rank 3 of 8 failed .* ValueError: no"):
        eight(on_hosts.fail_on_three)
    assert eight(on_hosts.ring_of_ones, 8) == [8.0] * 8


@possible
def test_three_racks_meet_at_a_spine():
    with (
        EmulatedCluster(racks=3, hosts=1, ranks=1, **RATES) as cluster,
        World(3, hosts=cluster) as world,
    ):
        assert world(on_hosts.ring_of_ones, 3000) == [3.0] * 3
        assert cluster.carried("rack 2", "spine 0") > 3000 * 4
        cluster.cut("rack 2", "spine 0")
        with pytest.raises(RankError, match="did not finish"):
            world(on_hosts.ring_of_ones, 3000, timeout_s=1)


@possible
def test_two_clusters_do_not_meet():
    with (
        EmulatedCluster(**SMALL, **RATES) as a,
        EmulatedCluster(**SMALL, **RATES) as b,
        World(2, hosts=a) as first,
        World(2, hosts=b) as second,
    ):
        assert a.hosts[0].address == b.hosts[0].address
        before = b.carried("rack 0", "rack 1")
        assert first(on_hosts.ring_of_ones, 10_000) == [2.0] * 2
        assert b.carried("rack 0", "rack 1") - before < 5000
        a.cut("rack 0", "rack 1")
        assert second(on_hosts.ring_of_ones, 10_000) == [2.0] * 2


@possible
@pytest.mark.parametrize("end", ["close", "exception", "forgotten"])
def test_nothing_is_left(end):
    names, files = on_hosts.devices(), open_networks()
    cluster = EmulatedCluster(**SMALL, **RATES)
    inodes = {host.network.inode for host in cluster.hosts}
    with World(2, hosts=cluster) as world:
        world(on_hosts.ring_of_ones, 10)
        assert inodes <= on_hosts.networks()
    if end == "exception":
        with pytest.raises(ZeroDivisionError), cluster:
            _ = 1 / 0
    elif end == "close":
        cluster.close()
        cluster.close()
    del cluster
    gc.collect()
    assert not inodes & on_hosts.networks()
    assert open_networks() == files
    assert on_hosts.devices() == names
    assert not list(Path("/run/netns").glob("*"))


def open_networks() -> list[str]:
    """The namespaces that this process holds open."""
    links = []
    for file in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(file))
        except OSError:
            continue
    return sorted(link for link in links if link.startswith(("net:", "user:")))


KILLED = """
import sys
sys.path.insert(0, {here!r})
import on_hosts, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from dlsys_code.communication.hosts import EmulatedCluster
from dlsys_code.world import World
cluster = EmulatedCluster(racks=2, hosts=1, ranks=1, host_bandwidth=1e8,
                          spine_bandwidth=1e8)
world = World(2, hosts=cluster)
world(on_hosts.ring_of_ones, 10)
print(*(host.network.inode for host in cluster.hosts), flush=True)
cluster.cut("rack 0", "rack 1")
world(on_hosts.ring_of_ones, 10, timeout_s=1000)
"""


@possible
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_parent_that_is_killed_in_a_call_leaves_nothing(tmp_path, number):
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(here=str(HERE)))
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    inodes = {int(word) for word in parent.stdout.readline().split()}
    assert len(inodes) == 2 and inodes <= on_hosts.networks()
    parent.send_signal(number)
    parent.communicate(timeout=60)
    end_s = time.monotonic() + 10
    while (left := inodes & on_hosts.networks()) and time.monotonic() < end_s:
        pass
    assert not left


# Who enters a user namespace leaves the right to read root's files behind: load first.
WITHOUT_ROOT = """
import torch, torch.distributed as dist
from dlsys_code.communication.hosts import EmulatedCluster, why_not
from dlsys_code.world import World, starting
starting.PRELOAD.extend(["numpy.random", "dlsys_code.communication.hosts",
                         "dlsys_code.world.rank", "torch.utils._device"])
def total():
    x = torch.ones(10)
    dist.all_reduce(x)
    return x[0].item()
print(why_not(), flush=True)
with EmulatedCluster(racks=2, hosts=1, ranks=1, host_bandwidth=1e8,
                     spine_bandwidth=1e8) as cluster, World(2, hosts=cluster) as world:
    print(cluster.hosts[0].network.user is not None)
    print(world(total))
"""


@possible
def test_a_cluster_without_root():
    """As a user with no rights but to read files: ranks enter the user's network."""
    if os.geteuid() != 0:
        pytest.skip("every other test here runs without root")
    rights = "-all,+dac_read_search,+dac_override"
    user = [
        "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
        f"--bounding-set={rights}", f"--inh-caps={rights}", f"--ambient-caps={rights}",
    ]  # fmt: skip
    done = subprocess.run(
        [*user, sys.executable, "-c", WITHOUT_ROOT],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.stdout.startswith("an emulated cluster needs the right"):
        pytest.skip(done.stdout.strip())
    assert done.stdout.split("\n")[:3] == ["None", "True", "[2.0, 2.0]"], done.stderr


@possible
def test_a_closed_cluster_takes_no_new_ranks():
    cluster = EmulatedCluster(**SMALL, **RATES)
    cluster.close()
    with pytest.raises(RankError, match="the network of this rank has been closed"):
        World(2, hosts=cluster)(on_hosts.ring_of_ones, 1)


@possible
def test_there_is_no_such_cable(cluster):
    for call in (cluster.cut, cluster.mend, cluster.carried):
        with pytest.raises(ValueError, match="no cable between 'host 0' and 'rack 1'"):
            call("host 0", "rack 1")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dict(racks=0), "racks is a whole number from 1 up, not 0"),
        (dict(hosts=1.5), "hosts is a whole number from 1 up, not 1.5"),
        (dict(ranks=True), "ranks is a whole number from 1 up, not True"),
        (dict(racks=5, hosts=20), "100 hosts, and 64 are the most"),
        (dict(host_bandwidth=0), "host_bandwidth is at least 1000 bytes/s, not 0"),
        (dict(spine_bandwidth=-5), "spine_bandwidth is at least 1000 bytes/s, not -5"),
        (dict(spine_bandwidth=float("inf")), "not inf"),
        (dict(spine_bandwidth=float("nan")), "not nan"),
    ],
)
def test_bad_numbers_are_refused_before_anything_is_made(monkeypatch, wrong, says):
    monkeypatch.setattr(namespaces, "make", lambda *_: pytest.fail("made a network"))
    with pytest.raises(ValueError, match=says):
        EmulatedCluster(**{**SMALL, **RATES, **wrong})


def test_ranks_that_do_not_fit_the_hosts_are_refused():
    with pytest.raises(ValueError, match="7 ranks need 7 places on hosts, not 8"):
        World(7, hosts=[None] * 8)
    with pytest.raises(ValueError, match="ranks on hosts use the CPU only"):
        World(8, hosts=[None] * 8, device="cuda")


def test_a_machine_that_cannot_says_why(monkeypatch):
    monkeypatch.setattr(namespaces, "PLACES", "/nowhere")
    monkeypatch.setattr(namespaces.sys, "platform", "linux")
    assert "needs unshare, nsenter, ip, tc" in why_not()
    with pytest.raises(RuntimeError, match="needs unshare, nsenter, ip, tc"):
        EmulatedCluster(**SMALL, **RATES)
    monkeypatch.setattr(namespaces.sys, "platform", "darwin")
    assert why_not() == "an emulated cluster needs Linux, this is darwin"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
def test_missing_rights_are_named(monkeypatch):
    def refuse(command, *_):
        raise RuntimeError("unshare: Operation not permitted")

    monkeypatch.setattr(namespaces, "run", refuse)
    monkeypatch.setattr(namespaces.shutil, "which", lambda tool, path: tool)
    assert "the right to make networks: unshare: Operation not permitted" in why_not()


def test_a_command_without_an_end_is_ended(monkeypatch):
    monkeypatch.setattr(namespaces, "LIMIT_S", 0.1)
    with pytest.raises(RuntimeError, match=r"sh: no end within 0\.1 s"):
        namespaces.run(["sh", "-c", "exec sleep 60"])


def test_the_graph_of_a_cluster():
    plan = wiring.Plan(**SHAPE, spine_bandwidth=100 * Mbit)
    graph = plan.graph()
    assert sorted(n for n in graph if isinstance(n, int)) == list(range(8))
    assert graph.edges["rack 0", "rack 1"]["bandwidth"] == pytest.approx(
        0.9926 * 12.5e6, rel=1e-3
    )
    assert graph.number_of_edges() == 8 + 4 + 1
    wide = wiring.Plan(**{**SHAPE, "racks": 4}, spine_bandwidth=100 * Mbit).graph()
    assert set(wide.neighbors("spine 0")) == {f"rack {i}" for i in range(4)}


def test_latencies_of_a_way_add_up_to_what_was_measured():
    link = wiring.Link
    measured = wiring.Measured(
        host=link(latency_s=1e-4, bandwidth=4e9),
        rack=link(latency_s=2e-4, bandwidth=1e8),
        spine=link(latency_s=5e-4, bandwidth=1e7),
    )
    graph = wiring.Plan(**SHAPE, spine_bandwidth=100 * Mbit).graph(measured)
    for peer, alpha in ((1, 1e-4), (2, 2e-4), (7, 5e-4)):
        way = wiring.nx.shortest_path(graph, 0, peer)
        hops = zip(way, way[1:], strict=False)
        total = sum(graph.edges[hop]["latency_s"] for hop in hops)
        assert total == pytest.approx(alpha)
