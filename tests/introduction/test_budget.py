"""Parameters and FLOPs by formula are those of the real model, to the last one."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

import pytest
import torch
from configs import configs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop
from torch.utils.flop_counter import FlopCounterMode

from dlsys_code.introduction import budget
from dlsys_code.introduction.gpt import GPT, GPTConfig, explicit_attention
from dlsys_code.introduction.llamas import llamas

# Names that cut the last digit off, and one that rounds to tens.
CUT = {"LLaMA 65B", "Llama 3 70B", "Llama 3 405B"}
TENS = {"Llama 2 70B"}


def counted(model: torch.nn.Module, tokens: torch.Tensor) -> tuple[int, int]:
    """FLOPs of the forward and of the backward pass, by torch."""
    with FlopCounterMode(display=False) as forward:
        loss = model(tokens).sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return forward.get_total_flops(), backward.get_total_flops()


@settings(derandomize=True, max_examples=25, deadline=None)
@given(config=configs())
def test_every_parameter_is_counted_once(config):
    model = GPT(config)
    parts = budget.parameters(config)
    assert parts.total == sum(x.numel() for x in model.parameters())
    by_name = {
        "embedding": r"embed",
        "projections": ".attention.",
        "feed_forward": "feed_forward",
        "norms": "norm",
        "head": "head",
    }
    for part, mark in by_name.items():
        sizes = [x.numel() for name, x in model.named_parameters() if mark in name]
        assert getattr(parts, part) == sum(sizes)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(config=configs(), b=st.integers(1, 3), T=st.integers(1, 9))
def test_flops_are_those_that_torch_counts(config, b, T):
    """The embedding is a look-up, yet its output has a gradient: exactly twice."""
    model = GPT(config, attention=explicit_attention)
    forward, backward = counted(model, torch.zeros(b, T, dtype=torch.long))
    flops = budget.forward_flops(config, T)
    assert forward == b * T * flops.total
    assert backward == 2 * forward
    assert forward + backward == b * T * flops.step()


@pytest.mark.parametrize("early", [False, True])
def test_recomputation_runs_the_blocks_once_more(early):
    """Or, as torch does unless told not to, all of them but the last product."""
    config, b, T = GPTConfig(layers=3, tied=False), 2, 24
    model = GPT(config, attention=explicit_attention)
    for block in model.blocks:
        plain = block.forward
        block.forward = lambda *x, plain=plain: checkpoint(
            plain, *x, use_reentrant=False
        )
    with set_checkpoint_early_stop(early):
        forward, backward = counted(model, torch.zeros(b, T, dtype=torch.long))
    step = budget.forward_flops(config, T).step(recompute=True)
    down = 2 * config.layers * config.hidden * config.width
    assert forward + backward == b * T * (step - (down if early else 0))


@pytest.mark.parametrize("llama", list(llamas().values()), ids=lambda llama: llama.name)
def test_llamas_have_the_parameters_that_were_published(llama):
    total = budget.parameters(llama.config).total
    rates = llama.config.layers * llama.config.head_width // 2
    if llama.stored:
        assert llama.stored == total + (rates if llama.stored_rates else 0)
    printed = Decimal(llama.billions)
    last_digit = 1 if llama.name in TENS else printed.as_tuple().exponent
    rounding = ROUND_DOWN if llama.name in CUT else ROUND_HALF_UP
    billions = Decimal(total).scaleb(-9)
    assert billions.quantize(Decimal(1).scaleb(last_digit), rounding) == printed


def test_torch_does_not_see_the_fused_kernel_on_the_cpu():
    """So the book counts with attention written out."""
    config, T = GPTConfig(), 16
    forward, _ = counted(GPT(config), torch.zeros(1, T, dtype=torch.long))
    flops = budget.forward_flops(config, T)
    assert forward == T * (flops.total - flops.scores)


def test_a_sample_without_tokens_is_refused():
    with pytest.raises(ValueError, match="at least 1 token, not 0"):
        budget.forward_flops(GPTConfig(), 0)
