"""Matrices shared by ranks: the losses, gradients and weights are the serial ones."""

from functools import partial
from math import gcd

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard
from torch.distributed.tensor.parallel import (
    loss_parallel,
)
from torch.nn import functional as F

from dlsys_code.introduction import gpt, serial, tokens
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.primitive import adjoint, ring
from dlsys_code.system import sequence_parallel as sequence
from dlsys_code.system import tensor_parallel as tensor
from dlsys_code.system import tensor_parallel_shares as shares
from dlsys_code.system.sequence_parallel_regather import Regather
from dlsys_code.system.tensor_parallel_vocabulary import cross_entropy, own_rows
from dlsys_code.world import RankError

CONFIG = GPTConfig(  # shared by 1, 2, 3 and 4 ranks; 264 words, as a text is bytes
    vocabulary=264, width=48, layers=2, heads=24, key_value_heads=12, hidden=36
)
ENDS = {"tensor": tensor.replicated, "sequence": sequence.sharded}
TRAIN = {"tensor": tensor.train, "sequence": sequence.train}
COMPLETE = {"tensor": tensor.sum_copies, "sequence": sequence.sum_gains}
exactly = partial(torch.testing.assert_close, rtol=1e-12, atol=1e-14)


def whole_model(config: GPTConfig) -> GPT:
    """A model in float64 with weights of size 1 and gains that differ."""
    model = GPT(config, seed=3).double()
    for weight in model.parameters():
        if weight.dim() == 2:
            weight.data *= 10
        else:
            weight.data += torch.linspace(-0.5, 0.5, len(weight))
    return model


def samples(config: GPTConfig, b: int, T: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(5)
    inputs, targets = torch.randint(config.vocabulary, (2, b, T), generator=draw)
    return inputs, targets


def one_step(
    config: GPTConfig, b: int, T: int, way: str
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of this rank, and the gradients put together."""
    tp = dist.group.WORLD
    model = tensor.TensorParallelGPT(whole_model(config), tp, ends=ENDS[way])
    loss = tensor.mean_loss(model, *samples(config, b, T))
    loss.backward()
    COMPLETE[way](model, tp)
    return loss.detach(), shares.whole_gradients(model, tp)


def check_step(world, p: int, config: GPTConfig, b: int, T: int, way: str) -> None:
    model = whole_model(config)
    loss = serial.mean_loss(model, *samples(config, b, T))
    loss.backward()
    expected = {name: x.grad for name, x in model.named_parameters()}
    for value, gradients in world(p)(one_step, config, b, T, way):
        exactly(value, loss.detach())
        assert list(gradients) == list(expected)
        for name, gradient in gradients.items():
            limit = 1e-12 * expected[name].abs().max().item()
            torch.testing.assert_close(gradient, expected[name], rtol=0, atol=limit)


@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize(
    ("p", "tied"), [(1, True), (2, False), (3, True), (4, True), (4, False)]
)
def test_loss_and_gradients_are_the_serial_ones(world, p, tied, way):
    config = GPTConfig(**vars(CONFIG) | {"tied": tied})
    check_step(world, p, config, 3, 12, way)


@settings(derandomize=True, max_examples=14, deadline=None)
@given(
    p=st.integers(1, 8),
    sizes=st.tuples(*[st.integers(1, 3)] * 5),
    per_rank=st.tuples(*[st.integers(1, 3)] * 2),
    copies=st.integers(1, 8),
    way=st.sampled_from(list(ENDS)),
    tied=st.booleans(),
)
def test_any_sizes_that_divide(world, p, sizes, per_rank, copies, way, tied):
    d, group, layers, b, hidden = sizes
    words, T = per_rank
    config = GPTConfig(
        vocabulary=p * words + p,
        width=2 * d * group * p,
        layers=layers,
        heads=group * p,
        key_value_heads=p // gcd(p, copies),  # each on gcd(p, copies) ranks
        hidden=hidden * p,
        tied=tied,
    )
    check_step(world, p, config, b, T * p, way)


# ------------------------------------------------------------ a whole run


def run(how: Recipe, text: Tensor, steps: int, way: str) -> list[float]:
    return list(TRAIN[way](how, text, dist.group.WORLD, steps=steps))


def recipe(T: int = 12) -> Recipe:
    return Recipe(model=CONFIG, batch=3, sequence=T, dtype=torch.float64)


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_ranks_learn_what_one_process_learns(world, text, p, way):
    expected = list(serial.train(recipe(), text, steps=3))
    assert max(expected) - min(expected) > 1e-3
    for losses in world(p)(run, recipe(), text, 3, way):
        assert losses == pytest.approx(expected, rel=1e-12)


def weights_after(how: Recipe, text: Tensor, way: str) -> dict[str, Tensor]:
    """Whole weights after two steps of SGD, whose update is linear in the gradient."""
    tp = dist.group.WORLD
    model = tensor.TensorParallelGPT(serial.fresh_model(how), tp, ends=ENDS[way])
    for step in range(2):
        inputs, targets = serial.batch(how, text, step, range(how.batch))
        model.zero_grad()
        tensor.mean_loss(model, inputs, targets).backward()
        COMPLETE[way](model, tp)
        torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1).step()
    return shares.whole_weights(model, tp)


@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize("p", [2, 3, 4])
def test_weights_after_steps_are_the_serial_ones(world, text, p, way):
    model = serial.fresh_model(recipe())
    before = [x.detach().clone() for x in model.parameters()]
    for step in range(2):
        inputs, targets = serial.batch(recipe(), text, step, range(3))
        model.zero_grad()
        serial.mean_loss(model, inputs, targets).backward()
        torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1).step()
    moves = zip(before, model.parameters(), strict=True)
    assert all((x - y).abs().max() > 1e-4 for x, y in moves)
    for weights in world(p)(weights_after, recipe(), text, way):
        for name, weight in model.named_parameters():
            exactly(weights[name], weight.detach())


# ------------------------------------------------------------ what is sent


def elements(trace, rank: int, item: int = 8) -> list[tuple[str, int]]:
    calls = [e for e in trace.events if e.rank == rank and e.kind == "collective"]
    return [(e.op, e.bytes // item) for e in calls]


def forward_and_backward(layers: int, way: str, regather: bool) -> None:
    """One step; on tokens of one word each, so that only sizes matter."""
    tp, ends, again = dist.group.WORLD, ENDS[way], Regather()
    if regather:
        ends = partial(ends, all_gather=again)
    config = GPTConfig(**vars(CONFIG) | {"layers": layers})
    model = tensor.TensorParallelGPT(whole_model(config), tp, ends=ends)
    with again.keeping():
        loss = tensor.mean_loss(model, *samples(config, 3, 12))
    loss.backward()
    COMPLETE[way](model, tp)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("p", [2, 3])
def test_a_block_all_reduces_twice_forward_and_twice_backward(world, p, layers):
    trace = world(p).trace(forward_and_backward, layers, "tensor", False)
    t, h = 3 * 12, CONFIG.width
    stream = [t * h] * (1 + 2 * layers)  # the embedding or the head, and the blocks
    for rank in range(p):
        sent = elements(trace, rank)
        assert {op for op, _ in sent} == {"all_reduce"}
        assert [n for _, n in sent] == [*stream, t, 2 * t, *stream]


def through_the_ring(layers: int) -> None:
    """The blocks alone, their all-reduces made of messages."""
    config = GPTConfig(**vars(CONFIG) | {"layers": layers})
    ends = partial(tensor.replicated, all_reduce=ring.all_reduce)
    model = tensor.TensorParallelGPT(whole_model(config), dist.group.WORLD, ends=ends)
    x = torch.ones(3, 12, config.width, dtype=torch.float64, requires_grad=True)
    cosine_sine = gpt.rotations(12, config, x)
    y = x
    for block in model.blocks:
        y = block(y, *cosine_sine)
    y.sum().backward()


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_bytes_of_a_block_are_the_formula(world, p):
    layers = 3
    n = 3 * 12 * CONFIG.width * 8  # bytes; p divides the elements
    sent = world(p).trace(through_the_ring, layers).bytes_sent()
    assert sent == [layers * 4 * 2 * (p - 1) * n // p] * p


@pytest.mark.parametrize("p", [2, 3])
def test_sequence_parallel_moves_the_halves_of_every_all_reduce(world, p):
    trace = world(p).trace(forward_and_backward, 2, "sequence", False)
    sent = [op for op, _ in elements(trace, 0)]
    gather, scatter = "all_gather", "reduce_scatter"
    forward = [scatter, *[gather, scatter] * 4, gather]
    backward = [scatter, *[gather, scatter] * 4, gather]
    assert sent == [*forward, *["all_reduce"] * 2, *backward, "all_reduce"]
    assert elements(trace, 0)[-1] == ("all_reduce", 5 * CONFIG.width)


# ------------------------------------------------------------ convention, refusals


def wrong_convention() -> tuple[Tensor, Tensor]:
    """The gradient of the first gain, if a replicated loss is counted on every rank."""
    found = []
    for back in (adjoint.identity, ring.all_reduce):
        tp = dist.group.WORLD
        model = tensor.TensorParallelGPT(whole_model(CONFIG), tp)
        out = adjoint.with_adjoint(ring.all_reduce, back)
        for block in model.blocks[-1:]:
            block.leave = partial(out, group=tp)
        x = torch.linspace(-1, 1, 48, dtype=torch.float64).expand(1, 1, 48)
        y = model.blocks[-1](x, *gpt.rotations(1, CONFIG, x))
        y.sin().sum().backward()
        found.append(model.blocks[-1].feed_forward.down.weight.grad)
    return found[0], found[1]


def test_a_loss_counted_on_every_rank_is_p_times_too_large(world):
    for right, wrong in world(3)(wrong_convention):
        assert right.abs().max() > 0
        exactly(wrong, 3 * right)


UNEVEN = GPTConfig(
    vocabulary=9, width=24, layers=1, heads=6, key_value_heads=3, hidden=7
)
COMPLAINT = "4 ranks cannot share 6 heads, 3 key-value heads, 7 hidden units, 9 words"


def refused(config: GPTConfig) -> None:
    tensor.TensorParallelGPT(GPT(config), dist.group.WORLD)


def test_all_sizes_that_do_not_divide_are_named_at_once(world):
    with pytest.raises(ValueError) as caught:
        shares.check(UNEVEN, 4, sequence=10)
    assert str(caught.value) == f"{COMPLAINT}, 10 tokens evenly"
    with pytest.raises(RankError) as failed:
        world(4)(refused, UNEVEN)
    assert failed.value.cause == f"ValueError: {COMPLAINT} evenly"
    how = Recipe(model=UNEVEN, batch=1, sequence=10)
    with pytest.raises(RankError) as failed:
        world(4)(run, how, torch.zeros(20, dtype=torch.uint8), 1, "sequence")
    assert failed.value.cause == f"ValueError: {COMPLAINT}, 10 tokens evenly"
    shares.check(CONFIG, 4, sequence=12)


def uneven_tokens(T: int) -> tuple[str, int]:
    """The complaint about T tokens."""
    model = tensor.TensorParallelGPT(
        whole_model(CONFIG), dist.group.WORLD, ends=sequence.sharded
    )
    with pytest.raises(ValueError) as caught:
        model(torch.zeros(2, T, dtype=torch.long))
    return str(caught.value)


def test_uneven_tokens_are_refused_before_any_message(world):
    trace = world(3).trace(uneven_tokens, 7)
    assert trace.results == ["3 ranks cannot share 7 tokens evenly"] * 3
    assert not [e for e in trace.events if e.kind != "compute"]


# ------------------------------------------------------------ the pieces


def vocabulary(scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Embedding, loss, and the gradient of the whole logits."""
    tp = dist.group.WORLD
    weight = torch.linspace(-1, 1, 24 * 5, dtype=torch.float64).view(24, 5)
    mine = weight.chunk(tp.size())[tp.rank()]
    every = torch.arange(24).view(2, 12).flip(1)
    rows = ring.all_reduce(own_rows(mine, every, tp), tp)
    z = scale * logits().chunk(tp.size(), -1)[tp.rank()].contiguous()
    loss = cross_entropy(z.requires_grad_(), every, tp)
    loss.backward()
    return rows, loss.detach(), z.grad


def logits() -> Tensor:
    draw = torch.Generator().manual_seed(2)
    return torch.randn(2, 12, 24, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 1e4])  # exp(1e4) is infinite
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_every_word_is_found_and_large_logits_stay_finite(world, p, scale):
    every = torch.arange(24).view(2, 12).flip(1)
    z = (scale * logits()).requires_grad_()
    expected = F.cross_entropy(z.flatten(0, 1), every.flatten())
    expected.backward()
    weight = torch.linspace(-1, 1, 24 * 5, dtype=torch.float64).view(24, 5)
    results = world(p)(vocabulary, scale)
    for rows, loss, _ in results:
        assert torch.equal(rows, weight[every])
        exactly(loss, expected.detach())
    exactly(torch.cat([gradient for *_, gradient in results], -1), z.grad)


def losses_beside_torch() -> list[tuple[Tensor, Tensor]]:
    """Loss and this rank's gradient of the logits, by ours and by loss_parallel."""
    tp, every, found = dist.group.WORLD, torch.arange(24).view(2, 12), []
    mine = logits().chunk(tp.size(), -1)[tp.rank()].contiguous()
    z = mine.clone().requires_grad_()
    loss = cross_entropy(z, every, tp)
    loss.backward()
    found.append((loss.detach(), z.grad))
    z = mine.clone().requires_grad_()
    mesh = DeviceMesh.from_group(tp, "cpu")
    whole = DTensor.from_local(z, mesh, [Shard(2)])
    with loss_parallel():
        loss = F.cross_entropy(whole.flatten(0, 1), every.flatten())
        loss.backward()
    return [*found, (loss.full_tensor().detach(), z.grad)]


@pytest.mark.parametrize("p", [2, 3])
def test_torchs_loss_parallel_gives_the_same(world, p):
    for ours, theirs in world(p)(losses_beside_torch):
        assert ours[1].abs().max() > 0
        exactly(ours, theirs)


def no_word(word: int) -> list[str]:
    """What the embedding and the loss say of a token that is no word of 24."""
    tp, tokens = dist.group.WORLD, torch.tensor([[3, word]])
    count, said = 24 // tp.size(), []
    for lookup in (
        lambda: own_rows(torch.ones(count, 5), tokens, tp),
        lambda: cross_entropy(torch.ones(1, 2, count), tokens, tp),
    ):
        with pytest.raises(ValueError) as caught:
            lookup()
        said.append(str(caught.value))
    return said


@pytest.mark.parametrize("word", [24, 99, -1, -100])
def test_what_is_no_word_is_refused_before_any_message(world, word):
    trace = world(3).trace(no_word, word)
    assert trace.results == [[f"{word} is no word of a vocabulary of 24"] * 2] * 3
    assert not trace.events
