"""A GPT whose sequences are shared learns what it learns in one process."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.activations import Kept, activation_bytes
from dlsys_code.introduction.average_gradients import average_at_once
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.memory import watch
from dlsys_code.system import context_parallel_beside as beside
from dlsys_code.system import context_parallel_costs as costs
from dlsys_code.system.context_parallel import Layout, contiguous, zigzag
from dlsys_code.system.context_parallel_training import fresh_model, train
from dlsys_code.system.gathered_attention import gathered_attention
from dlsys_code.system.online_softmax_fused import fused
from dlsys_code.system.ring_attention import ring_attention
from dlsys_code.system.ulysses import ulysses_attention
from dlsys_code.world import World

STEPS = 3
TEXT = tokens.documentation()[:20_000]
WAYS = {
    "ring": ring_attention,
    "fused ring": partial(ring_attention, kernel=fused),
    "Ulysses": ulysses_attention,
    "gathered": gathered_attention,
}


def recipe(*, tied: bool = True, heads: int = 4, batch: int = 3, T: int = 24):
    model = GPTConfig(
        width=6 * heads,
        layers=2,
        heads=heads,
        key_value_heads=heads // 2,
        hidden=9,
        tied=tied,
    )
    return serial.Recipe(model=model, batch=batch, sequence=T, dtype=torch.float64)


def serially(how: serial.Recipe) -> tuple[list[float], list[Tensor]]:
    """The losses of one process, and its weights at the end."""
    model = serial.fresh_model(how)
    optimizer, losses = serial.adamw(model, how), []
    for step in range(STEPS):
        batch = serial.batch(how, TEXT, step, range(how.batch))
        loss = serial.mean_loss(model, *batch)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses, weights_of(model)


def weights_of(model: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def shared(how: serial.Recipe, attention: Callable, layout: Layout) -> tuple:
    """This rank's losses, and its weights at the end."""
    group, seen = dist.group.WORLD, []

    def average(model: nn.Module, cp: dist.ProcessGroup) -> None:
        average_at_once(model, cp)
        seen.append(model)

    ways = {"attention": attention, "layout": layout, "average": average}
    losses = list(train(how, TEXT, group, steps=STEPS, **ways))
    return losses, weights_of(seen[-1])


@pytest.mark.parametrize("layout", [contiguous, zigzag])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("p", [1, 2, 4])
def test_shared_sequences_teach_what_whole_ones_do(world, p, way, layout):
    how = recipe(tied=layout is zigzag)
    expected, weights = serially(how)
    found = world(p)(shared, how, WAYS[way], layout)
    losses = torch.tensor([own for own, _ in found], dtype=torch.float64).mean(0)
    assert losses.tolist() == pytest.approx(expected, rel=1e-12)
    for _, own in found:
        # AdamW divides by at least 1e-8: see test_zero.
        torch.testing.assert_close(own, weights, rtol=1e-12, atol=1e-11)
        assert all(map(torch.equal, own, found[0][1]))


@pytest.mark.parametrize("way", ["ring", "Ulysses", "gathered"])
@pytest.mark.parametrize("p", [1, 3])
def test_three_ranks_share_six_heads(world, p, way):
    how = recipe(heads=6)
    found = world(p)(shared, how, WAYS[way], zigzag)
    expected, weights = serially(how)
    losses = torch.tensor([own for own, _ in found], dtype=torch.float64).mean(0)
    assert losses.tolist() == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(found[-1][1], weights, rtol=1e-12, atol=1e-11)


def one_pass(how: serial.Recipe, attention: Callable) -> tuple[int, int]:
    """What this rank keeps after the forward pass: activations, and all but weights."""
    cp, T = dist.group.WORLD, how.sequence
    model = fresh_model(how, cp, attention=attention, layout=zigzag)
    mine = zigzag(T, cp.size(), cp.rank())
    batch = serial.batch(how, TEXT, 0, range(how.batch))
    with watch(model) as memory:
        inputs, targets = (x[:, mine] for x in batch)
        loss = serial.mean_loss(partial(model, positions=mine), inputs, targets)
        kept = memory.now
    loss.backward()
    return kept.activations, kept.total - kept.weights


@pytest.mark.parametrize("p", [1, 2, 4])
@pytest.mark.parametrize(
    ("way", "kept"),
    [
        ("ring", costs.ring_kept),
        ("fused ring", costs.ring_kept),
        ("Ulysses", costs.ulysses_kept),
    ],
)
def test_a_rank_keeps_the_formula(world, p, way, kept):
    how = recipe(batch=2, T=96)
    expected = activation_bytes(
        how.model, 2, 96 // p, element=8, attention=kept(p), composed=True
    )
    for activations, everything in world(p)(one_pass, how, WAYS[way]):
        assert activations == pytest.approx(expected, rel=0.05)
        assert everything == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("p", [1, 2, 4])
def test_who_gathers_keeps_all_keys_and_a_mask(world, p):
    how = recipe(batch=2, T=96)
    expected = activation_bytes(
        how.model,
        2,
        96 // p,
        element=8,
        attention=costs.gathered_kept(p),
        composed=True,
    )
    expected += how.model.layers * (2 * p + 1) * (96 // (2 * p)) ** 2 * 8
    for activations, _ in world(p)(one_pass, how, gathered_attention):
        assert activations == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("p", [2, 4])
def test_a_ring_of_p_keeps_one_pth_to_the_byte(world, p):
    how = recipe(batch=2, T=96)

    def formula(T: int, kept: Kept) -> int:
        return activation_bytes(
            how.model, 2, T, element=8, attention=kept, composed=True
        )

    for activations, _ in world(p)(one_pass, how, ring_attention):
        assert activations == formula(96 // p, costs.ring_kept(p))
    alone = world(1)(one_pass, how, ring_attention)[0][0]
    assert alone - 8 == p * (activations - 8)  # but for the one number of the loss


def learn(how: serial.Recipe, attention: Callable) -> None:
    list(train(how, TEXT, dist.group.WORLD, steps=1, attention=attention))


@pytest.mark.parametrize("p", [2, 4])
@pytest.mark.parametrize(
    ("way", "formula"),
    [
        ("ring", costs.ring_bytes),
        ("Ulysses", costs.ulysses_bytes),
        ("gathered", costs.gathered_bytes),
    ],
)
def test_a_step_sends_its_attention_and_reduces_its_gradients(world, p, way, formula):
    how = recipe()
    sizes = costs.Sequence(
        batch=3, tokens=24, heads=4, key_value_heads=2, head_width=6, item=8
    )
    trace = world(p).trace(learn, how, WAYS[way])
    assert trace.bytes_sent() == [how.model.layers * formula(sizes, p)] * p
    weights = sum(w.numel() for w in serial.fresh_model(how).parameters())
    reduced = [e.bytes for e in trace.events if e.kind == "collective"]
    assert reduced == [8 * weights] * p


@pytest.mark.parametrize(
    ("way", "T", "numbers"),
    [
        ("ring", 18, "18 tokens cannot be cut into 8 equal pieces"),
        ("gathered", 18, "18 tokens cannot be cut into 8 equal pieces"),
        ("Ulysses", 24, "6 heads cannot be shared by 4 ranks"),
    ],
)
def test_what_cannot_be_shared_is_named_before_any_message(world, way, T, numbers):
    def complaint() -> str:
        with pytest.raises(ValueError) as error:
            learn(recipe(heads=6, T=T), WAYS[way])
        return str(error.value)

    trace = world(4).trace(complaint)
    assert trace.results == [numbers] * 4
    assert not [e for e in trace.events if e.kind != "compute"]


# ------------------------------------------------------------ beside torch's own


def test_torchs_own_has_no_path_for_a_cpu(world):
    def refused() -> str:
        with pytest.raises(NotImplementedError) as error:
            next(beside.by_torch(recipe(), TEXT, dist.group.WORLD, steps=1))
        return str(error.value)

    assert "flash_attention_for_cpu" in world(2)(refused)[0]


def test_a_race_has_all_our_ways_and_they_learn_the_same(world):
    def first_losses() -> list[float]:
        made = beside.contenders(recipe(T=16), TEXT).values()
        return [make(dist.group.WORLD)() for make in made]

    found = torch.tensor(world(2)(first_losses), dtype=torch.float64).mean(0)
    assert len(found) == len(beside.OURS)
    torch.testing.assert_close(found, found[:1].expand_as(found), rtol=1e-12, atol=0)


@pytest.mark.gpu
def test_torchs_own_learns_the_same_on_gpus():
    if torch.cuda.device_count() < 2:
        pytest.skip("torch's context_parallel shares a sequence from 2 GPUs on")
    how = serial.Recipe(batch=2, sequence=256)

    def losses(way: str) -> list[float]:
        run = (beside.OURS | {"torch": beside.by_torch})[way]
        return list(run(how, TEXT, dist.group.WORLD, steps=STEPS))

    with World(2, device="cuda") as gpus:
        theirs = torch.tensor(gpus(losses, "torch")).mean(0)
        for way in beside.OURS:
            ours = torch.tensor(gpus(losses, way)).mean(0)
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
