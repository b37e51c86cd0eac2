"""The order of a recorded step is read off the trace, and drawn alike every time."""

import pytest
import torch
import torch.distributed as dist
from lettering import words
from torch import nn

from dlsys_code.book.zero_chart import Moment, lives, moments, units_in_order
from dlsys_code.system.unit_spans import mark_passes
from dlsys_code.system.zero import OptimizerShards
from dlsys_code.system.zero_gradients import GradientShards
from dlsys_code.system.zero_weights import WeightShards


def one_step(stage: type) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))
    units = list(model)[1:]  # the first layer is in no unit
    shards = stage(
        model,
        units,
        dist.group.WORLD,
        make_optimizer=lambda module: torch.optim.AdamW(module.parameters()),
    )
    mark_passes(units, first=1)
    shards.backward(model(torch.ones(2, 4)).sum())
    shards.step()


def told(stage: type, world) -> str:
    step = moments(world(2).trace(one_step, stage), rank=1)
    return " ".join(f"{m.kind[0]}{'' if m.unit is None else m.unit}" for m in step)


def test_the_order_of_each_stage(world):
    passes = "f1 f2 b2 b1"
    assert told(OptimizerShards, world) == f"{passes} r2 r1 r0 u g0 g1 g2"
    assert told(GradientShards, world) == "f1 f2 b2 r2 b1 r1 r0 u g0 g1 g2"
    # The output of the model is that of unit 2, whose hooks were there first.
    assert told(WeightShards, world) == "g0 g1 g2 f1 f2 g2 g1 b2 g0 r2 b1 r1 r0 u"


STEP = [
    Moment("gather", 0),
    Moment("gather", 1),
    Moment("forward", 1),
    Moment("gather", 0),
    Moment("gather", 1),
    Moment("backward", 1),
    Moment("reduce", 1),
    Moment("reduce", 0),
    Moment("update"),
]


def test_weights_are_there_from_a_gather_until_they_are_used():
    assert list(lives(STEP, 0)) == [(0, 3), (3, 8)]
    assert list(lives(STEP, 1)) == [(1, 3), (4, 7)]


def test_the_chart_names_units_and_marks(monkeypatch):
    def paint():
        return units_in_order(
            {"stage 3": STEP, "stage 2": STEP[5:]},
            freed=["stage 3"],
            alt="两个面板，各有两行，一行是一个单元",
        )

    said = words(monkeypatch, paint)
    for word in ("unit 0", "unit 1", "stage 2", "stage 3", "gather", "reduce"):
        assert word in said
    assert paint().svg == paint().svg


def test_a_panel_that_is_not_there_cannot_be_freed():
    with pytest.raises(ValueError, match="no panels"):
        units_in_order({"a": STEP}, freed=["b"], alt="一幅图，里面有两行单元")
