"""Tokens shared between branches: what is kept is the formula, to the last element."""

from contextlib import AbstractContextManager
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.introduction import serial
from dlsys_code.introduction.activations import block_elements
from dlsys_code.introduction.classic import GPT3, block_bytes
from dlsys_code.introduction.gpt import GPT, GPTConfig, rotations
from dlsys_code.system import sequence_parallel as sequence
from dlsys_code.system import sequence_parallel_activations as kept
from dlsys_code.system import tensor_parallel as tensor
from dlsys_code.system import tensor_parallel_shares as shares
from dlsys_code.system.sequence_parallel_kept import by_ring, kept_bytes
from dlsys_code.system.sequence_parallel_regather import Regather

SIZES = dict(vocabulary=24, width=48, heads=24, key_value_heads=12, hidden=36)
B, T = 2, 12
WAYS = {"tensor": kept.tensor, "sequence": kept.sequence, "regathered": kept.regathered}


def samples() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(5)
    inputs, targets = torch.randint(24, (2, B, T), generator=draw)
    return inputs, targets


def model_by_ring(
    way: str,
) -> tuple[tensor.TensorParallelGPT, AbstractContextManager]:
    """A model of three blocks that talk by the ring; the context of its forward."""
    ends, keeping = by_ring(way)
    whole = GPT(GPTConfig(layers=3, **SIZES)).double()
    return tensor.TensorParallelGPT(whole, dist.group.WORLD, ends=ends), keeping


def forward_and_backward(way: str) -> None:
    model, keeping = model_by_ring(way)
    mine = T if way == "tensor" else T // dist.get_world_size()
    x = torch.ones(B, mine, 48, dtype=torch.float64, requires_grad=True)
    with keeping:
        cosine, sine = rotations(T, model.config, x)
        for block in model.blocks:
            x = block(x, cosine, sine)
    x.sum().backward()


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_wire_carries_no_more_than_under_tensor_parallelism(world, p):
    round_bytes = (p - 1) * B * T * 48 * 8 // p  # of one all-gather or reduce-scatter
    for way, rounds in {"tensor": 8, "sequence": 8, "regathered": 10}.items():
        sent = world(p).trace(forward_and_backward, way).bytes_sent()
        assert sent == [3 * rounds * round_bytes] * p


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("p", "g"), [(1, 12), (2, 12), (3, 12), (4, 12), (4, 2)])
def test_blocks_keep_what_the_formula_says(world, p, g, way):
    config = GPTConfig(layers=2, **SIZES | {"key_value_heads": g})
    block = kept.block_elements(config, B, T, p=p, how=WAYS[way], composed=True)
    assert world(p)(kept_bytes, config, B, T, way) == [2 * 4 * block] * p


def regathered_gradients() -> dict[str, Tensor]:
    """The gradients of one step, put together."""
    tp, again = dist.group.WORLD, Regather()
    ends = partial(sequence.sharded, all_gather=again)
    whole = GPT(GPTConfig(layers=3, **SIZES)).double()
    model = tensor.TensorParallelGPT(whole, tp, ends=ends)
    with again.keeping():
        loss = tensor.mean_loss(model, *samples())
    loss.backward()
    sequence.sum_gains(model, tp)
    return shares.whole_gradients(model, tp)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_tokens_gathered_again_give_the_serial_gradients(world, p):
    model = GPT(GPTConfig(layers=3, **SIZES)).double()
    serial.mean_loss(model, *samples()).backward()
    for gradients in world(p)(regathered_gradients):
        for name, weight in model.named_parameters():
            limit = 1e-12 * weight.grad.abs().max().item()
            found = gradients[name]
            torch.testing.assert_close(found, weight.grad, rtol=0, atol=limit)


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_three_ways_are_the_three_forms_of_the_paper(p):
    config = GPTConfig(layers=1, **SIZES)
    serially = B * T * block_elements(config, T)
    ways = {
        name: kept.block_elements(config, B, T, p=p, how=WAYS[name]) for name in WAYS
    }
    repeated = B * T * 2 * (2 * 48 + 1)
    assert ways["tensor"] == repeated + (serially - repeated) // p  # 10 + 24 / t
    assert ways["regathered"] == serially // p  # 34 / t
    assert ways["sequence"] - ways["regathered"] == B * T * 2 * 48 * (p - 1) // p
    classic = partial(block_bytes, GPT3, 1, keep_scores=False)
    assert classic(tp=p, sequence_parallel=True) == pytest.approx(classic(tp=1) / p)


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Gathered tokens, this rank's, and this rank's of the sum."""
    tp = dist.group.WORLD
    mine = torch.arange(2 * 3 * 2).view(2, 3, 2) + 100 * tp.rank()
    every = sequence.gather_tokens(mine, tp)
    return every, mine, sequence.sum_tokens(every, tp)


@pytest.mark.parametrize("p", [1, 2, 3])
def test_tokens_are_gathered_and_shared_in_rank_order(world, p):
    results = world(p)(pairs)
    whole = torch.cat([mine for _, mine, _ in results], 1)
    for every, mine, total in results:
        assert torch.equal(every, whole)
        assert torch.equal(total, p * mine)


def calls_in_backward(regather: bool) -> None:
    tp, again = dist.group.WORLD, Regather()
    ends = partial(sequence.sharded, all_gather=again)
    whole = GPT(GPTConfig(layers=2, **SIZES))
    model = tensor.TensorParallelGPT(whole, tp, ends=ends)
    if regather:
        with again.keeping():
            loss = tensor.mean_loss(model, *samples())
    else:
        loss = tensor.mean_loss(model, *samples())
    loss.backward()


def test_one_more_gather_for_each_branch_and_the_head(world):
    counts = []
    for regather in (False, True):
        trace = world(2).trace(calls_in_backward, regather)
        counts.append(sum(e.rank == 0 and "gather" in e.op for e in trace.events))
    assert counts[1] - counts[0] == 2 * 2 + 1


def gathers_of_passes() -> tuple[list[int], list[Tensor]]:
    """How often each of three passes gathers, of which two end early; gradients."""
    tp, calls = dist.group.WORLD, []

    def all_gather(x: Tensor, group: dist.ProcessGroup) -> Tensor:
        calls.append(x)
        return sequence.gather_tokens(x, group)

    again = Regather(all_gather)
    ends = partial(sequence.sharded, all_gather=again)
    whole = GPT(GPTConfig(layers=1, **SIZES)).double()
    model = tensor.TensorParallelGPT(whole, tp, ends=ends)
    with again.keeping():
        loss = tensor.mean_loss(model, *samples())
    query, embed = model.blocks[0].attention.query.weight, model.embed.weight
    counts = []
    for weights in ([query], [query], [query, embed]):
        calls.clear()
        found = torch.autograd.grad(loss, weights, retain_graph=True)
        counts.append(len(calls))
    return counts, [*found, *torch.autograd.grad(loss, weights)]


@pytest.mark.parametrize("p", [1, 2])
def test_a_pass_that_ended_early_leaves_nothing_to_the_next(world, p):
    """Who has read gathers anew; a rank that failed alone would wait for the others."""
    for (first, second, _), gradients in world(p)(gathers_of_passes):
        assert first == second > 0
        for found, expected in zip(gradients[:2], gradients[2:], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
