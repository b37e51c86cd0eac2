"""Ping-pong on real ranks: what is sent, what is returned, and what is refused."""

from collections import Counter

import pytest
import torch
import torch.distributed as dist

from dlsys_code.communication.fit import fit_link
from dlsys_code.communication.ping_pong import (
    WARM_UP,
    Rally,
    ping_pong,
    play,
    transport_of,
)
from dlsys_code.world import World


def test_every_size_has_a_time_of_every_round(world):
    rally = Rally(sizes=(8, 1000, 4096), rounds=5)
    times = ping_pong(world(2), rally)
    assert list(times) == [8, 1000, 4096]
    assert all(len(samples) == 5 and min(samples) > 0 for samples in times.values())


def test_each_message_goes_there_and_back(world):
    rally = Rally(sizes=(8, 1000, 4096), rounds=5)
    trace = world(2).trace(play, rally, "cpu", True)
    trips = WARM_UP + 5
    assert trace.bytes_sent() == 2 * [trips * (8 + 1000 + 4096)]
    messages = trace.messages()
    assert Counter((m.source, m.destination, m.bytes) for m in messages) == {
        (source, 1 - source, n): trips for source in (0, 1) for n in rally.sizes
    }
    # Every answer is as long as what it answers, and nothing overlaps.
    assert [m.step for m in messages] == list(range(2 * trips * 3))
    assert [m.source for m in messages] == [0, 1] * (3 * trips)
    there, back = messages[0::2], messages[1::2]
    assert [m.bytes for m in there] == [m.bytes for m in back]


def orders(trace, sizes: int) -> list[list[int]]:
    """The sizes in the order in which each round sends them."""
    sent = [m.bytes for m in trace.messages() if m.source == 0]
    return [sent[i : i + sizes] for i in range(0, len(sent), sizes)]


def test_every_round_has_an_order_of_its_own(world):
    rally = Rally(sizes=(1, 2, 3, 4, 5, 6), rounds=4)
    rounds = orders(world(2).trace(play, rally, "cpu", True), 6)
    assert len(rounds) == WARM_UP + 4
    assert all(sorted(order) == [1, 2, 3, 4, 5, 6] for order in rounds)
    assert len({tuple(order) for order in rounds}) == len(rounds)
    other = Rally(sizes=(1, 2, 3, 4, 5, 6), rounds=4, seed=1)
    assert orders(world(2).trace(play, other, "cpu", True), 6) != rounds


def test_any_pair_of_ranks_plays_and_the_others_rest(world):
    rally = Rally(sizes=(8, 64), rounds=2, pair=(2, 1))
    trace = world(4).trace(play, rally, "cpu", True)
    sent = (WARM_UP + 2) * (8 + 64)
    assert trace.bytes_sent() == [0, sent, sent, 0]
    assert trace.messages()[0].source == 2
    assert [len(times) for times in trace.results] == [0, 2, 2, 0]
    assert [len(samples) for samples in ping_pong(world(4), rally).values()] == [2, 2]


def test_a_timed_run_leaves_out_the_notes(world):
    trace = world(2).trace(play, Rally(sizes=(8,), rounds=2), "cpu")
    assert trace.bytes_sent() == [0, 0]
    assert len(trace.results[0][8]) == 2


class Counting(dist.ProcessGroupGloo):
    """A transport that counts what it sends."""

    sent = 0

    def send(self, tensors, to, tag=0):
        type(self).sent += tensors[0].nbytes
        return super().send(tensors, to, tag)


def counting(store, rank, ranks, limit):
    return Counting(store, rank, ranks, limit)


def play_and_count(rally: Rally) -> int:
    play(rally, "cpu")
    return transport_of(dist.group.WORLD).sent


def test_any_transport_of_a_world_plays():
    rally = Rally(sizes=(8, 100), rounds=2)
    with World(2, device="cpu", transport=counting) as world:
        assert world(play_and_count, rally) == 2 * [(WARM_UP + 2) * 108]


def test_measured_times_can_be_fitted(world):
    fit = fit_link(ping_pong(world(2), Rally(sizes=(4, 1024, 2**20, 2**23), rounds=9)))
    assert fit.link.latency_s > 0
    assert list(fit.errors) == [4, 1024, 2**20, 2**23]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sizes": ()}, "there is at least one"),
        ({"sizes": (0, 8)}, "a message has at least 1 B"),
        ({"rounds": 0}, "0 rounds"),
        ({"sizes": (8, 8)}, "named twice"),
        ({"pair": (1, 1)}, r"not \(1, 1\)"),
        ({"pair": (-1, 0)}, r"not \(-1, 0\)"),
    ],
)
def test_a_rally_that_cannot_be_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Rally(**options)


def test_a_pair_outside_of_the_world_is_refused(world):
    with pytest.raises(ValueError, match=r"2 ranks have no pair \(0, 2\)"):
        ping_pong(world(2), Rally(pair=(0, 2)))


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_a_pair_of_gpus_plays_over_nccl():
    with World(2, device="cuda") as world:
        times = ping_pong(world, Rally(sizes=(4, 2**20, 2**26), rounds=5))
    fit = fit_link(times)
    assert fit.link.latency_s > 0
    assert min(times[2**26]) > min(times[4])
