"""The closed forms give a real block's numbers and the published tables'."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dlsys_code.introduction import classic
from dlsys_code.introduction.budget import six_per_parameter
from dlsys_code.introduction.classic import GPT3, Classic
from dlsys_code.introduction.published import table
from dlsys_code.introduction.units import GiB

NARAYANAN = [
    Classic(layers=row["layers"], width=row["width"], heads=row["heads"])
    for row in table("megatron-1").rows
]


def real_block(h: int, a: int) -> nn.Module:
    return nn.TransformerEncoderLayer(h, a, 4 * h, dropout=0.0, batch_first=True)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(a=st.integers(1, 4), d=st.integers(1, 8), L=st.integers(1, 9))
def test_parameters_are_those_of_real_blocks(a, d, L):
    h, V, T = a * d, 11, 7
    block = sum(x.numel() for x in real_block(h, a).parameters())
    ends = sum(nn.Embedding(n, h).weight.numel() for n in (V, T))
    model = Classic(layers=L, width=h, heads=a, vocabulary=V, sequence=T)
    assert classic.parameters(model) == L * block + ends


def test_flops_are_those_of_a_real_block():
    a, h, T = 2, 16, 12
    block = real_block(h, a)

    def attention(x: torch.Tensor) -> torch.Tensor:
        """What `nn.MultiheadAttention` does, in products that torch counts."""
        inner = block.self_attn
        qkv = nn.functional.linear(x, inner.in_proj_weight, inner.in_proj_bias)
        q, k, v = (y.view(1, T, a, -1).transpose(1, 2) for y in qkv.chunk(3, -1))
        y = (q @ k.transpose(-2, -1)).softmax(-1) @ v
        return inner.out_proj(y.transpose(1, 2).reshape(1, T, h))

    x = torch.zeros(1, T, h, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        y = attention(x)
        block.linear2(block.linear1(y).relu()).sum().backward()
    head = 6 * h * 1
    model = Classic(layers=1, width=h, heads=a, vocabulary=1, sequence=T)
    assert counter.get_total_flops() == T * (classic.step_flops(model) - head)


@pytest.mark.parametrize("model", [*NARAYANAN, GPT3], ids=str)
def test_it_is_the_published_closed_form(model):
    """Narayanan et al., equations 2 and 3, in their letters: l, h, s, V, B = 1."""
    l, h, s, V = model.layers, model.width, model.sequence, model.vocabulary  # noqa: E741
    P = 12 * l * h**2 * (1 + 13 / (12 * h) + (V + s) / (12 * l * h))
    F = 96 * s * l * h**2 * (1 + s / (6 * h) + V / (16 * l * h))
    plain = 72 * s * l * h**2 * (1 + s / (6 * h) + V / (12 * l * h))
    assert classic.parameters(model) == pytest.approx(P, rel=1e-12)
    assert s * classic.step_flops(model, recompute=True) == pytest.approx(F, rel=1e-12)
    assert s * classic.step_flops(model) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "row"),
    list(zip(NARAYANAN, table("megatron-1").rows, strict=True)),
    ids=str,
)
def test_parameters_to_the_printed_digit(model, row):
    assert f"{classic.parameters(model) / 1e9:.1f}" == row["billions"]


def test_gpt3_has_its_174_6_billion():
    assert f"{classic.parameters(GPT3) / 1e9:.1f}" == "174.6"


def test_six_per_parameter_is_close_where_models_are_wide():
    """Scores are left out of the rule, and the positions' parameters do no work."""
    off = [
        classic.step_flops(x) / six_per_parameter(classic.parameters(x))
        for x in [*NARAYANAN, GPT3]
    ]
    assert off == sorted(off[:-1], reverse=True) + off[-1:]
    assert all(1 < ratio < 1.15 for ratio in off)


def test_bytes_of_a_block_are_korthikantis_table_2():
    a, s, b, h, t = GPT3.heads, GPT3.sequence, 1, GPT3.width, 8
    sbh = s * b * h
    rows = [
        ({}, sbh * (34 + 5 * a * s / h)),
        ({"tp": t}, sbh * (10 + 24 / t + 5 * a * s / (h * t))),
        ({"tp": t, "sequence_parallel": True}, sbh / t * (34 + 5 * a * s / h)),
        ({"tp": t, "keep_scores": False}, sbh * (10 + 24 / t)),
        (
            {"tp": t, "sequence_parallel": True, "keep_scores": False},
            34 * sbh / t,
        ),
    ]
    for options, expected in rows:
        assert classic.block_bytes(GPT3, b, **options) == pytest.approx(expected)
    assert classic.input_bytes(GPT3, b) == 2 * sbh


@pytest.mark.parametrize("row", table("korthikanti-7").rows, ids=lambda x: x["model"])
def test_shares_are_those_of_korthikantis_figure_7(row):
    """Read off a picture, so to a tenth of a percent of the tensor-parallel block."""
    model = Classic(layers=row["layers"], width=row["width"], heads=row["heads"])
    whole = classic.block_bytes(model, 1, tp=8)
    options = {
        "sequence": {"sequence_parallel": True},
        "selective": {"keep_scores": False},
        "both": {"sequence_parallel": True, "keep_scores": False},
    }
    for name, chosen in options.items():
        share = 100 * classic.block_bytes(model, 1, tp=8, **chosen) / whole
        assert share == pytest.approx(row[name], abs=0.1)
    full = 100 * classic.input_bytes(model, 1) / whole
    assert full == pytest.approx(row["full"], abs=0.1)


def test_all_blocks_of_the_22b_model_are_those_of_figure_1():
    model = Classic(layers=48, width=6144, heads=64)
    whole = model.layers * classic.block_bytes(model, 4, tp=8)
    assert whole / GiB == pytest.approx(59.25, abs=0.005)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="layers must be positive, not 0"):
        Classic(layers=0, width=8, heads=1)
    with pytest.raises(ValueError, match="at least 1 rank, not 0"):
        classic.block_bytes(GPT3, 1, tp=0)
