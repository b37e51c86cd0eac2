"""A cut graph computes what the whole one computes, and sends what the plan says."""

from collections import Counter

import pytest
import torch
import torch.distributed as dist

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.serial import Recipe
from dlsys_code.system import graph_cut, graph_stages
from dlsys_code.world import RankError

CUTS = {
    1: [],
    2: ["blocks.1"],
    3: ["blocks.0", "head"],
    4: ["blocks.1", "blocks.2", "norm"],
}
STEPS = 3


def recipe(*, tied: bool) -> Recipe:
    model = GPTConfig(
        vocabulary=257,
        width=12,
        layers=3,
        heads=3,
        key_value_heads=1,
        hidden=7,
        tied=tied,
    )
    return Recipe(model=model, batch=3, sequence=5, dtype=torch.float64)


def words(how: Recipe) -> torch.Tensor:
    return torch.zeros(how.batch, how.sequence, dtype=torch.long)


def plan_of(how: Recipe, before: list[str]) -> graph_cut.Plan:
    return graph_cut.cut(serial.fresh_model(how), words(how), before=before)


@pytest.fixture(scope="module")
def text() -> torch.Tensor:
    return tokens.documentation()[:10_000]


def on_ranks(how: Recipe, text: torch.Tensor, before: list[str], **options) -> list:
    group = dist.group.WORLD
    run = graph_stages.train(how, text, group, steps=STEPS, before=before, **options)
    return list(run)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("p", CUTS)
def test_stages_learn_what_one_process_learns(world, text, p, tied):
    """From the second loss on gradients count, and the tied weight's two parts."""
    how = recipe(tied=tied)
    losses = world(p)(on_ranks, how, text, CUTS[p])
    serial_losses = list(serial.train(how, text, steps=STEPS))
    assert losses[-1] == pytest.approx(serial_losses, rel=1e-12)
    assert losses[:-1] == [[None] * STEPS] * (p - 1)


def test_copies_of_a_tied_weight_drift_apart_unless_they_are_summed(world, text):
    how = recipe(tied=True)

    def apart() -> list:
        return on_ranks(how, text, CUTS[2], complete=lambda *_: None)

    losses, wrong = list(serial.train(how, text, steps=STEPS)), world(2)(apart)[-1]
    assert wrong[0] == pytest.approx(losses[0], rel=1e-12)
    assert wrong[-1] != pytest.approx(losses[-1], rel=1e-6)


@pytest.mark.parametrize("p", [2, 3, 4])
def test_what_is_sent_is_what_the_plan_says(world, text, p):
    how = recipe(tied=False)
    edges = plan_of(how, CUTS[p]).edges
    ahead = Counter((e.source, e.destination, e.nbytes) for e in edges)
    back = Counter((e.destination, e.source, e.nbytes) for e in edges if e.learns)
    trace = world(p).trace(on_ranks, how, text, CUTS[p])
    sent = Counter((m.source, m.destination, m.bytes) for m in trace.messages())
    total = ahead + back
    assert sent == Counter({message: STEPS * n for message, n in total.items()})


def test_a_value_goes_once_to_each_rank_that_needs_it():
    """Layers 1 and 2 need the rotations, on the ranks 1 and 2."""
    plan = plan_of(recipe(tied=True), ["blocks.1", "blocks.2"])
    found = [(e.value, e.source, e.destination, e.learns) for e in plan.edges]
    turns = [
        (value, 0, rank, False) for value in ("getitem", "getitem_1") for rank in (1, 2)
    ]
    stream = [("blocks_0", 0, 1, True), ("blocks_1", 1, 2, True)]
    assert found == turns + stream
    assert [e.nbytes for e in plan.edges] == [5 * 4 * 8] * 4 + [3 * 5 * 12 * 8] * 2


def test_a_rank_keeps_the_weights_of_its_stage_only():
    how = recipe(tied=True)
    each = []
    for rank in range(3):
        plan = plan_of(how, ["blocks.1", "blocks.2"])
        own = graph_stages.keep_own(plan, rank)
        each.append(sum(w.numel() for w in own.parameters()))
        everything = {id(w): w for w in plan.module.parameters()}.values()
        assert sum(w.numel() for w in everything if not w.is_meta) == each[-1]
    whole = sum(w.numel() for w in serial.fresh_model(how).parameters())
    tied = how.model.vocabulary * how.model.width
    assert sum(each) == whole + tied  # a copy at both ends


def test_the_weights_at_both_ends_are_shared():
    plan = plan_of(recipe(tied=True), ["blocks.1", "blocks.2"])
    assert graph_stages.shared(plan) == [{"embed.weight": 0, "head.weight": 2}]
    assert graph_stages.shared(plan_of(recipe(tied=False), CUTS[3])) == []


@pytest.mark.parametrize(
    "before", [["blocks.9"], ["blocks.2", "blocks.1"], ["norm"] * 2]
)
def test_a_cut_that_is_not_in_the_graph_is_refused(before):
    with pytest.raises(ValueError, match="cannot cut before"):
        plan_of(recipe(tied=True), before)


def test_what_is_no_tensor_cannot_cross():
    """The length of the sequence is a number that the rotations need."""
    with pytest.raises(ValueError, match="size is no tensor"):
        plan_of(recipe(tied=True), ["rotations"])


def test_stages_and_ranks_are_as_many(world, text):
    with pytest.raises(RankError, match="3 ranks cannot run 2 stages"):
        world(3)(on_ranks, recipe(tied=True), text, CUTS[2])


def frozen_ends(group_size: int) -> list[torch.Tensor | None]:
    """The gradients of a rank's stage when the table at both ends does not learn."""
    how, group = recipe(tied=True), dist.group.WORLD
    model = serial.fresh_model(how)
    model.embed.weight.requires_grad_(False)
    plan = graph_cut.cut(model, words(how), before=CUTS[group_size])
    stage, tied = graph_stages.Stage(plan, group), graph_stages.shared(plan)
    own = graph_stages.keep_own(plan, group.rank())
    out = stage.run(words(how))
    stage.backward(None if out is None else out.square().sum())
    graph_stages.sum_shared(plan, tied, group)
    return [weight.grad for weight in own.parameters()]


@pytest.mark.parametrize("p", [2, 3])
def test_a_frozen_table_at_both_ends_has_no_gradient(world, p):
    model = serial.fresh_model(recipe(tied=True))
    model.embed.weight.requires_grad_(False)
    model(words(recipe(tied=True))).square().sum().backward()
    expected = [x.grad for x in model.parameters() if x.requires_grad]
    ranks = world(p)(frozen_ends, p)
    found = [grad for gradients in ranks for grad in gradients if grad is not None]
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-14)


def one_end_unread() -> tuple[torch.Tensor, int]:
    """The gradient of a tied table that one stage has no part of."""
    how, group = recipe(tied=True), dist.group.WORLD
    plan = plan_of(how, CUTS[2])
    tied = graph_stages.shared(plan)
    graph_stages.keep_own(plan, group.rank())
    name = next(name for name, stage in tied[0].items() if stage == group.rank())
    weight = plan.module.get_parameter(name)
    if group.rank():
        weight.grad = torch.ones_like(weight)
    graph_stages.sum_shared(plan, tied, group)
    return weight.grad


def test_a_stage_without_a_part_of_a_gradient_gets_that_of_the_other(world):
    for total in world(2)(one_end_unread):
        assert torch.equal(total, torch.ones_like(total))


def elsewhere() -> list[torch.Tensor]:
    """Gradients where the model is on the CPU, and the default device another."""
    how, group = recipe(tied=True), dist.group.WORLD
    plan = plan_of(how, CUTS[3])
    stage, tied = graph_stages.Stage(plan, group), graph_stages.shared(plan)
    own = graph_stages.keep_own(plan, group.rank())
    tokens_here = words(how)
    with torch.device("meta" if group.rank() else "cpu"):  # rotations are on rank 0
        out = stage.run(tokens_here)
        stage.backward(None if out is None else out.square().sum())
        graph_stages.sum_shared(plan, tied, group)
    return [weight.grad for weight in own.parameters()]


def test_a_stage_receives_where_its_weights_are(world):
    model = serial.fresh_model(recipe(tied=True))
    model(words(recipe(tied=True))).square().sum().backward()
    embed, *inner = [x.grad for x in model.parameters()]
    (first,), middle, (last,) = world(3)(elsewhere)
    torch.testing.assert_close(first, embed, rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(last, embed, rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(middle, inner, rtol=1e-11, atol=1e-14)
