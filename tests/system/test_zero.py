"""Sharded optimizers learn what one process learns, in float64 on real ranks."""

from collections.abc import Callable
from functools import partial
from itertools import count
from math import inf, nan

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.utils.checkpoint import checkpoint

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.average_gradients import average_gradients, share
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.memory import watch
from dlsys_code.introduction.model_states import FLOAT32, model_states
from dlsys_code.introduction.serial import Recipe
from dlsys_code.primitive import ring
from dlsys_code.primitive.in_place import ring_all_gather_into_
from dlsys_code.system import zero
from dlsys_code.system.unit_spans import mark_passes
from dlsys_code.system.zero import OptimizerShards
from dlsys_code.system.zero_gradients import GradientShards
from dlsys_code.system.zero_weights import WeightShards
from dlsys_code.world import RankError

STEPS = 4
MODEL = GPTConfig(  # neither 3 nor 4 ranks divide the weights of a unit
    vocabulary=257, width=14, layers=3, heads=1, key_value_heads=1, hidden=11
)
STAGES = [OptimizerShards, GradientShards, WeightShards]


def recipe(*, tied: bool = True) -> Recipe:
    model = GPTConfig(**vars(MODEL) | {"tied": tied})
    return Recipe(model=model, batch=12, sequence=9, dtype=torch.float64)


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


def weights_of(model: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def in_one_process(how: Recipe, text: Tensor, max_norm: float) -> tuple:
    """The losses of one process, and its weights after the last step."""
    model = serial.fresh_model(how)
    optimizer, losses = serial.adamw(model, how), []
    for step in range(STEPS):
        loss = serial.mean_loss(model, *serial.batch(how, text, step, range(how.batch)))
        losses.append(loss.item())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        optimizer.zero_grad()
    return losses, weights_of(model)


def on_ranks(how: Recipe, text: Tensor, stage: type, max_norm: float) -> tuple:
    """This rank's losses, and its weights after the last step."""
    made = []

    def shards(*args: object, **options: object) -> OptimizerShards:
        made.append(stage(*args, max_norm=max_norm, **options))
        return made[0]

    group = dist.group.WORLD
    losses = list(zero.train(how, text, group, steps=STEPS, shards=shards))
    return losses, whole_weights(made[0])


def whole_weights(shards: OptimizerShards) -> list[Tensor]:
    """A copy of all weights, those that are not there gathered."""
    if isinstance(shards, WeightShards):
        for flat in shards.flats:
            assert flat.rows.untyped_storage().nbytes() == 0
            shards.use(flat, None)
    return weights_of(shards.model)


def assert_learns_the_same(found: list, expected: tuple) -> None:
    losses = torch.tensor([own for own, _ in found], dtype=torch.float64).mean(0)
    torch.testing.assert_close(
        losses, torch.tensor(expected[0], dtype=torch.float64), rtol=1e-12, atol=0
    )
    for _, weights in found:
        # AdamW divides by at least 1e-8, so a rounding of 1e-17 in g moves a weight by
        # at most 1e-3 x 1e-9 a step.
        torch.testing.assert_close(weights, expected[1], rtol=1e-12, atol=1e-11)
        assert all(map(torch.equal, weights, found[0][1]))


@pytest.mark.parametrize(("tied", "max_norm"), [(True, 0.3), (False, inf)])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_ranks_learn_what_one_process_learns(world, text, p, stage, tied, max_norm):
    how = recipe(tied=tied)
    found = world(p)(on_ranks, how, text, stage, max_norm)
    (expected,) = world(1)(in_one_process, how, text, max_norm)
    assert_learns_the_same(found, expected)


def test_clipping_at_that_norm_makes_a_difference(text):
    free, clipped = (in_one_process(recipe(), text, norm)[0] for norm in (inf, 0.3))
    assert abs(free[-1] - clipped[-1]) > 1e-6


# ------------------------------------------------------------ beside torch's own


def by_torch(how: Recipe, text: Tensor) -> tuple:
    """The same run by `ZeroRedundancyOptimizer`, on averaged gradients."""
    model, group = serial.fresh_model(how), dist.group.WORLD
    defaults = serial.adamw(model, how).defaults
    options = {name: defaults[name] for name in ("lr", "betas", "weight_decay")}
    optimizer = ZeroRedundancyOptimizer(
        model.parameters(), torch.optim.AdamW, process_group=group, **options
    )
    losses, mine = [], share(how, group)
    for step in range(STEPS):
        loss = serial.mean_loss(model, *serial.batch(how, text, step, mine))
        losses.append(loss.item())
        loss.backward()
        average_gradients(model, group)
        optimizer.step()
        model.zero_grad()
    return losses, weights_of(model)


@pytest.mark.parametrize("stage", STAGES)
def test_torchs_own_optimizer_ends_at_the_same_weights(world, text, stage):
    theirs = world(3)(by_torch, recipe(), text)
    ours = world(3)(on_ranks, recipe(), text, stage, inf)
    for (losses, weights), (expected, others) in zip(ours, theirs, strict=True):
        assert losses == pytest.approx(expected, rel=1e-12)
        torch.testing.assert_close(weights, others, rtol=1e-12, atol=1e-11)


# ------------------------------------------------------------ bytes and memory


def units_of(how: Recipe, p: int) -> list[int]:
    """Elements of a shard of each unit: of what is in no block, then of each block."""
    model = serial.fresh_model(how)
    blocks = [sum(w.numel() for w in block.parameters()) for block in model.blocks]
    rest = sum(w.numel() for w in model.parameters()) - sum(blocks)
    assert p < 3 or any(count % p for count in [rest, *blocks])
    return [-(-count // p) for count in [rest, *blocks]]


def gathered_by_our_ring(rows: Tensor, own: Tensor, group: object) -> Callable:
    ring_all_gather_into_(rows, own, group)
    return lambda: None


def by_our_ring(how: Recipe, text: Tensor, stage: type, steps: int) -> None:
    shards = partial(
        stage, reduce_scatter=ring.reduce_scatter, start_gather=gathered_by_our_ring
    )
    list(zero.train(how, text, dist.group.WORLD, steps=steps, shards=shards))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_a_step_sends_the_weights_twice_in_stage_3_thrice(world, text, p, stage):
    trace = world(p).trace(by_our_ring, recipe(), text, stage, 2)
    padded = 8 * p * sum(units_of(recipe(), p))
    times = 3 if stage is WeightShards else 2
    assert trace.bytes_sent() == [2 * times * (p - 1) * padded // p] * p
    whole = 8 * sum(w.numel() for w in serial.fresh_model(recipe()).parameters())
    assert 0 <= padded - whole < 8 * p * (1 + MODEL.layers)


def micro_batches_by_our_ring(how: Recipe, text: Tensor, stage: type, m: int) -> None:
    group, model = dist.group.WORLD, serial.fresh_model(how)
    make = partial(serial.adamw, recipe=how)
    made = stage(
        model,
        list(model.blocks),
        group,
        make_optimizer=make,
        reduce_scatter=ring.reduce_scatter,
        start_gather=gathered_by_our_ring,
    )
    for part in range(m):
        data = serial.batch(how, text, part, share(how, group))
        made.backward(serial.mean_loss(model, *data) / m)
    made.step()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("m", [1, 3])
def test_bytes_grow_with_micro_batches_but_for_stage_1(world, text, m, stage):
    p = 4
    run = world(p).trace(micro_batches_by_our_ring, recipe(), text, stage, m)
    times = {OptimizerShards: 2, GradientShards: m + 1, WeightShards: 3 * m}[stage]
    once = 8 * (p - 1) * sum(units_of(recipe(), p))
    assert run.bytes_sent() == [times * once] * p


class Watched:
    """A stage with its passes, on one batch of this rank."""

    def __init__(self, how: Recipe, text: Tensor, stage: type):
        group, model = dist.group.WORLD, serial.fresh_model(how)
        self.model, self.how, self.text = model, how, text
        make = partial(serial.adamw, recipe=how)
        self.stage = stage(model, list(model.blocks), group, make_optimizer=make)
        self.mine, self.steps = share(how, group), count()

    def backward(self) -> None:
        data = serial.batch(self.how, self.text, next(self.steps), self.mine)
        self.stage.backward(serial.mean_loss(self.model, *data))


def states(how: Recipe, text: Tensor, stage: type) -> tuple[int, int, int]:
    """Bytes of weights, gradients and optimizer between backward and update."""
    watched = Watched(how, text, stage)
    watched.backward()
    watched.stage.step()
    held = nn.ModuleList([watched.model, watched.stage.shards])
    with watch(held, watched.stage.optimizer) as memory:
        watched.backward()
        now = memory.now
    return now.weights, now.gradients, now.optimizer


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_a_rank_holds_what_the_formula_says(world, text, p, stage):
    how = Recipe(**vars(recipe()) | {"dtype": torch.float32})
    shards, tensors = units_of(how, p), 1 + MODEL.layers
    count = sum(w.numel() for w in serial.fresh_model(how).parameters())
    formula = model_states(count, each=FLOAT32, dp=p, stage=1 + STAGES.index(stage))
    for weights, gradients, optimizer in world(p)(states, how, text, stage):
        # In stage 3 what is in no block is used last, and freed with its gradients.
        assert weights == 4 * sum(shards) * (1 if stage is WeightShards else p)
        kept = count if stage is OptimizerShards else sum(shards)
        assert gradients == 4 * kept
        assert optimizer == 8 * sum(shards) + 4 * tensors  # AdamW counts its steps
        assert weights == pytest.approx(formula.weights, rel=0.05)
        assert gradients == pytest.approx(formula.gradients, rel=0.05)
        assert optimizer == pytest.approx(formula.optimizer, rel=0.05)


def most_gradients(how: Recipe, text: Tensor, stage: type) -> int:
    """The largest bytes of gradients seen when one of them has just come."""
    group, model, seen, shards = dist.group.WORLD, serial.fresh_model(how), [], []

    def note(_: Tensor) -> None:
        every = [*model.parameters(), *shards]
        seen.append(sum(w.grad.nbytes for w in every if w.grad is not None))

    for weight in model.parameters():  # hooks run in order: before the stage reduces
        weight.register_post_accumulate_grad_hook(note)
    make = partial(serial.adamw, recipe=how)
    made = stage(model, list(model.blocks), group, make_optimizer=make)
    shards.extend(made.shards)
    data = serial.batch(how, text, 0, share(how, group))
    made.backward(serial.mean_loss(model, *data))
    return max(seen)


def test_stage_2_never_holds_the_whole_gradient(world, text):
    how = recipe(tied=False)
    weights = serial.fresh_model(how).parameters()
    whole = sum(w.nbytes for w in weights)
    assert world(4)(most_gradients, how, text, OptimizerShards) == [whole] * 4
    blocks = [block.parameters() for block in serial.fresh_model(how).blocks]
    inside = 8 * sum(w.numel() for weights in blocks for w in weights)
    _, *shards = units_of(how, 4)
    # Shards of the blocks, and the whole of what is in none: the embedding comes last.
    most = 8 * sum(shards) + whole - inside
    assert world(4)(most_gradients, how, text, GradientShards) == [most] * 4
    assert most < whole


# ------------------------------------------------------------ awkward models


class Odd(nn.Module):
    """Frozen, transposed, scalar, rarely and never used weights."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(5, 5) for _ in range(3))
        self.blocks[0].weight = nn.Parameter(self.blocks[0].weight.detach().T)
        self.blocks[1].bias.requires_grad_(False)
        self.blocks[2].idle = nn.Parameter(torch.ones(3))
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, *, skip: int | None) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = x if i == skip else torch.tanh(block(x))
        return x * self.gain


def odd_model(*, gain: bool = True) -> Odd:
    """gain: whether it learns; otherwise all that learns is in the units."""
    torch.manual_seed(0)
    model = Odd().double()
    model.gain.requires_grad_(gain)
    return model


def odd_loss(model: Odd, rank: int, part: int, *, leave_out: bool) -> Tensor:
    """Ranks may leave out different blocks, and others in the second part."""
    seeded = torch.Generator().manual_seed(10 * rank + part)
    x = torch.randn(4, 5, generator=seeded, dtype=torch.float64)
    skip = (rank + part) % 4 if leave_out else None
    return model(x, skip=skip).square().mean()


def odd_run(stage: type, leave_out: bool, gain: bool) -> list[Tensor]:
    model, rank = odd_model(gain=gain), dist.get_rank()
    shards = stage(model, list(model.blocks), dist.group.WORLD, make_optimizer=adamw)
    for _ in range(STEPS):
        for part in range(2):
            shards.backward(odd_loss(model, rank, part, leave_out=leave_out) / 2)
        shards.step()
    return whole_weights(shards)


def adamw(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.parameters(), lr=1e-2)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(("p", "gain"), [(1, 1), (2, 1), (3, 1), (4, 1), (3, 0)])
def test_micro_batches_of_an_awkward_model(world, p, gain, stage):
    leave_out = stage is not WeightShards  # there every rank runs all units
    model = odd_model(gain=bool(gain))
    optimizer = adamw(model)
    for _ in range(STEPS):
        for weight in model.parameters():  # a weight that nobody used counts as zero
            weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
        for rank in range(p):
            for part in range(2):
                loss = odd_loss(model, rank, part, leave_out=leave_out)
                (loss / (2 * p)).backward()
        optimizer.step()
    for weights in world(p)(odd_run, stage, leave_out, bool(gain)):
        expected = weights_of(model)
        torch.testing.assert_close(weights, expected, rtol=1e-12, atol=1e-11)


def test_stage_2_reduces_before_backward_is_over(world, text):
    def inside_backward(stage: type) -> list[int]:
        """How many reduce-scatters start inside the span of backward, by rank."""
        trace = world(2).trace(one_step, recipe(), text, stage)
        inside = []
        for r in range(2):
            events = [e for e in trace.events if e.rank == r]
            (span,) = [e for e in events if e.op == "backward"]
            starts = [e.start_s for e in events if e.op.startswith("reduce_scatter")]
            inside.append(sum(span.start_s < s < span.end_s for s in starts))
        return inside

    assert inside_backward(OptimizerShards) == [0, 0]
    assert inside_backward(WeightShards) == [1 + MODEL.layers] * 2
    assert inside_backward(GradientShards) == [1 + MODEL.layers] * 2


def one_step(how: Recipe, text: Tensor, stage: type) -> None:
    list(zero.train(how, text, dist.group.WORLD, steps=1, shards=stage))


# ------------------------------------------------------------ stage 3


def units_there(how: Recipe, text: Tensor) -> tuple[list, list, list]:
    """Which units are there or coming, inside each block and after the step."""
    watched = Watched(how, text, WeightShards)
    flats, waits, forward, backward = watched.stage.flats, watched.stage.waits, [], []

    def note(seen: list, *_: object) -> None:
        seen.append([i for i, flat in enumerate(flats) if flat in waits])

    for block in watched.model.blocks:
        block.norm_1.register_forward_pre_hook(partial(note, forward))
        block.feed_forward.register_full_backward_pre_hook(partial(note, backward))
    watched.backward()
    watched.stage.step()
    return forward, backward, list(waits)


def test_a_unit_is_there_while_it_is_used_and_the_next_one_comes(world, text):
    for forward, backward, after in world(2)(units_there, recipe(), text):
        assert forward == [[0, 1, 2], [0, 2, 3], [0, 3]]
        assert backward == [[0, 2, 3], [0, 1, 2], [0, 1]]
        assert after == []


def most_weights(how: Recipe, text: Tensor) -> int:
    """The largest bytes of weights and shards inside a block's backward pass."""
    watched, seen = Watched(how, text, WeightShards), []
    held = nn.ModuleList([watched.model, watched.stage.shards])
    with watch(held) as memory:
        for block in watched.model.blocks:
            block.feed_forward.register_full_backward_pre_hook(
                lambda *_: seen.append(memory.now.weights)
            )
        watched.backward()
    return max(seen)


def test_of_the_weights_three_units_are_there(world, text):
    rest, *blocks = units_of(recipe(), 3)
    expected = 8 * (rest + sum(blocks) + 3 * (rest + 2 * blocks[0]))
    assert world(3)(most_weights, recipe(), text) == [expected] * 3


def marked_step(how: Recipe, text: Tensor) -> None:
    watched = Watched(how, text, WeightShards)
    mark_passes(watched.model.blocks, first=1)  # unit 0 is what is in no block
    watched.backward()
    watched.stage.step()


@pytest.mark.parametrize("p", [1, 2, 4])
def test_the_next_gather_begins_before_the_unit_in_use_has_computed(world, text, p):
    trace = world(p).trace(marked_step, recipe(), text)
    for r in range(p):
        events = [e for e in trace.events if e.rank == r]
        span = {e.op: e for e in events if e.kind == "compute"}
        of_units = [e for e in events if e.label.startswith("unit")]
        gathers = [(e.label, e) for e in of_units if e.op.startswith("all_gather")]
        order = [f"unit {i}" for i in (0, 1, 2, 3, 0, 3, 2, 1)]
        assert [name for name, _ in gathers] == order
        begun = [e.start_s for _, e in gathers]
        for i in (1, 2):  # forward: the gather of i + 1, once i - 1 is over
            assert begun[i + 1] < span[f"forward {i}"].start_s
            assert i == 1 or begun[i + 1] > span[f"forward {i - 1}"].end_s
        for i in (3, 2):  # backward: the gather of i - 1, once i + 1 is over
            assert begun[9 - i] < span[f"backward {i}"].start_s
            assert i == 3 or begun[9 - i] > span[f"backward {i + 1}"].start_s


def without_gradients(how: Recipe, text: Tensor) -> tuple[float, int]:
    watched = Watched(how, text, WeightShards)
    with torch.no_grad():
        data = serial.batch(how, text, 0, range(how.batch))
        loss = serial.mean_loss(watched.model, *data).item()
    return loss, len(watched.stage.waits)


def test_a_model_in_shards_can_be_asked_without_gradients(world, text):
    data = serial.batch(recipe(), text, 0, range(recipe().batch))
    expected = serial.mean_loss(serial.fresh_model(recipe()), *data).item()
    for loss, left in world(3)(without_gradients, recipe(), text):
        assert loss == pytest.approx(expected, rel=1e-12)
        assert left == 0


def by_fully_shard(how: Recipe, text: Tensor) -> tuple:
    """The same run by torch's own stage 3."""
    model, mine = serial.fresh_model(how), share(how, dist.group.WORLD)
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for part in [*model.blocks, model]:
        fully_shard(part, mesh=mesh)
    optimizer, losses = serial.adamw(model, how), []
    for step in range(STEPS):
        loss = serial.mean_loss(model, *serial.batch(how, text, step, mine))
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses, [weight.full_tensor().detach() for weight in model.parameters()]


def test_fully_shard_ends_at_the_same_weights(world, text):
    theirs = world(3)(by_fully_shard, recipe(), text)
    ours = world(3)(on_ranks, recipe(), text, WeightShards, inf)
    for (losses, weights), (expected, others) in zip(ours, theirs, strict=True):
        assert losses == pytest.approx(expected, rel=1e-12)
        torch.testing.assert_close(weights, others, rtol=1e-12, atol=1e-11)


def units_left() -> tuple[int, int]:
    model, group = nn.Sequential(*(nn.Linear(5, 5) for _ in range(3))), dist.group.WORLD
    shards = WeightShards(model, list(model), group, make_optimizer=adamw)
    shards.backward(model(torch.ones(2, 5)).sum())
    return len(shards.flats), len(shards.waits)


def test_nothing_is_left_after_backward_where_units_are_the_whole_model(world):
    assert world(2)(units_left) == [(3, 0)] * 2


def read_too_late() -> None:
    model, group = odd_model(), dist.group.WORLD
    WeightShards(model, list(model.blocks), group, make_optimizer=adamw)
    model.blocks[0].weight @ torch.ones(5, dtype=torch.float64)


def test_reading_a_weight_outside_its_pass_is_an_error(world):
    with pytest.raises(RankError, match="read_too_late.*RuntimeError"):
        world(2)(read_too_late)


# ------------------------------------------------------------ computed anew


class Deep(nn.Module):
    """A stem and blocks of two layers, which may be computed anew in backward.

    again: None, or whether the checkpoint round each block is re-entrant.
    """

    def __init__(self, again: bool | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.again = nn.Linear(5, 5), again
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 5)) for _ in range(3)
        )
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if self.again is None:
                x = block(x)
            else:
                x = checkpoint(block, x, use_reentrant=self.again)
        return x

    def loss(self, step: int, rank: int) -> Tensor:
        seeded = torch.Generator().manual_seed(10 * step + rank)
        return self(torch.randn(4, 5, generator=seeded).double()).square().mean()


def sgd(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(module.parameters(), lr=0.3)


def deep_alone(p: int) -> list[Tensor]:
    """The weights of one process that takes the samples of p ranks."""
    model = Deep()
    optimizer = sgd(model)
    for step in range(STEPS):
        sum(model.loss(step, r) for r in range(p)).div(p).backward()
        optimizer.step()
        optimizer.zero_grad()
    return weights_of(model)


def undisturbed(*_: object) -> None:
    """Nothing happens."""


def deep_on_ranks(
    stage: type,
    *,
    again: bool | None = None,
    before: Callable = undisturbed,
    after: Callable = undisturbed,
) -> list[Tensor]:
    """before, after: of model and shards, around each backward pass, to no effect."""
    model, r = Deep(again), dist.get_rank()
    blocks = list(model.blocks)
    shards = stage(model, blocks, dist.group.WORLD, make_optimizer=sgd)
    for step in range(STEPS):
        before(model, shards)
        shards.backward(model.loss(step, r))
        after(model, shards)
        shards.step()
    return whole_weights(shards)


@pytest.mark.parametrize("again", [None, False, True])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("p", [1, 2, 3])
def test_units_may_be_computed_anew_in_the_backward_pass(world, p, stage, again):
    for found in world(p)(partial(deep_on_ranks, stage, again=again)):
        torch.testing.assert_close(found, deep_alone(p), rtol=1e-12, atol=1e-14)


def held_while_computed_anew() -> list[list[int]]:
    """Which units are there or coming when a block is computed, forward and anew."""
    model, seen = Deep(again=False), []
    blocks = list(model.blocks)
    shards = WeightShards(model, blocks, dist.group.WORLD, make_optimizer=sgd)
    for block in blocks:
        block[1].register_forward_pre_hook(
            lambda *_: seen.append(
                [i for i, flat in enumerate(shards.flats) if flat in shards.waits]
            )
        )
    shards.backward(model.loss(0, 0))
    return [*seen, list(shards.waits)]


def test_what_is_computed_anew_keeps_three_units_and_none_at_the_end(world):
    forward = [[0, 1, 2], [0, 2, 3], [0, 3]]
    anew = [[0, 2, 3], [0, 1, 2], [0, 1]]
    expected = [*forward, *anew, []]
    assert world(2)(held_while_computed_anew) == [expected] * 2


# ------------------------------------------------------------ passes that fail


class Spilt(Exception):
    """What went wrong on every rank."""


def spill(*_: object) -> None:
    raise Spilt


def failed_forward(model: Deep, _: OptimizerShards) -> None:
    hook = model.blocks[1].register_forward_pre_hook(spill)
    with pytest.raises(Spilt):
        model.loss(7, dist.get_rank())
    hook.remove()


def failed_backward(model: Deep, shards: OptimizerShards) -> None:
    """When the last block is reduced, and of the next some gradients are there."""
    weight = model.blocks[1][0].weight
    loss = model.loss(7, dist.get_rank())
    hook = weight.register_hook(spill)
    with pytest.raises(Spilt):
        shards.backward(loss)
    hook.remove()
    model.zero_grad()


@pytest.mark.parametrize(
    "failed",
    [
        {"before": failed_forward},
        {"after": failed_forward},
        {"before": failed_backward},
    ],
    ids=["forward before", "forward after", "backward before"],
)
@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_left_of_a_pass_that_failed(world, stage, failed):
    for found in world(2)(partial(deep_on_ranks, stage, **failed)):
        torch.testing.assert_close(found, deep_alone(2), rtol=1e-12, atol=1e-14)


def around_the_stage(stage: type) -> None:
    model = Deep()
    stage(model, list(model.blocks), dist.group.WORLD, make_optimizer=sgd)
    model.loss(0, 0).backward()


@pytest.mark.parametrize("stage", [GradientShards, WeightShards])
def test_a_backward_pass_that_nobody_reduces_is_an_error(world, stage):
    complaint = "RuntimeError: a gradient twice, or outside of this stage's backward"
    with pytest.raises(RankError, match=complaint):
        world(2)(around_the_stage, stage)


# ------------------------------------------------------------ one model


def started(stage: type) -> list[Tensor]:
    """Weights, of which one is frozen, and a buffer; every rank had its own."""
    model, r = odd_model(), dist.get_rank()
    model.register_buffer("shift", torch.ones(2))
    for x in [*model.parameters(), model.shift]:
        x.data += r
    shards = stage(model, list(model.blocks), dist.group.WORLD, make_optimizer=adamw)
    return [*whole_weights(shards), model.shift]


@pytest.mark.parametrize("stage", STAGES)
def test_all_ranks_start_from_the_weights_and_buffers_of_rank_0(world, stage):
    expected = [*weights_of(odd_model()), torch.ones(2)]
    for found in world(3)(started, stage):
        assert all(map(torch.equal, found, expected))


def other_model(case: str) -> str:
    model, r = odd_model(), dist.get_rank()
    units = list(model.blocks)
    if r == 1 and case == "shape":
        model.blocks[2].idle = nn.Parameter(torch.ones(4).double())
    if r == 1 and case == "frozen":
        model.blocks[2].idle.requires_grad_(False)
    if r == 1 and case == "units":
        units.pop()
    try:
        OptimizerShards(model, units, dist.group.WORLD, make_optimizer=adamw)
    except ValueError as error:
        return str(error)
    return "none"


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        (
            "shape",
            "rank 1 has blocks.2.idle (4,) of torch.float64, learning True where",
        ),
        ("frozen", "rank 1 has blocks.2.idle (3,) of torch.float64, learning False wh"),
        ("units", "rank 1 has buckets of [4, 2, 1] gradients where rank 0 has buckets"),
    ],
)
def test_another_model_is_refused_on_every_rank(world, case, complaint):
    trace = world(3).trace(other_model, case)
    assert len(set(trace.results)) == 1
    assert trace.results[0].startswith(complaint)
    assert {e.op for e in trace.events if e.kind == "collective"} == {"all_gather"}


def test_a_model_is_copied_once(world, text):
    trace = world(2).trace(one_step, recipe(), text, OptimizerShards)
    whole = sum(w.nbytes for w in serial.fresh_model(recipe()).parameters())
    for r in range(2):
        events = [e for e in trace.events if e.rank == r]
        assert sum(e.bytes for e in events if e.op == "broadcast") == whole


# ------------------------------------------------------------ refused


def refused(case: str) -> None:
    model, norm = odd_model(), inf
    units = list(model.blocks)
    if case == "stranger":
        units[1] = nn.Linear(5, 5)
    elif case == "twice":
        units.append(units[0])
    elif case == "dtypes":
        model.blocks[2].idle.data = torch.ones(())
    elif case == "norm":
        norm = 0.0
    else:
        norm = nan
    OptimizerShards(model, units, dist.group.WORLD, make_optimizer=adamw, max_norm=norm)


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        ("twice", "4 units name 8 weights, but only 6 different ones: each belongs"),
        ("dtypes", "3 weights of torch.float32 and torch.float64 in one unit cannot"),
        ("stranger", "of 3 units, [1] are not parts of the model"),
        ("norm", "gradients cannot be clipped to a norm of 0.0"),
        ("nan", "gradients cannot be clipped to a norm of nan"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(world, case, complaint):
    with pytest.raises(RankError) as failed:
        world(2)(refused, case)
    assert failed.value.cause.startswith(f"ValueError: {complaint}")
