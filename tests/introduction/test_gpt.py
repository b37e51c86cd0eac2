"""The small GPT: attention, rotary positions, seeds, sizes and its first loss."""

from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from dlsys_code.introduction import gpt
from dlsys_code.introduction.gpt import GPT, GPTConfig

TINY = GPTConfig(
    vocabulary=31, width=24, layers=2, heads=6, key_value_heads=3, hidden=20
)
GROUPS = [(1, 1), (6, 6), (6, 3), (6, 1)]  # heads a, key-value heads g


def random(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def random_tokens(config: GPTConfig, b: int, T: int) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(config.vocabulary, (b, T), generator=draw)


def weights(model: nn.Module) -> list[Tensor]:
    return [x.detach() for x in model.parameters()]


# ------------------------------------------------------------ attention


@pytest.mark.parametrize(("a", "g"), GROUPS)
@pytest.mark.parametrize("T", [1, 2, 37])
def test_fused_is_explicit_attention_in_values_and_gradients(a, g, T):
    results = []
    for attention in (gpt.fused_attention, gpt.explicit_attention):
        q, k, v = (random(2, n, T, 4, seed=i) for i, n in enumerate((a, g, g)))
        inputs = [x.requires_grad_() for x in (q, k, v)]
        y = attention(q, k, v)
        gradients = torch.autograd.grad(y, inputs, random(*y.shape, seed=9))
        results.append([y, *gradients])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("attention", [gpt.fused_attention, gpt.explicit_attention])
def test_attention_is_a_mean_of_the_values_so_far(attention):
    """With equal scores every token takes the plain mean of those up to itself."""
    v = random(1, 2, 5, 4)
    zeros = torch.zeros_like(v)
    means = v.cumsum(2) / torch.arange(1, 6).view(5, 1)
    torch.testing.assert_close(attention(zeros, v, v), means, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("attention", [gpt.fused_attention, gpt.explicit_attention])
@pytest.mark.parametrize("changed", [0, 1, 8, 16])
def test_no_logit_depends_on_a_later_token(attention, changed):
    model = GPT(TINY, attention=attention).double()
    before = random_tokens(TINY, 2, 17)
    after = before.clone()
    after[:, changed] = (after[:, changed] + 1) % TINY.vocabulary
    difference = (model(after) - model(before)).abs().amax((0, 2))  # (T,)
    assert difference[:changed].sum() < 1e-13
    assert difference[changed:].min() > 1e-7


def test_samples_do_not_see_each_other():
    model = GPT(TINY).double()
    tokens = random_tokens(TINY, 3, 11)
    alone = torch.cat([model(row[None]) for row in tokens])
    torch.testing.assert_close(model(tokens), alone, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------ rotary positions


@given(
    half=st.integers(1, 8),
    shift=st.integers(1, 40),
    base=st.sampled_from([10.0, 10_000.0, 500_000.0]),
)
@settings(derandomize=True, deadline=None, max_examples=30)
def test_scores_depend_on_the_distance_alone(half, shift, base):
    """Shift the query and the key by as many positions: their product stays."""
    d, T = 2 * half, 50
    config = GPTConfig(width=d, heads=1, key_value_heads=1, rotary_base=base)
    q, k = random(d, seed=1), random(d, seed=2)
    cosine, sine = gpt.rotations(T, config, q)
    turned = (gpt.rotate(x.expand(T, d), cosine, sine) for x in (q, k))
    scores = torch.einsum("id, jd -> ij", *turned)  # of a query at i and a key at j
    torch.testing.assert_close(
        scores[shift:, shift:], scores[:-shift, :-shift], rtol=0, atol=1e-11
    )
    assert (scores[0] - scores[0, 0]).abs().max() > 1e-3  # the distance does matter


def test_pairs_keep_their_length_and_turn_at_their_own_rate():
    T, d = 9, TINY.head_width
    x = random(T, d)
    y = gpt.rotate(x, *gpt.rotations(T, TINY, x))
    before, after = (torch.complex(*z.chunk(2, -1)) for z in (x, y))  # (T, d/2)
    torch.testing.assert_close(after.abs(), before.abs(), rtol=1e-14, atol=0)
    rates = torch.tensor([10_000.0 ** (-2 * i / d) for i in range(d // 2)])
    turns = torch.polar(torch.ones(T, d // 2), torch.arange(T)[:, None] * rates)
    torch.testing.assert_close(after / before, turns.to(after), rtol=0, atol=T * 2**-23)
    assert torch.equal(y[0], x[0])  # position 0 does not turn


def test_order_matters_to_the_model():
    model = GPT(TINY).double()
    tokens = torch.tensor([[3, 7, 5], [7, 3, 5]])
    first, second = model(tokens)[:, -1]
    assert (first - second).abs().max() > 1e-7


# ------------------------------------------------------------ weights


def test_the_same_weights_whatever_the_surroundings():
    expected = weights(GPT(TINY, seed=4))
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        torch.manual_seed(123)
        torch.set_num_threads(threads + 1)
        torch.set_default_dtype(torch.float64)
        model = GPT(TINY, seed=4)
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
    assert model.embed.weight.dtype is torch.float64
    for wide, narrow in zip(weights(model), expected, strict=True):
        assert torch.equal(wide, narrow.double())


def test_a_seed_is_a_model_of_its_own():
    first, second = (weights(GPT(TINY, seed=seed)) for seed in (0, 1))
    drawn = [(x, y) for x, y in zip(first, second, strict=True) if x.dim() == 2]
    assert len(drawn) == 1 + 7 * TINY.layers
    assert all((x != y).all() for x, y in drawn)


def test_torchs_own_random_numbers_stay_where_they_are():
    torch.manual_seed(99)
    before = torch.get_rng_state()
    GPT(TINY)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_as_wide_as_said():
    config = GPTConfig(layers=8)
    for name, weight in GPT(config).named_parameters():
        if weight.dim() == 1:
            assert (weight == 1).all()
            continue
        adds = name.endswith(("out.weight", "down.weight"))
        width = 0.02 / (16**0.5 if adds else 1)
        # The standard deviation of n draws is off by 1/sqrt(2 n), as a standard error.
        n = weight.numel()
        assert abs(weight.std() / width - 1) < 5 / (2 * n) ** 0.5
        assert abs(weight.mean()) < 5 * width / n**0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tied_head_is_the_embedding_itself(dtype):
    model = GPT(TINY).to(dtype)
    assert model.head.weight is model.embed.weight
    free = GPT(GPTConfig(**vars(TINY) | {"tied": False})).to(dtype)
    assert free.head.weight.data_ptr() != free.embed.weight.data_ptr()
    size = TINY.vocabulary * TINY.width
    counts = [sum(x.numel() for x in m.parameters()) for m in (model, free)]
    assert counts[1] - counts[0] == size


@pytest.mark.parametrize("tied", [True, False])
def test_a_fresh_model_knows_nothing(tied):
    """Its loss is ln V, and half the variance of the logits, h 0.02^2, on top."""
    config = GPTConfig(tied=tied)
    tokens = random_tokens(config, 8, 129)
    loss = F.cross_entropy(
        GPT(config)(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()
    )
    expected = log(config.vocabulary) + config.width * 0.02**2 / 2
    # The mean of 1,024 losses that are sqrt(h) 0.02 wide, five standard errors.
    assert abs(loss.item() - expected) < 5 * config.width**0.5 * 0.02 / 1024**0.5


def test_every_parameter_learns():
    model = GPT(TINY)
    model(random_tokens(TINY, 2, 7)).square().sum().backward()
    assert all(x.grad is not None and x.grad.any() for x in model.parameters())


# ------------------------------------------------------------ sizes


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"vocabulary": 0}, "vocabulary must be positive, not 0"),
        ({"width": -128}, "width must be positive, not -128"),
        ({"layers": 0}, "layers must be positive, not 0"),
        ({"heads": 0}, "heads must be positive, not 0"),
        ({"key_value_heads": 0}, "key_value_heads must be positive, not 0"),
        ({"hidden": 0}, "hidden must be positive, not 0"),
        ({"rotary_base": 0.0}, "rotary_base must be positive, not 0.0"),
        ({"epsilon": -1e-5}, "epsilon must be positive, not -1e-05"),
        ({"heads": 3}, "width 128 cannot be cut into 3 heads of even width"),
        ({"width": 24}, "width 24 cannot be cut into 8 heads of even width"),
        ({"key_value_heads": 3}, "8 heads cannot share 3 key-value heads evenly"),
        ({"key_value_heads": 16}, "8 heads cannot share 16 key-value heads evenly"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_numbers(sizes, complaint):
    with pytest.raises(ValueError) as caught:
        GPTConfig(**sizes)
    assert str(caught.value) == complaint
