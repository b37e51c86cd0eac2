"""Shards in half with masters in float32 learn what one process in half learns."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import count
from math import inf

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from dlsys_code.introduction import precision, serial, tokens
from dlsys_code.introduction.average_gradients import average_gradients, share
from dlsys_code.introduction.gpt import GPT, GPTConfig
from dlsys_code.introduction.model_states import (
    FLOAT32,
    MIXED,
    States,
    model_states,
)
from dlsys_code.introduction.precision import round_weights_, take_gradients_
from dlsys_code.introduction.serial import Recipe
from dlsys_code.primitive import ring
from dlsys_code.primitive.in_place import ring_all_gather_into_
from dlsys_code.system import zero
from dlsys_code.system.zero import OptimizerShards, torch_reduce_scatter
from dlsys_code.system.zero_gradients import GradientShards
from dlsys_code.system.zero_mixed import mixed, wide_reduce_scatter
from dlsys_code.system.zero_states import states_held
from dlsys_code.system.zero_weights import WeightShards
from dlsys_code.world import RankError

STEPS = 3
HALF = torch.bfloat16
UNIT = 2.0**-8  # the largest relative error of rounding to bf16
STAGES = [OptimizerShards, GradientShards, WeightShards]
MODEL = GPTConfig(  # neither 3 nor 4 ranks divide the weights of a unit
    vocabulary=257, width=14, layers=3, heads=1, key_value_heads=1, hidden=11
)
RECIPE = Recipe(model=MODEL, batch=12, sequence=9)


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


def weights_of(model: GPT) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def exact_reduce_scatter(rows: Tensor, group: object) -> Tensor:
    """In float64 a sum of a few bf16 numbers has no rounding, and so no order."""
    return torch_reduce_scatter(rows.double(), group).to(rows.dtype)


def on_ranks(text: Tensor, stage: type, max_norm: float, reduce: Callable) -> tuple:
    """This rank's losses, the weights after the last step, and this rank's masters."""
    made = []

    def shards(*args: object, **options: object) -> OptimizerShards:
        made.append(stage(*args, max_norm=max_norm, reduce_scatter=reduce, **options))
        return made[0]

    losses = list(
        zero.train(
            RECIPE,
            text,
            dist.group.WORLD,
            steps=STEPS,
            shards=partial(mixed, half=HALF, shards=shards),
            mean_loss=precision.mean_loss,
        )
    )
    if stage is WeightShards:
        for flat in made[0].flats:
            made[0].use(flat, None)
    masters = [w.detach() for w in made[0].optimizer.param_groups[0]["params"]]
    return losses, weights_of(made[0].model), masters


class InParts:
    """One process does for p ranks what each does, and adds up without rounding."""

    def __init__(self, p: int):
        self.p, self.master = p, serial.fresh_model(RECIPE)
        self.model = deepcopy(self.master).to(HALF)
        self.optimizer = serial.adamw(self.master, RECIPE)

    def part(self, text: Tensor, step: int, rank: int) -> tuple[float, list[Tensor]]:
        each = RECIPE.batch // self.p
        samples = range(rank * each, (rank + 1) * each)
        data = serial.batch(RECIPE, text, step, samples)
        loss = precision.mean_loss(self.model, *data)
        return loss.item(), torch.autograd.grad(loss, list(self.model.parameters()))

    def step(self, text: Tensor, step: int, max_norm: float) -> list[float]:
        both = [self.part(text, step, r) for r in range(self.p)]
        losses, parts = zip(*both, strict=True)
        for weight, *grads in zip(self.model.parameters(), *parts, strict=True):
            weight.grad = sum(g.double() for g in grads).to(HALF) / self.p
        take_gradients_(self.master, self.model, 1)
        torch.nn.utils.clip_grad_norm_(self.master.parameters(), max_norm)
        self.optimizer.step()
        round_weights_(self.master, self.model)
        return list(losses)


def in_parts(text: Tensor, p: int, max_norm: float) -> tuple:
    """The losses of every step, of each part; the weights at the end; the masters."""
    alone = InParts(p)
    losses = [alone.step(text, step, max_norm) for step in range(STEPS)]
    return losses, weights_of(alone.model), weights_of(alone.master)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_ranks_in_half_learn_what_one_process_in_half_learns_to_the_bit(
    world, text, p, stage
):
    ((losses, expected, _),) = world(1)(in_parts, text, p, inf)  # as many threads
    found = world(p)(on_ranks, text, stage, inf, exact_reduce_scatter)
    for r, (own, weights, _) in enumerate(found):
        assert own == [of_ranks[r] for of_ranks in losses]
        assert all(map(torch.equal, weights, expected))
        assert {weight.dtype for weight in weights} == {HALF}


@pytest.mark.parametrize("stage", STAGES)
def test_one_rank_is_the_run_of_chapter_01_to_the_bit(world, text, stage):
    def alone() -> list[float]:
        return list(precision.train(RECIPE, text, steps=STEPS, half=HALF))

    ((losses, _, _),) = world(1)(on_ranks, text, stage, inf, torch_reduce_scatter)
    assert world(1)(alone) == [losses]


@pytest.mark.parametrize("reduce", [torch_reduce_scatter, wide_reduce_scatter])
@pytest.mark.parametrize("stage", STAGES)
def test_of_two_ranks_any_sum_is_rounded_once(world, text, stage, reduce):
    ((_, expected, _),) = world(1)(in_parts, text, 2, inf)
    for _, weights, _ in world(2)(on_ranks, text, stage, inf, reduce):
        assert all(map(torch.equal, weights, expected))


@pytest.mark.parametrize("stage", STAGES)
def test_clipping_is_done_on_the_masters_in_their_dtype(world, text, stage):
    ((_, expected, masters),) = world(1)(in_parts, text, 3, 0.3)
    found = world(3)(on_ranks, text, stage, 0.3, exact_reduce_scatter)
    # The sum of squares is taken in another order, so the factor, and with it a master,
    # may differ in its last bits; the weight may then be rounded to a neighbour.
    units = [
        torch.cat(shards).double() for shards in zip(*own_masters(found), strict=True)
    ]
    total = sum(unit.abs().sum().item() for unit in units)
    expected_total = sum(w.double().abs().sum().item() for w in masters)
    assert total == pytest.approx(expected_total, rel=1e-6)
    for _, weights, _ in found:
        torch.testing.assert_close(weights, expected, rtol=2 * UNIT, atol=1e-5)


def own_masters(found: list[tuple]) -> list[list[Tensor]]:
    masters = [own for _, _, own in found]
    assert {w.dtype for own in masters for w in own} == {torch.float32}
    return masters


def started_in_half(stage: type) -> tuple[list[Tensor], list[Tensor]]:
    """The masters' shards, and the weights, of ranks that had each its own."""
    made, adamw = [], partial(serial.adamw, recipe=RECIPE)

    def keep(masters: torch.nn.Module) -> torch.optim.Optimizer:
        made.extend(masters)
        return adamw(masters)

    model = serial.fresh_model(RECIPE)
    for weight in model.parameters():
        weight.data += dist.get_rank() / 3
    blocks, group = list(model.blocks), dist.group.WORLD
    shards = mixed(model, blocks, group, make_optimizer=keep, shards=stage)
    if stage is WeightShards:
        for flat in shards.flats:
            shards.use(flat, None)
    return [master.detach() for master in made], weights_of(model)


@pytest.mark.parametrize("stage", STAGES)
def test_masters_and_weights_are_those_of_rank_0(world, stage):
    first = weights_of(serial.fresh_model(RECIPE))
    masters, weights = zip(*world(3)(started_in_half, stage), strict=True)
    for own in weights:
        assert all(map(torch.equal, own, [w.to(HALF) for w in first]))
    together = torch.cat([x for own in masters for x in own])  # and padding
    expected = torch.cat([w.flatten() for w in first])
    found = together[together != 0].sort().values
    assert torch.equal(found, expected[expected != 0].sort().values)


# ------------------------------------------------------------ rounding of sums


def gradients_of(text: Tensor, stage: type, reduce: Callable) -> list[Tensor]:
    """This rank's shards of the mean gradient of the first step."""
    model, group = serial.fresh_model(RECIPE), dist.group.WORLD
    shards = partial(stage, reduce_scatter=reduce)
    make = partial(serial.adamw, recipe=RECIPE)
    blocks = list(model.blocks)
    made = mixed(model, blocks, group, make_optimizer=make, half=HALF, shards=shards)
    data = serial.batch(RECIPE, text, 0, share(RECIPE, group))
    made.backward(precision.mean_loss(model, *data))
    if stage is OptimizerShards:
        for flat in made.flats:
            made.reduce(flat)
    return [shard.grad for shard in made.shards]


def magnitudes(rows: Tensor, group: object) -> Tensor:
    return exact_reduce_scatter(rows.abs(), group)


@pytest.mark.parametrize("stage", STAGES)
def test_a_sum_in_half_is_rounded_at_most_once_for_each_other_rank(world, text, stage):
    p = 4
    run = partial(world(p), gradients_of, text, stage)
    exact, sizes = run(exact_reduce_scatter), run(magnitudes)
    in_half, wide = run(torch_reduce_scatter), run(wide_reduce_scatter)
    for r in range(p):
        for right, size, half, once in zip(
            exact[r], sizes[r], in_half[r], wide[r], strict=True
        ):
            unit = UNIT * size.double()
            # What it is compared with is rounded once itself.
            assert ((half.double() - right.double()).abs() <= p * unit).all()
            assert ((once.double() - right.double()).abs() <= 2 * unit).all()
    differ = [
        a != b for r in range(p) for a, b in zip(in_half[r], exact[r], strict=True)
    ]
    assert torch.cat(differ).any()


# ------------------------------------------------------------ states and bytes


def padded(how: Recipe, p: int) -> int:
    """Elements of all shards of one rank."""
    model = serial.fresh_model(how)
    blocks = [sum(w.numel() for w in block.parameters()) for block in model.blocks]
    rest = sum(w.numel() for w in model.parameters()) - sum(blocks)
    return sum(-(-elements // p) for elements in [rest, *blocks])


def states(text: Tensor, stage: type | None, half: torch.dtype | None) -> States:
    """What this rank holds; stage None: all of it, as in plain data parallelism."""
    group, steps = dist.group.WORLD, count()
    model = serial.fresh_model(RECIPE)
    make = partial(serial.adamw, recipe=RECIPE)
    mean_loss = precision.mean_loss if half else serial.mean_loss
    mine = share(RECIPE, group)

    def loss() -> Tensor:
        return mean_loss(model, *serial.batch(RECIPE, text, next(steps), mine))

    if stage is None:
        master = deepcopy(model)
        model.to(half)
        optimizer = make(master if half else model)
        loss().backward()
        average_gradients(model, group)
        if half:
            take_gradients_(master, model, 1)
        optimizer.step()
        optimizer.zero_grad()
        return states_held(lambda: loss().backward(), model, optimizer)
    shards = partial(mixed, half=half, shards=stage) if half else stage
    made = shards(model, list(model.blocks), group, make_optimizer=make)
    made.backward(loss())
    made.step()
    return states_held(
        lambda: made.backward(loss()), model, made.optimizer, shards=made.shards
    )


@pytest.mark.parametrize("half", [None, HALF])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_every_stage_holds_what_its_formula_says(world, text, p, stage, half):
    each = MIXED if half else FLOAT32
    whole = padded(RECIPE, 1)
    formula = model_states(whole, each=each, dp=p, stage=stage)
    own = padded(RECIPE, p)
    kinds = [None, *STAGES]
    for held in world(p)(states, text, kinds[stage], half):
        tensors = len(list(serial.fresh_model(RECIPE).parameters()))
        counters = 4 * (tensors if stage == 0 else 1 + MODEL.layers)  # AdamW's steps
        assert held == States(
            weights=each.weights * (whole if stage == 0 else own * [p, 1][stage == 3]),
            gradients=each.gradients * (own if stage >= 2 else whole),
            optimizer=each.optimizer * (own if stage >= 1 else whole) + counters,
        )
        for kind, expected in vars(formula).items():
            assert getattr(held, kind) == pytest.approx(expected, rel=0.05)


def gathered_by_our_ring(rows: Tensor, own: Tensor, group: object) -> Callable:
    ring_all_gather_into_(rows, own, group)
    return lambda: None


def by_our_ring(text: Tensor, stage: type) -> None:
    shards = partial(
        stage, reduce_scatter=ring.reduce_scatter, start_gather=gathered_by_our_ring
    )
    half = partial(mixed, half=HALF, shards=shards)
    options = {"steps": 1, "shards": half, "mean_loss": precision.mean_loss}
    list(zero.train(RECIPE, text, dist.group.WORLD, **options))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_messages_have_two_bytes_for_each_element(world, text, p, stage):
    times = 3 if stage is WeightShards else 2
    trace = world(p).trace(by_our_ring, text, stage)
    assert trace.bytes_sent() == [2 * times * (p - 1) * padded(RECIPE, p)] * p


# ------------------------------------------------------------ beside torch's own


def by_fully_shard(text: Tensor) -> list[float]:
    """The losses of torch's own stage 3 in bf16; its reductions are in bf16 too."""
    model, mine = serial.fresh_model(RECIPE), share(RECIPE, dist.group.WORLD)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    policy = MixedPrecisionPolicy(param_dtype=HALF)
    for part in [*model.blocks, model]:
        fully_shard(part, mesh=mesh, mp_policy=policy)
    optimizer, losses = serial.adamw(model, RECIPE), []
    for step in range(STEPS):
        loss = precision.mean_loss(model, *serial.batch(RECIPE, text, step, mine))
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses


def test_fully_shard_in_half_has_the_same_losses_to_rounding(world, text):
    theirs = world(3)(by_fully_shard, text)
    ours = world(3)(on_ranks, text, WeightShards, inf, torch_reduce_scatter)
    for (losses, _, _), expected in zip(ours, theirs, strict=True):
        assert losses == pytest.approx(expected, rel=UNIT)


# ------------------------------------------------------------ refused


@pytest.mark.parametrize("half", [torch.float32, torch.float64, torch.int16])
def test_what_is_no_half_is_refused_before_any_message(world, half):
    def refused() -> None:
        model = serial.fresh_model(RECIPE)
        make = partial(serial.adamw, recipe=RECIPE)
        mixed(model, [], dist.group.WORLD, make_optimizer=make, half=half)

    with pytest.raises(RankError) as failed:
        world(2).trace(refused)
    complaint = f"ValueError: {half} is not half of the masters' torch.float32"
    assert failed.value.cause == complaint
