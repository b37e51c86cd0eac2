"""With one mask for all ranks a run with dropout is the serial one for any p."""

from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from dlsys_code.introduction import serial
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.system import sequence_parallel as sequence
from dlsys_code.system import tensor_parallel as tensor
from dlsys_code.system import tensor_parallel_shares as shares
from dlsys_code.system.tensor_parallel_dropout import (
    all_tokens,
    dropping,
    own_tokens,
)

CONFIG = GPTConfig(
    vocabulary=24, width=48, layers=2, heads=24, key_value_heads=12, hidden=36
)
WAYS = {
    "tensor": (tensor.replicated, all_tokens, tensor.sum_copies),
    "sequence": (sequence.sharded, own_tokens, sequence.sum_gains),
}
RATE = 0.25


def samples() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(5)
    inputs, targets = torch.randint(24, (2, 2, 12), generator=draw)
    return inputs, targets


def ends_for(way: str, seed: int, tp: ProcessGroup) -> tensor.Ends:
    ends, part, _ = WAYS[way]
    draw = torch.Generator().manual_seed(seed)
    return dropping(ends(tp), tp, rate=RATE, draw=draw, part=part)


def one_step(way: str, seed_of_rank: int) -> tuple[float, dict[str, Tensor]]:
    """Loss and whole gradients; seeds differ by `seed_of_rank` from rank to rank."""
    tp = dist.group.WORLD
    ends = partial(ends_for, way, 7 + seed_of_rank * tp.rank())
    model = tensor.TensorParallelGPT(GPT(CONFIG).double(), tp, ends=ends)
    loss = tensor.mean_loss(model, *samples())
    loss.backward()
    WAYS[way][-1](model, tp)
    return loss.item(), shares.whole_gradients(model, tp)


def serially() -> tuple[float, dict[str, Tensor]]:
    """The same in one process, by hooks behind the embedding and every branch."""
    model, draw = GPT(CONFIG).double(), torch.Generator().manual_seed(7)

    def drop(layer: nn.Module, _: object, y: Tensor) -> Tensor:
        return y * (torch.rand(y.shape, generator=draw) >= RATE) / (1 - RATE)

    branches = [b for x in model.blocks for b in (x.attention, x.feed_forward)]
    for layer in (model.embed, *branches):
        layer.register_forward_hook(drop)
    loss = serial.mean_loss(model, *samples())
    loss.backward()
    return loss.item(), {name: x.grad for name, x in model.named_parameters()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("p", [1, 3, 4])
def test_ranks_drop_what_one_process_drops(world, p, way):
    expected, gradients = serially()
    for loss, found in world(p)(one_step, way, 0):
        assert loss == pytest.approx(expected, rel=1e-12)
        for name, gradient in gradients.items():
            limit = 1e-12 * gradient.abs().max().item()
            torch.testing.assert_close(found[name], gradient, rtol=0, atol=limit)


def test_ranks_with_seeds_of_their_own_part_without_a_word(world):
    (one, _), (other, _) = world(2)(one_step, "tensor", 1)
    expected, _ = serially()
    assert abs(one - expected) > 1e-6 and abs(other - expected) > 1e-6


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_outside_the_range_is_refused(rate):
    ends = tensor.Ends(enter=torch.clone, leave=torch.clone)
    with pytest.raises(ValueError, match=f"not {rate}"):
        dropping(ends, None, rate=rate, draw=torch.Generator(), part=all_tokens)
