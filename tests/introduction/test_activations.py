"""The bytes that autograd keeps are those of the formula, to the last one."""

from collections.abc import Callable

import pytest
import torch
from configs import configs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from dlsys_code.introduction import gpt
from dlsys_code.introduction.activations import (
    activation_bytes,
    block_elements,
    fused,
    written_out,
)
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.memory import saved_for_backward

KERNELS = {fused: gpt.fused_attention, written_out: gpt.explicit_attention}
BATCHES = dict(b=st.integers(1, 3), T=st.integers(2, 9))


def kept_bytes(model: nn.Module, run: Callable[[], Tensor]) -> int:
    """The bytes of all storages, but the parameters', that wait for the backward."""
    return sum(x.untyped_storage().nbytes() for x in saved_for_backward(model, run))


def loss_of(model: nn.Module, b: int, T: int) -> Callable[[], Tensor]:
    tokens, targets = torch.zeros(2, b, T, dtype=torch.long).unbind()
    return lambda: F.cross_entropy(
        model(tokens.clone()).flatten(0, 1), targets.clone().flatten()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("attention", KERNELS, ids=lambda kept: kept.__name__)
@settings(derandomize=True, max_examples=20, deadline=None)
@given(config=configs(), **BATCHES)
def test_autograd_keeps_what_the_formula_says(attention, dtype, config, b, T):
    model = GPT(config, attention=KERNELS[attention]).to(dtype)
    expected = activation_bytes(
        config, b, T, element=dtype.itemsize, attention=attention, composed=True
    )
    assert kept_bytes(model, loss_of(model, b, T)) == expected


class OneKernelNorm(torch.autograd.Function):
    """RMSNorm as one operation, which keeps its input and 1 / rms, as on a GPU."""

    @staticmethod
    def forward(ctx, x, gain, epsilon):
        inverse = (x.square().mean(-1, keepdim=True) + epsilon).rsqrt()
        ctx.save_for_backward(x, gain, inverse)
        return x * inverse * gain

    @staticmethod
    def backward(ctx, grad):
        raise NotImplementedError


class Fused(nn.Module):
    def __init__(self, norm: nn.RMSNorm):
        super().__init__()
        self.weight, self.epsilon = norm.weight, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return OneKernelNorm.apply(x, self.weight, self.epsilon)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(config=configs(), **BATCHES)
def test_a_norm_of_one_kernel_keeps_one_width_less(config, b, T):
    model = GPT(config)
    model.norm = Fused(model.norm)
    for block in model.blocks:
        block.norm_1, block.norm_2 = Fused(block.norm_1), Fused(block.norm_2)
    assert kept_bytes(model, loss_of(model, b, T)) == activation_bytes(config, b, T)


@settings(derandomize=True, max_examples=10, deadline=None)
@given(config=configs(), **BATCHES)
def test_a_recomputed_block_keeps_its_input(config, b, T):
    model = GPT(config)
    for block in model.blocks:
        plain = block.forward
        block.forward = lambda *x, plain=plain: checkpoint(
            plain, *x, use_reentrant=True
        )
    expected = activation_bytes(config, b, T, composed=True, recompute=True)
    assert kept_bytes(model, loss_of(model, b, T)) == expected


def test_the_small_gpt_in_the_letters_of_the_docstring():
    config, T = GPTConfig(), 128
    h, f, a, d, g = 128, 352, 8, 16, 4
    assert block_elements(config, T) == 6 * h + 2 * g * d + 4 * f + a + 2
    assert (
        block_elements(config, T, attention=written_out, composed=True)
        == 10 * h + 4 * f + a * T + 2
    )


@pytest.mark.parametrize("sizes", [(0, 8, 4), (2, 0, 4), (2, 8, 0)])
def test_nothing_is_refused(sizes):
    b, T, element = sizes
    with pytest.raises(ValueError, match=f"not {b} of {T} and {element}"):
        activation_bytes(GPTConfig(), b, T, element=element)
