"""Servers and workers are killed for real: no acknowledged update is lost."""

import os
import select
import signal
import subprocess
import sys
import threading
from itertools import permutations
from multiprocessing import Pipe

import pytest
import torch
from torch import nn

from dlsys_code.architecture.client import DONE, Client, Push, hear, say
from dlsys_code.architecture.keys import Values
from dlsys_code.architecture.parameter_server import Shard
from dlsys_code.architecture.replicas import Replica, commit
from dlsys_code.architecture.server_processes import (
    WatchAll,
    ignore,
    kill_at,
    processes,
    start_servers,
)

STEPS = 5
FIRST = {"a": torch.linspace(-1, 1, 5), "b": torch.ones(2)}


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """Its state of earlier steps counts, so a state that got lost would be seen."""
    return torch.optim.AdamW(model.parameters(), lr=0.1)


def gradients(step: int) -> Values:
    draw = torch.Generator().manual_seed(step)
    return {key: torch.randn(len(x), generator=draw) for key, x in FIRST.items()}


def after(steps: int) -> Values:
    """The weights after so many updates, made here."""
    shard = Shard(FIRST, adamw)
    for step in range(steps):
        shard.update_(gradients(step))
    return shard.values()


def same(x: Values, y: Values) -> bool:
    """Whether two have the same bits."""
    return list(x) == list(y) and all(torch.equal(x[key], y[key]) for key in x)


@pytest.fixture
def served():
    """served(replicas, watch) starts servers; it returns a client and processes."""
    with processes() as start:

        def begin(replicas: int = 2, watch: WatchAll = ignore):
            clients, servers = start_servers(
                start, FIRST, adamw, clients=1, replicas=replicas, watch=watch
            )
            return clients[0], servers

        yield begin


def push_all(client: Client) -> None:
    """Push every step, and look after each whether all so far are there."""
    for step in range(STEPS):
        client.push(step, gradients(step))
        assert same(client.pull(), after(step + 1))


EVENTS = ["pushed", "updated", "copied", "acknowledged"]


@pytest.mark.parametrize("event", EVENTS)
def test_a_killed_primary_loses_no_acknowledged_update(served, event):
    client, (primary, backup) = served(watch=kill_at("server 0", event, 2))
    push_all(client)
    primary.join()
    assert primary.exitcode == -signal.SIGKILL
    assert backup.is_alive()
    assert len(client.living) == 1


def test_a_killed_backup_loses_nothing(served):
    client, (primary, backup) = served(watch=kill_at("server 1", "updated", 2))
    push_all(client)
    backup.join()
    assert backup.exitcode == -signal.SIGKILL
    assert primary.is_alive()


@pytest.mark.parametrize("moment", range(1, 4))
def test_a_primary_killed_from_outside_at_any_moment_loses_nothing(served, moment):
    client, (primary, _) = served()
    client.pull()
    now = threading.Event()

    def kill() -> None:
        now.wait()
        primary.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    for step in range(40):
        if step == moment:
            now.set()
        client.push(step, gradients(step))
    killer.join()
    assert same(client.pull(), after(40))
    assert len(client.living) == 1


def test_the_order_of_pushes_changes_no_bit_and_the_backup_gets_their_mean_once():
    found = []
    for order in permutations(range(3)):
        primary, backup = Pipe()
        replica = Replica(Shard(FIRST, adamw), lambda event, step: None)
        say(backup, DONE)
        commit(replica, {n: Push(0, gradients(n)) for n in order}, primary)
        found.append((hear(backup).gradients, replica.shard.values()))
        assert not backup.poll()
    mean = {key: sum(gradients(n)[key] for n in range(3)) / 3 for key in FIRST}
    shard = Shard(FIRST, adamw)
    shard.update_(mean)
    for copied, weights in found:
        assert same(copied, mean)
        assert same(weights, shard.values())


def test_the_only_server_takes_everything_with_it(served):
    client, _ = served(replicas=1, watch=kill_at("server 0", "updated", 1))
    client.push(0, gradients(0))
    known = client.pull()
    for _ in range(2):
        with pytest.raises(ConnectionError, match="all servers are lost, 1 of 1"):
            client.push(1, gradients(1))
    assert same(known, after(1))


def test_the_second_death_counts(served):
    client, (primary, backup) = served(watch=kill_at("server 1", "updated", 2))
    client.push(0, gradients(0))
    primary.kill()
    client.push(1, gradients(1))
    with pytest.raises(ConnectionError, match="all servers are lost, 2 of 2"):
        client.push(2, gradients(2))
    backup.join()
    assert backup.exitcode == -signal.SIGKILL


BAD = [
    (0, {"q": torch.zeros(1)}, "'q' is none of the 2 keys"),
    (0, {"a": torch.zeros(4)}, "key 'a' takes (5,) of torch.float32, not (4,) of"),
    (0, {"b": torch.zeros(2).double()}, "not (2,) of torch.float64"),
    (0, {"a": [0.0] * 5}, "key 'a' takes a tensor, not list"),
    (7, {}, "step 7 cannot be pushed before step 0"),
    (-1, {}, "step -1 cannot be pushed, the next is 0"),
]


def test_servers_live_on_after_bad_pushes_and_count_none_twice(served):
    client, (primary, backup) = served()
    for step, part, complaint in BAD:
        with pytest.raises(ValueError) as caught:
            client.push(step, gradients(0) | part)
        assert complaint in str(caught.value)
    with pytest.raises(ValueError, match="1 of 2 keys are missing: 'b' first"):
        client.push(0, {"a": torch.zeros(5)})
    with pytest.raises(ValueError, match="asked to push or pull, not 'pul'"):
        client._ask("pul")
    push_all(client)
    with pytest.raises(ValueError, match=f"step {STEPS - 2} .* the next is {STEPS}"):
        client.push(STEPS - 2, gradients(0))
    client.push(STEPS - 1, gradients(0))
    primary.kill()
    client.push(STEPS - 1, gradients(0))
    assert same(client.pull(), after(STEPS))


def test_a_silent_server_is_not_waited_for_for_ever(served):
    client, (primary, _) = served()
    client.pull()
    client.patience_s = 0.05
    os.kill(primary.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError, match="no server answered in 0.05 s"):
        client.push(0, gradients(0))
    os.kill(primary.pid, signal.SIGCONT)
    with pytest.raises(ConnectionError):  # rather than the answer to the push
        client.pull()


@pytest.mark.parametrize(("replicas", "clients"), [(0, 1), (3, 1), (2, 0)])
def test_servers_that_cannot_be_are_refused(replicas, clients):
    complaint = f"1 or 2 servers have at least 1 client, not {replicas} and {clients}"
    with processes() as start, pytest.raises(ValueError) as caught:
        start_servers(start, FIRST, adamw, clients=clients, replicas=replicas)
    assert str(caught.value) == complaint


def test_servers_without_a_key_are_refused():
    with processes() as start, pytest.raises(ValueError, match="1 key, not 0"):
        start_servers(start, {}, adamw, clients=1)


SCRIPT = """
import signal
from test_replicas import FIRST, adamw
from dlsys_code.architecture.replicas import Replica, commit
from dlsys_code.architecture.server_processes import processes, start_servers
with processes() as start:
    clients, servers = start_servers(start, FIRST, adamw, clients=2)
    clients[0].pull()
    print(*(server.pid for server in servers), flush=True)
    signal.pause()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_servers_end_when_all_their_clients_are_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with parent:
        ends = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
        assert len(ends) == 2
        for end in ends:
            assert select.select([end], [], [], 20) == ([end], [], [])
            os.close(end)
