"""Every scheme in one form: one loop trains them all to what one process learns."""

from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system import schemes
from dlsys_code.system.schemes import SCHEMES, Scheme
from dlsys_code.system.zero import OptimizerShards
from dlsys_code.system.zero_gradients import GradientShards

STEPS = 3
MODEL = GPTConfig(
    vocabulary=256, width=16, layers=2, heads=4, key_value_heads=2, hidden=12
)
HOW = Recipe(model=MODEL, batch=4, sequence=16, dtype=torch.float64)
WAYS = SCHEMES | {
    "alone": schemes.alone,
    "small buckets": partial(schemes.data, limit_bytes=100, first_bytes=1),
    "ZeRO-1": partial(schemes.zero, shards=OptimizerShards),
    "ZeRO-2": partial(schemes.zero, shards=GradientShards),
}
# Bytes that a rank sends in a step: in weights, and in the stream of all tokens.
GAINS = (2 * MODEL.layers + 1) * MODEL.width * 8
STREAM = HOW.tokens_per_step * MODEL.width * 8


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:10_000]


def trained(scheme: Scheme, text: Tensor, steps: int) -> list[float]:
    return list(schemes.train(scheme, HOW, text, dist.group.WORLD, steps=steps))


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("p", [1, 2, 4])
def test_every_scheme_learns_what_one_process_learns(world, text, p, name):
    ranks = world(p)(trained, WAYS[name], text, STEPS)
    means = [sum(losses) / p for losses in zip(*ranks, strict=True)]
    assert means == pytest.approx(list(serial.train(HOW, text, steps=STEPS)), rel=1e-12)


def held(scheme: Scheme, text: Tensor) -> schemes.Held:
    return schemes.bytes_held(scheme, HOW, text, dist.group.WORLD)


def test_what_is_shared_out_falls_by_the_ranks(world, text):
    """But for gains, padding, counters and what comes with the tokens of a batch."""
    whole, p = world(1)(held, schemes.alone, text)[0].most, 4
    shared = {
        "data": {"activations"},
        "ZeRO-3": {"weights", "gradients", "optimizer", "activations"},
        "tensor": {"weights", "gradients", "optimizer"},
        "sequence": {"weights", "gradients", "optimizer"},
        "context": {"activations"},
    }
    for name, scheme in SCHEMES.items():
        most = world(p)(held, scheme, text)[0].most
        for kind in ("weights", "gradients", "optimizer", "activations"):
            part = getattr(most, kind) / getattr(whole, kind)
            if kind in shared[name]:
                assert 0.2 < part < 0.4, (name, kind)
            elif kind != "activations":
                assert part == pytest.approx(1, abs=0.01), (name, kind)
    kept = {n: world(p)(held, SCHEMES[n], text)[0] for n in ("tensor", "sequence")}
    assert kept["sequence"].most.activations < kept["tensor"].most.activations


def test_the_peak_is_of_one_moment(world, text):
    each = world(2)(held, schemes.data, text)[0]
    most = sum(vars(each.most).values())
    assert each.most.other == 0
    assert each.most.weights <= each.peak.total <= most + each.peak.other


@pytest.mark.parametrize("p", [2, 4])
def test_a_step_sends_what_the_formulas_say(world, text, p):
    """All but context parallelism, whose messages have a test of their own."""
    n = 8 * sum(w.numel() for w in serial.fresh_model(HOW).parameters())
    loss = 3 * HOW.tokens_per_step * 8
    stream = (4 * MODEL.layers + 2) * STREAM
    expected = {
        "alone": 0,
        "data": 2 * n,
        "ZeRO-1": 2 * n,
        "ZeRO-3": 3 * n,
        "tensor": 2 * (stream + loss),
        "sequence": 2 * (stream + loss + GAINS),
    }
    if p > MODEL.key_value_heads:  # copies of heads
        copied = 2 * MODEL.layers * MODEL.key_value_heads * MODEL.head_width
        expected["tensor"] += 2 * copied * MODEL.width * 8
        expected["sequence"] += 2 * copied * MODEL.width * 8
    for name, total in expected.items():
        sent = [
            schemes.bytes_sent(world(p).trace(trained, WAYS[name], text, steps))
            for steps in (1, 2)
        ]
        for once, twice in zip(*sent, strict=True):
            # ZeRO fills up the weights of a unit to a multiple of p.
            assert twice - once == pytest.approx((p - 1) / p * total, rel=1e-3), name


def test_bytes_of_a_trace_are_messages_and_what_a_ring_sends(world):
    def program() -> None:
        dist.all_reduce(torch.ones(4))
        if dist.get_rank() == 0:
            dist.send(torch.ones(3), 1)
        elif dist.get_rank() == 1:
            dist.recv(torch.empty(3), 0)

    assert schemes.bytes_sent(world(4).trace(program)) == [24 + 12, 24, 24, 24]


def test_the_last_step_is_every_ranks_own(world, text):
    trace = world(2).trace(trained, schemes.data, text, 3)
    last = schemes.last_step(trace)
    for rank in range(2):
        spans = [e.op for e in last.events if e.rank == rank and e.kind == "compute"]
        assert spans == ["forward", "backward", "optimizer"]
    assert last.results == trace.results
