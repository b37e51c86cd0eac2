"""Tokens shared between branches: what is kept is the formula, to the last element."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.introduction.activations import block_elements
from dlsys_code.introduction.classic import GPT3, block_bytes
from dlsys_code.introduction.gpt import GPT, GPTConfig, rotations
from dlsys_code.introduction.memory import watch
from dlsys_code.primitive import ring
from dlsys_code.system import sequence_parallel as sequence
from dlsys_code.system import sequence_parallel_activations as kept
from dlsys_code.system import tensor_parallel as tensor
from dlsys_code.system import tensor_parallel_shares as shares
from dlsys_code.system.sequence_parallel_regather import Regather

SIZES = dict(vocabulary=24, width=48, heads=24, key_value_heads=12, hidden=36)
B, T = 2, 12
WAYS = {"tensor": kept.tensor, "sequence": kept.sequence, "regathered": kept.regathered}


def samples() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(5)
    inputs, targets = torch.randint(24, (2, B, T), generator=draw)
    return inputs, targets


def gather_by_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    parts = ring.all_gather(x.flatten(), group)  # (p, k)
    return torch.cat([part.view(x.shape) for part in parts], 1)


def sum_by_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    parts = x.chunk(group.size(), 1)
    chunks = torch.stack([part.flatten() for part in parts])  # (p, k)
    return ring.reduce_scatter(chunks, group).view(parts[0].shape)


def by_ring(
    layers: int, way: str
) -> tuple[tensor.TensorParallelGPT, AbstractContextManager]:
    """A model whose blocks talk by the ring, and the context of its forward pass."""
    again = Regather(gather_by_ring)
    tokens = partial(sequence.sharded, reduce_scatter=sum_by_ring)
    ends = {
        "tensor": partial(tensor.replicated, all_reduce=ring.all_reduce),
        "sequence": partial(tokens, all_gather=gather_by_ring),
        "regathered": partial(tokens, all_gather=again),
    }[way]
    whole = GPT(GPTConfig(layers=layers, **SIZES)).double()
    model = tensor.TensorParallelGPT(whole, dist.group.WORLD, ends=ends)
    return model, again.keeping() if way == "regathered" else nullcontext()


def through_blocks(model: tensor.TensorParallelGPT, way: str) -> Tensor:
    mine = T if way == "tensor" else T // dist.get_world_size()
    x = torch.ones(B, mine, 48, dtype=torch.float64, requires_grad=True)
    cosine, sine = rotations(T, model.config, x)
    for block in model.blocks:
        x = block(x, cosine, sine)
    return x


def live_after_forward(layers: int, way: str) -> int:
    """The bytes that the blocks of this rank keep, their rotations and output too.

    By the ring: gloo's own threads let go of a collective's tensors a little later.
    """
    model, keeping = by_ring(layers, way)
    with watch(model) as memory, keeping:
        x = through_blocks(model, way)
        live = memory.now.total - memory.now.weights
    del x
    return live


def forward_and_backward(layers: int, way: str) -> None:
    model, keeping = by_ring(layers, way)
    with keeping:
        x = through_blocks(model, way)
    x.sum().backward()


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_wire_carries_no_more_than_under_tensor_parallelism(world, p):
    round_bytes = (p - 1) * B * T * 48 * 8 // p  # of one all-gather or reduce-scatter
    for way, rounds in {"tensor": 8, "sequence": 8, "regathered": 10}.items():
        sent = world(p).trace(forward_and_backward, 3, way).bytes_sent()
        assert sent == [3 * rounds * round_bytes] * p


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_a_block_keeps_what_the_formula_says(world, p, way):
    config = GPTConfig(layers=1, **SIZES)
    expected = kept.block_elements(config, B, T, p=p, how=WAYS[way], composed=True)
    one, three = (world(p)(live_after_forward, n, way) for n in (1, 3))
    assert [many - few for few, many in zip(one, three, strict=True)] == [
        2 * 8 * expected
    ] * p


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
