"""The scale goes where torch's goes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlsys_code.introduction.loss_scaling import LossScale, all_finite, constant

gradients = st.sampled_from([0.0, 1.0, 1.0, 1.0, math.inf, -math.inf, math.nan])


def test_the_scale_starts_as_torchs_does():
    theirs, ours = torch.amp.GradScaler("cpu"), LossScale()
    assert ours.value == theirs.get_scale()
    assert ours.growth == theirs.get_growth_factor()
    assert ours.backoff == theirs.get_backoff_factor()
    assert ours.interval == theirs.get_growth_interval()


@settings(derandomize=True, deadline=None)
@given(
    st.lists(gradients, max_size=40),
    st.integers(-10, 20),
    st.sampled_from([(2.0, 0.5), (4.0, 0.5), (2.0, 0.125)]),
    st.integers(1, 5),
)
def test_the_scale_follows_torchs(run, power, factors, interval):
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    growth, backoff = factors
    theirs = torch.amp.GradScaler(
        "cpu",
        init_scale=2.0**power,
        growth_factor=growth,
        backoff_factor=backoff,
        growth_interval=interval,
    )
    ours = LossScale(
        value=2.0**power, growth=growth, backoff=backoff, interval=interval
    )
    for value in run:
        model.weight.grad = torch.tensor([[1.0, value]])
        ours.update(all_finite(model))
        theirs.scale(torch.zeros(()))  # GradScaler makes its scale at the first loss
        theirs.step(optimizer)
        theirs.update()
        assert ours.value == theirs.get_scale()
        assert ours.good_steps == theirs.state_dict()["_growth_tracker"]


def test_a_constant_scale_stays():
    scale = constant(3.0)
    for finite in (True, False) * 2000:
        scale.update(finite)
    assert scale.value == 3.0


def test_a_parameter_without_a_gradient_is_no_overflow():
    model = nn.Linear(2, 2)
    assert all_finite(model)
    model.bias.grad = torch.tensor([0.0, math.nan])
    assert not all_finite(model)


@pytest.mark.parametrize(
    "wrong", [{"value": 0.0}, {"growth": -2.0}, {"backoff": 0.0}, {"interval": 0}]
)
def test_a_scale_that_cannot_work_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value}.* not positive"):
        LossScale(**wrong)
