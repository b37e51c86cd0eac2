"""Live bytes are counted exactly: by name, by shape, and as the allocator counts."""

import contextlib
import gc
import json
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.checkpoint import checkpoint

from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.gpt import (
    GPT,
    Attention,
    GPTConfig,
    explicit_attention,
    fused_attention,
)
from dlsys_code.introduction.memory import (
    Bytes,
    allocated_peak,
    saved_for_backward,
    watch,
)

SMALL = serial.Recipe(
    model=GPTConfig(
        vocabulary=256, width=32, layers=3, heads=4, key_value_heads=2, hidden=40
    ),
    batch=3,
    sequence=10,
)
ATTENTIONS = [fused_attention, explicit_attention]
DTYPES = [torch.float32, torch.float64]


def gpt(recipe: serial.Recipe, attention: Attention = fused_attention) -> GPT:
    return GPT(recipe.model, attention=attention).to(recipe.dtype)


def a_batch(recipe: serial.Recipe) -> tuple[Tensor, Tensor]:
    text = tokens.documentation()
    return serial.batch(recipe, text, 0, range(recipe.batch))


def weights_bytes(model: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())


def step_of(model: nn.Module, optimizer, batch, *, to_none: bool = True) -> Callable:
    def step() -> None:
        serial.mean_loss(model, *batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=to_none)

    return step


def block_elements(recipe: serial.Recipe, attention: Attention) -> int:
    """What torch keeps of one block, in elements, tensor by tensor."""
    c, b, T = recipe.model, recipe.batch, recipe.sequence
    h, a, d, g, f = c.width, c.heads, c.head_width, c.key_value_heads, c.hidden
    norms = 2 * (3 * b * T * h + b * T)  # in, scaled, out; and one over the root
    rotated = b * T * a * d + 2 * b * T * g * d  # q, k, v
    repeated = 3 * b * T * a * d
    attended = b * T * a * d
    swiglu = 4 * b * T * f  # gate, up, silu(gate), product
    if attention is fused_attention:
        return norms + rotated + b * a * T + attended + swiglu  # with log-sum-exp
    return norms + repeated + b * a * T * T + attended + swiglu


def rest_bytes(recipe: serial.Recipe, attention: Attention) -> int:
    """Cosine and sine, the final norm, and the cross-entropy; masks are of one byte."""
    c, b, T, item = recipe.model, recipe.batch, recipe.sequence, recipe.dtype.itemsize
    elements = 2 * T * c.head_width + 3 * b * T * c.width + b * T
    elements += b * T * c.vocabulary + 1  # log-probabilities, and their weight
    mask = c.layers * T * T if attention is explicit_attention else 0
    return elements * item + mask + b * T * torch.int64.itemsize  # targets


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "sequence"), [(1, 1), (1, 10), (3, 10), (2, 17)])
def test_every_kept_byte_has_a_name(attention, dtype, batch, sequence):
    recipe = replace(SMALL, dtype=dtype, batch=batch, sequence=sequence)
    model, data = gpt(recipe, attention), a_batch(recipe)
    with watch(model) as memory:
        loss = serial.mean_loss(model, *data)
        forward = memory.now
    block = block_elements(recipe, attention) * dtype.itemsize
    kept = recipe.model.layers * block + rest_bytes(recipe, attention)
    if batch == 1:  # one row of targets is flat already and no copy
        kept -= sequence * torch.int64.itemsize
    assert forward.activations == kept
    held = saved_for_backward(model, lambda: serial.mean_loss(model, *data))
    own = {x.untyped_storage().data_ptr() for x in data}
    assert kept == sum(
        x.untyped_storage().nbytes()
        for x in held
        if x.untyped_storage().data_ptr() not in own
    )
    assert loss.grad_fn is not None


def test_activations_grow_with_the_batch():
    def activations(batch: int) -> int:
        recipe = replace(SMALL, batch=batch)
        model, data = gpt(recipe), a_batch(recipe)
        with watch(model) as memory:
            loss = serial.mean_loss(model, *data)
            found = memory.now.activations
        loss.backward()
        return found

    two, four, eight = (activations(batch) for batch in (2, 4, 8))
    assert four > two
    assert eight - four == 2 * (four - two)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_step_of_adamw_tensor_by_tensor(dtype, tied):
    config = replace(SMALL.model, tied=tied)
    recipe = replace(SMALL, dtype=dtype, model=config)
    model, data = gpt(recipe), a_batch(recipe)
    optimizer = serial.adamw(model, recipe)
    weights = weights_bytes(model)
    counters = 4 * len(list(model.parameters()))
    with watch(model, optimizer) as memory:
        assert memory.now == Bytes(weights=weights)
        loss = serial.mean_loss(model, *data)
        assert memory.now.activations > 0
        loss.backward()
        assert memory.now.activations == 0
        assert memory.now.gradients == weights
        optimizer.step()
        assert memory.now.optimizer == 2 * weights + counters
        optimizer.zero_grad()
        del loss
    assert memory.now.gradients == 0
    assert memory.now.weights == weights
    # All that is left is the batch, whose inputs and targets are views of one storage.
    assert memory.now.other == data[0].untyped_storage().nbytes()


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("make", [torch.optim.AdamW, torch.optim.SGD])
def test_every_step_ends_with_the_same_bytes(make, to_none):
    model, data = gpt(SMALL), a_batch(SMALL)
    optimizer = make(model.parameters(), lr=1e-3)
    step = step_of(model, optimizer, data, to_none=to_none)
    after, peaks = [], []
    with watch(model, optimizer) as memory:
        for _ in range(4):
            step()
            after.append(memory.now)
            peaks.append(memory.peak)
    assert after == [after[0]] * 4
    assert peaks[1:] == [peaks[1]] * 3
    assert after[0].gradients == (0 if to_none else weights_bytes(model))


def test_the_peak_names_a_gradient_that_died_before_anybody_looked():
    model = nn.Linear(1000, 1000, bias=False)
    x = torch.ones(1, 1000)
    with watch(model) as memory:
        model(x).sum().backward()
        model.weight.grad = None
    assert memory.peak.weights == memory.peak.gradients == 4_000_000
    assert memory.now.gradients == 0


def test_the_peak_names_what_the_first_step_of_the_optimizer_makes():
    model = nn.Linear(1000, 1000, bias=False)
    optimizer = torch.optim.AdamW(model.parameters())
    with watch(model, optimizer) as memory:
        model(torch.ones(1, 1000)).sum().backward()
        model.weight.grad = model.weight.grad / 2  # as an average would
        optimizer.step()
        optimizer.zero_grad()
    peak = memory.peak
    assert peak.weights == peak.gradients == 4_000_000
    assert peak.optimizer == 8_000_004
    assert peak.other >= 4_000_000  # the root of the second moment, for a moment


def allocators_peak(run: Callable, folder) -> int:
    """The largest sum of what torch's allocator gave and took, by its profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as account:
        run()
    account.export_chrome_trace(str(folder / "trace.json"))
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    events = [e for e in events if e["name"] == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e["ts"]):
        now += event["args"]["Bytes"]
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_torchs_allocator_counts_the_same(attention, tmp_path):
    recipe = replace(SMALL, batch=8, sequence=64)
    model, data = gpt(recipe, attention), a_batch(recipe)
    optimizer = serial.adamw(model, recipe)
    step = step_of(model, optimizer, data)
    step()
    by_allocator = allocators_peak(step, tmp_path)
    with watch(model, optimizer) as memory:
        before = memory.now.total + data[0].untyped_storage().nbytes()
        step()
    # A kernel's own scratch is seen by the allocator alone.
    assert memory.peak.total - before == pytest.approx(by_allocator, rel=0.01)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_watch_changes_no_bit(attention, dtype):
    def trained(context: Callable) -> list[Tensor]:
        model = gpt(replace(SMALL, dtype=dtype), attention)
        optimizer, data = serial.adamw(model, SMALL), a_batch(SMALL)
        with context(model, optimizer):
            for _ in range(3):
                loss = serial.mean_loss(model, *data)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        return [loss.detach(), *(p.detach() for p in model.parameters())]

    alone = trained(lambda model, optimizer: contextlib.nullcontext())
    for x, y in zip(alone, trained(watch), strict=True):
        assert torch.equal(x, y)


def test_views_and_ties_count_once():
    model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
    model[1].weight = model[0].weight
    with watch(model) as memory:
        x = torch.zeros(100)
        views = [x[:10], x.view(10, 10).T, x.detach()]
        assert memory.now == Bytes(weights=256, other=400)
        del x
        assert memory.now.other == 400
        del views
        assert memory.now.other == 0
    assert memory.peak == Bytes(weights=256, other=400)


def test_a_storage_may_change_its_size():
    model = nn.Linear(1, 1, bias=False)
    with watch(model) as memory:
        x = torch.zeros(10)
        x.resize_(1000)
        assert memory.now.other == 4000
        y = torch.zeros(5)
        x.untyped_storage().resize_(40)
        x[:10].add_(1)  # no operation shrank it, so the next one shows it
        assert memory.now.other == 40 + 20
        del x, y
        assert memory.now.other == 0
    assert memory.peak.other == 4020


def test_frozen_weights_and_buffers_are_weights():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    model[0].requires_grad_(False)
    with watch(model) as memory:
        model(torch.ones(2, 4)).sum().backward()
        trained = 4 * (4 + 4 + 16 + 4)
        assert memory.now.gradients == trained
        assert memory.now.weights == trained + 4 * (16 + 4) + 4 * (4 + 4) + 8
    assert model[0].weight.grad is None


def test_what_autograd_kept_is_other_once_it_lets_go():
    model = nn.Linear(10, 10, bias=False)
    x = torch.ones(10, 10)
    with watch(model) as memory:
        y = model(x).exp()  # keeps its result
        loss = y.sum()
        assert memory.now == Bytes(weights=400, activations=400, other=404)
        loss.backward()
        assert memory.now == Bytes(weights=400, gradients=400, other=804)
    assert y is not None


def test_the_peak_remembers_what_autograd_kept_then():
    model = nn.Linear(10, 10, bias=False)
    with watch(model) as memory:
        x = model(torch.ones(10, 10))
        y = x.exp()
        x, y = x.detach(), y.detach()  # nothing dies but the graph
        assert memory.now.activations == 0
    assert memory.peak.activations == 800  # what went in and what came out


def test_a_watch_that_is_over_holds_nothing():
    model, (inputs, targets) = gpt(SMALL), a_batch(SMALL)
    with watch(model):
        serial.mean_loss(model, inputs, targets).backward()
    watched = weakref.ref(model)
    del model
    gc.collect()
    assert watched() is None


def test_accumulated_gradients_are_counted_once():
    model, (inputs, targets) = gpt(SMALL), a_batch(SMALL)
    weights = weights_bytes(model)
    with watch(model) as memory:
        for x, y in zip(inputs.split(1), targets.split(1), strict=True):
            serial.mean_loss(model, x, y).backward()
            assert memory.now.gradients == weights
    assert memory.peak.gradients <= weights


def test_nothing_is_kept_without_gradients():
    model, data = gpt(SMALL), a_batch(SMALL)
    with watch(model) as memory, torch.no_grad():
        serial.mean_loss(model, *data)
    assert memory.peak.activations == 0
    assert memory.peak.other > 0


def test_an_error_ends_the_watch_and_leaves_nothing_behind():
    model, data = gpt(SMALL), a_batch(SMALL)
    optimizer = serial.adamw(model, SMALL)
    with pytest.raises(RuntimeError, match="mine"), watch(model, optimizer) as memory:
        serial.mean_loss(model, *data).backward()
        raise RuntimeError("mine")
    at_its_end = memory.now, memory.peak
    assert at_its_end[0].gradients == weights_bytes(model)
    assert _get_current_dispatch_mode() is None
    step_of(model, optimizer, data)()
    gc.collect()
    assert (memory.now, memory.peak) == at_its_end


def test_a_watch_inside_a_watch():
    model, data = gpt(SMALL), a_batch(SMALL)
    with watch(model) as outer:
        with watch(model) as inner:
            loss = serial.mean_loss(model, *data)
        assert inner.now.activations > 0 == outer.now.activations
        assert inner.now.total == outer.now.total
        loss.backward()
        loss = serial.mean_loss(model, *data)
        assert outer.now.activations == inner.now.activations
        loss.backward()
    assert outer.now.activations == 0


def test_garbage_may_be_collected_at_any_time():
    model = nn.Linear(1, 1, bias=False)
    threshold = gc.get_threshold()
    try:
        with watch(model) as memory:
            alive = [torch.zeros(10) for _ in range(3000)]
            gc.freeze()  # what is there now is no garbage, and need not be searched
            for size, later in enumerate((*range(1, 99), 300, 2000), start=1):
                gc.disable()
                cycle = [torch.zeros(10 * size)]
                cycle.append(cycle)
                del cycle
                gc.set_threshold(gc.get_count()[0] + later)
                gc.enable()  # strikes so many allocations later
                assert memory.peak.other == 40 * (len(alive) + size)
                assert memory.now.other >= 40 * len(alive)
                gc.collect()
                lower = torch.zeros(10 * size - 1)
                assert memory.peak.other == 40 * (len(alive) + size)
                del lower
            assert memory.now.other == 40 * len(alive)
    finally:
        gc.unfreeze()
        gc.enable()
        gc.set_threshold(*threshold)


def test_torchs_checkpoint_has_the_right_total():
    model = nn.Sequential(nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 50))
    x = torch.ones(50, 50, requires_grad=True)
    with watch(model) as memory:
        y = checkpoint(model, x, use_reentrant=False)
        assert memory.now.activations == 0  # x was there before
        y.sum().backward()
        assert memory.now.activations == 0
    assert memory.peak.total > weights_bytes(model) + 4 * 50 * 50


def test_a_model_needs_a_device():
    with pytest.raises(ValueError, match="without parameters"), watch(nn.Tanh()):
        pass


@pytest.mark.gpu
def test_the_allocator_of_a_gpu_counts_about_the_same():
    recipe = replace(SMALL, batch=16, sequence=128)
    with torch.device("cuda"):
        model = serial.fresh_model(recipe)
        optimizer, data = serial.adamw(model, recipe), a_batch(recipe)
    step = step_of(model, optimizer, data)
    step()  # makes the optimizer's state, and the libraries' scratch
    by_allocator = allocated_peak(step)
    with watch(model, optimizer) as memory:
        before = memory.now.total
        step()
    assert memory.peak.total - before == pytest.approx(by_allocator, rel=0.1)
