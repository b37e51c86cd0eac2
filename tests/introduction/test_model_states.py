"""Bytes of weights, gradients and optimizer: torch's own, and ZeRO's tables."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import pytest
import torch

from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.model_states import (
    FLOAT32,
    MIXED,
    largest_model,
    model_states,
)
from dlsys_code.introduction.published import table
from dlsys_code.introduction.units import GB

CELLS = [(row, stage) for row in table("zero-1").rows for stage in (1, 2, 3)]
# Whole numbers of the paper's table that are cut, not rounded; (billions, dp, stage).
CUT = {
    (128, 1024, 1), (128, 1024, 2), (1000, 64, 1), (1000, 64, 2),
    (1000, 256, 1), (1000, 256, 2), (1000, 1024, 1), (1000, 1024, 2),
}  # fmt: skip


def printed_like(value: float, printed: str, rounding: str) -> Decimal:
    """The value with as many decimals as were printed."""
    digits = Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)
    return Decimal(value).quantize(digits, rounding)


@pytest.mark.parametrize(("row", "stage"), CELLS, ids=str)
def test_zeros_table_1_to_the_printed_digit(row, stage):
    dp, printed = row["dp"], row[f"stage_{stage}"]
    held = model_states(row["billions"] * 1e9, dp=dp, stage=stage).total / GB
    rounded = printed_like(held, printed, ROUND_HALF_UP)
    cut = printed_like(held, printed, ROUND_DOWN)
    if (row["billions"], dp, stage) in CUT:
        assert cut == Decimal(printed) != rounded
    else:
        assert rounded == Decimal(printed)


@pytest.mark.parametrize("stage", range(4))
def test_zeros_table_2_is_the_largest_model_of_one_gpu(stage):
    """Rows of more GPUs multiply the printed first row, and then round thousands."""
    first, *others = table("zero-2").rows
    printed = first[f"stage_{stage}"]
    most = largest_model(32 * GB, dp=64, stage=stage) / 1e9
    assert printed_like(most, printed, ROUND_HALF_UP) == Decimal(printed)
    for row in others:
        times = float(printed) * row["mp"]
        assert float(row[f"stage_{stage}"]) == pytest.approx(times, rel=0.025)


def test_float32_is_what_torch_holds():
    model = GPT(GPTConfig())
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, 4, dtype=torch.long)).sum().backward()
    optimizer.step()
    states = optimizer.state.values()
    moments = [s[name].nbytes for s in states for name in ("exp_avg", "exp_avg_sq")]
    held = model_states(sum(x.numel() for x in model.parameters()), each=FLOAT32)
    assert held.weights == sum(x.nbytes for x in model.parameters())
    assert held.gradients == sum(x.grad.nbytes for x in model.parameters())
    assert held.optimizer == sum(moments)


def test_both_precisions_take_16_bytes():
    assert FLOAT32.total == MIXED.total == 16


@pytest.mark.parametrize("each", [FLOAT32, MIXED])
def test_stages_share_one_kind_after_the_other(each):
    for dp in (1, 3, 64):
        held = [model_states(1, each=each, dp=dp, stage=s).total for s in range(4)]
        assert held[0] == 16 and held[3] == pytest.approx(16 / dp)
        saved = [a - b for a, b in zip(held, held[1:], strict=False)]
        kinds = each.optimizer, each.gradients, each.weights
        assert saved == pytest.approx([kind * (1 - 1 / dp) for kind in kinds])


def test_the_largest_model_fills_the_memory():
    most = largest_model(80 * GB, dp=8, stage=2)
    assert model_states(most, dp=8, stage=2).total == pytest.approx(80 * GB)


@pytest.mark.parametrize(("stage", "dp"), [(4, 1), (-1, 1), (0, 0)])
def test_no_such_stage_or_rank_is_refused(stage, dp):
    with pytest.raises(ValueError, match=f"not {stage} and {dp}"):
        model_states(1, dp=dp, stage=stage)
