"""Buckets that travel during backward bring what one process computes."""

from functools import partial
from itertools import count
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from dlsys_code.communication import cost
from dlsys_code.introduction import serial, tokens
from dlsys_code.introduction.average_gradients import average_gradients
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.introduction.memory import watch
from dlsys_code.introduction.serial import Recipe
from dlsys_code.primitive import ring
from dlsys_code.system import data_loading, data_parallel
from dlsys_code.system.buckets import MiB, buckets_of
from dlsys_code.system.data_parallel import DataParallel
from dlsys_code.world import RankError, compute

STEPS = 3
MODEL = GPTConfig(  # neither 3 nor 4 ranks divide its 4,949 weights
    vocabulary=257, width=14, layers=3, heads=1, key_value_heads=1, hidden=11
)
LIMITS = {
    "one bucket": {},
    "some": {"limit_bytes": 4000, "first_bytes": 500},
    "one each": {"limit_bytes": 1, "first_bytes": 1},
}


def recipe(batch: int = 12, *, tied: bool = True) -> Recipe:
    model = GPTConfig(**vars(MODEL) | {"tied": tied})
    return Recipe(model=model, batch=batch, sequence=9, dtype=torch.float64)


@pytest.fixture(scope="module")
def text() -> Tensor:
    return tokens.documentation()[:20_000]


def weights_of(model: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def gradients_of(model: nn.Module) -> list[Tensor]:
    return [w.grad.clone() for w in model.parameters() if w.requires_grad]


def assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    # AdamW divides by at least 1e-8, so a rounding of 1e-17 in g moves a weight by at
    # most 1e-3 x 1e-9 a step.
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-11)


# ------------------------------------------------------------ a whole run


def on_ranks(how: Recipe, text: Tensor, limits: dict) -> tuple:
    """This rank's losses, and its weights after the last step."""
    model, group = serial.fresh_model(how), dist.group.WORLD
    parallel = partial(DataParallel, **limits)
    with (
        mock.patch.object(serial, "fresh_model", return_value=model),
        mock.patch.object(data_parallel, "DataParallel", parallel),
    ):
        losses = list(data_parallel.train(how, text, group, steps=STEPS))
    return losses, weights_of(model)


def in_one_process(how: Recipe, text: Tensor) -> tuple:
    model = serial.fresh_model(how)
    with mock.patch.object(serial, "fresh_model", return_value=model):
        losses = list(serial.train(how, text, steps=STEPS))
    return losses, weights_of(model)


RUNS = [
    *((p, 12, name) for p in (1, 2, 3, 4) for name in LIMITS),
    *((p, 7, "some") for p in (2, 3, 4, 8)),  # parts of different sizes
    (4, 2, "some"),  # two ranks have no sample
]


@pytest.mark.parametrize(("p", "batch", "limits"), RUNS)
def test_ranks_learn_what_one_process_learns(world, text, p, batch, limits):
    how = recipe(batch, tied=limits != "one bucket")
    expected, weights = in_one_process(how, text)
    found = world(p)(on_ranks, how, text, LIMITS[limits])
    losses = torch.tensor([own for own, _ in found], dtype=torch.float64)
    assert losses.mean(0).tolist() == pytest.approx(expected, rel=1e-12)
    for _, own in found:
        assert_close(own, weights)
        assert all(map(torch.equal, own, found[0][1]))


def one_epoch(how: Recipe, text: Tensor, samples: int, p: int) -> list[Tensor]:
    """All samples of an epoch, in batches, on the ranks of a world or in none."""
    model = serial.fresh_model(how)
    optimizer = serial.adamw(model, how)
    parallel = DataParallel(model, dist.group.WORLD) if p else None
    for step in data_loading.batches(samples, how.batch, seed=5, epoch=2):
        mine = data_loading.parts_of(step, p or 1)[dist.get_rank() if p else 0]
        inputs, targets = serial.batch(how, text, 0, mine.samples)
        loss = mine.weight * serial.mean_loss(model, inputs, targets)
        parallel.backward(loss) if parallel else loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return weights_of(model)


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_an_epoch_with_an_uneven_end_is_that_of_one_process(world, text, p):
    how, samples = recipe(5), 11  # the last step has one sample
    expected = one_epoch(how, text, samples, 0)
    for own in world(p)(one_epoch, how, text, samples, p):
        assert_close(own, expected)


# ------------------------------------------------------------ awkward models


class Odd(nn.Module):
    """Frozen, transposed, scalar, rarely and never used weights, two dtypes, a buffer.

    skip: the layer that is left out.
    """

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(5, 5) for _ in range(3)).double()
        self.layers[0].weight = nn.Parameter(self.layers[0].weight.detach().T)
        self.layers[1].bias.requires_grad_(False)
        self.idle = nn.Parameter(torch.ones(3))
        self.gain = nn.Parameter(torch.ones(()).double())
        self.register_buffer("shift", torch.arange(5.0).double())

    def forward(self, x: Tensor, *, skip: int | None) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = x if i == skip else torch.tanh(layer(x))
        return x * self.gain + self.shift


def odd_model(seed: int = 0) -> Odd:
    torch.manual_seed(seed)
    return Odd()


def odd_loss(model: nn.Module, r: int, part: int, skip: list) -> Tensor:
    seeded = torch.Generator().manual_seed(10 * r + part)
    x = torch.randn(4, 5, generator=seeded, dtype=torch.float64)
    return model(x, skip=skip[(r + part) % len(skip)]).square().mean()


SKIPS = [[None], [0, None, 2], [1], [2, 1, 0, None]]


def odd_on_ranks(skip: list, limit: int, m: int, to_none: bool) -> list[list[Tensor]]:
    """The gradients of two steps of m micro-batches."""
    model, r = odd_model(seed=dist.get_rank()), dist.get_rank()
    parallel = DataParallel(
        model, dist.group.WORLD, limit_bytes=limit, first_bytes=limit
    )
    model.layers[0].bias.grad = torch.full((5,), 7.0).double()  # from before
    found = []
    for step in range(2):
        model.zero_grad(set_to_none=to_none)
        with parallel.no_sync():
            for part in range(m - 1):
                parallel.backward(odd_loss(model, r, m * step + part, skip) / m)
        parallel.backward(odd_loss(model, r, m * step + m - 1, skip) / m)
        found.append(gradients_of(model))
        assert model.layers[1].bias.grad is None
    return found


def odd_expected(p: int, skip: list, m: int) -> list[list[Tensor]]:
    model, found = odd_model(seed=0), []
    for step in range(2):
        for weight in model.parameters():
            weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
        for r in range(p):
            for part in range(m):
                (odd_loss(model, r, m * step + part, skip) / (m * p)).backward()
        found.append(gradients_of(model))
    return found


@pytest.mark.parametrize(
    ("limit", "to_none", "m"), [(1, True, 1), (150, False, 3), (MiB, True, 2)]
)
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_unused_weights_count_as_zero_and_micro_batches_add_up(
    world, p, skip, limit, to_none, m
):
    expected = odd_expected(p, skip, m)
    for found in world(p)(odd_on_ranks, skip, limit, m, to_none):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def started(seed_by_rank: list[int]) -> list[Tensor]:
    model = odd_model(seed_by_rank[dist.get_rank()])
    model.shift += dist.get_rank()
    DataParallel(model, dist.group.WORLD)
    return [*weights_of(model), model.shift]


def test_all_ranks_start_from_the_weights_and_buffers_of_rank_0(world):
    model = odd_model(3)
    for found in world(3)(started, [3, 1, 4]):
        assert all(map(torch.equal, found, [*weights_of(model), model.shift]))
    assert not torch.equal(odd_model(1).idle.new_ones(5), model.shift)


def in_a_part_of_the_world() -> list[Tensor] | None:
    group, r = dist.new_group([2, 0]), dist.get_rank()
    if r == 1:
        return None
    model = odd_model(seed=r)
    parallel = DataParallel(model, group)
    parallel.backward(odd_loss(model, group.rank(), 0, [None]))
    return gradients_of(model)


def test_a_group_may_be_a_part_of_the_world(world):
    first, none, last = world(3)(in_a_part_of_the_world)
    assert none is None
    assert all(map(torch.equal, first, last))


def sparse_on_ranks(sparse: bool, m: int) -> list[list[Tensor]]:
    """The gradients of two steps of m micro-batches, of each rank's words."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4, sparse=sparse), nn.Linear(4, 2)).double()
    parallel, found = DataParallel(model, dist.group.WORLD), []
    for step in range(2):
        model.zero_grad()
        words = torch.arange(3) + dist.get_rank() + step
        with parallel.no_sync():
            for _ in range(m - 1):
                parallel.backward(model(words).square().mean())
        parallel.backward(model(words * 2 % 9).square().mean())
        found.append(gradients_of(model))
    return found


@pytest.mark.parametrize("m", [1, 3])
def test_sparse_gradients_are_averaged_as_dense_ones(world, m):
    dense = world(3)(sparse_on_ranks, False, m)
    for found, expected in zip(world(3)(sparse_on_ranks, True, m), dense, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------ a pass that fails


class Spilt(Exception):
    """What went wrong on every rank."""


def spill(_: Tensor) -> None:
    raise Spilt


def after_a_failure() -> tuple[int, int, list[Tensor]]:
    """Buckets sent and waited for when the error is out; gradients after it."""
    model, r, sent, back = odd_model(), dist.get_rank(), [], []

    def start_mean(x: Tensor, group: ProcessGroup) -> object:
        wait = data_parallel.torch_start_mean(x, group)
        sent.append(x)
        return lambda: back.append(wait())

    one_each = {"limit_bytes": 1, "first_bytes": 1}
    parallel = DataParallel(model, dist.group.WORLD, start_mean=start_mean, **one_each)
    loss, hook = (
        odd_loss(model, r, 9, [None]),
        model.layers[1].weight.register_hook(spill),
    )
    with pytest.raises(Spilt):
        parallel.backward(loss)
    seen = len(sent), len(back)
    hook.remove()
    model.zero_grad()
    parallel.backward(odd_loss(model, r, 0, [None]))
    return *seen, gradients_of(model)


def test_a_pass_that_fails_leaves_nothing_on_its_way(world):
    expected, _ = odd_expected(2, [None], 1)
    for sent, back, found in world(2)(after_a_failure):
        assert 0 < sent == back < len(expected)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def plain_after_a_failure() -> None:
    model = odd_model()
    parallel = DataParallel(model, dist.group.WORLD)
    hook = model.gain.register_hook(spill)  # the first gradient
    with pytest.raises(Spilt):
        parallel.backward(odd_loss(model, 0, 0, [None]))
    hook.remove()
    odd_loss(model, 0, 0, [None]).backward()


def test_after_a_pass_that_failed_no_gradient_is_expected(world):
    with pytest.raises(RankError, match="outside of DataParallel.backward"):
        world(2)(plain_after_a_failure)


# ------------------------------------------------------------ overlap


def traced_backward(how: Recipe, text: Tensor, limits: dict) -> list[int]:
    """One backward pass in which every gradient that is there is marked."""
    model, group = serial.fresh_model(how), dist.group.WORLD

    def mark(_: Tensor) -> None:
        with compute("gradient"):
            pass

    for weight in model.parameters():
        weight.register_post_accumulate_grad_hook(mark)
    parallel = DataParallel(model, group, **limits)
    loss = serial.mean_loss(model, *serial.batch(how, text, 0, range(2)))
    parallel.backward(loss)
    return [bucket.memory.nbytes for bucket in parallel.buckets]


@pytest.mark.parametrize("limits", LIMITS)
def test_buckets_leave_before_the_last_gradient_is_there(world, text, limits):
    trace = world(3).trace(traced_backward, recipe(), text, LIMITS[limits])
    buckets = trace.results[0]
    for r in range(3):
        events = [e for e in trace.events if e.rank == r and e.op != "all_gather"]
        ops = [e.op for e in events]
        (backward,) = [e for e in events if e.op == "backward"]
        sent = [i for i, op in enumerate(ops) if op == "all_reduce"]
        last_gradient = max(i for i, op in enumerate(ops) if op == "gradient")
        assert [events[i].bytes for i in sent] == buckets
        assert all(events[i].start_s < backward.end_s for i in sent)
        early = [i < last_gradient for i in sent]
        assert early == [True] * (len(sent) - 1) + [False]
    assert (len(buckets) > 1) == (limits != "one bucket")


def test_averaging_afterwards_sends_nothing_before_the_last_gradient(world, text):
    """What the test above would see without hooks."""

    def after(how: Recipe) -> None:
        model = serial.fresh_model(how)
        with compute("backward"):
            serial.mean_loss(model, *serial.batch(how, text, 0, range(2))).backward()
        average_gradients(model, dist.group.WORLD)

    trace = world(2).trace(after, recipe())
    ops = [e.op for e in trace.events if e.rank == 0]
    assert ops.index("backward") < ops.index("all_reduce")
    (span,) = [e for e in trace.events if e.rank == 0 and e.op == "backward"]
    sent = [e for e in trace.events if e.rank == 0 and e.op == "all_reduce"]
    assert all(e.start_s > span.end_s for e in sent)


# ------------------------------------------------------------ bytes and memory


def ring_start_mean(x: Tensor, group: ProcessGroup) -> object:
    x.copy_(ring.all_reduce(x, group)).div_(group.size())
    return lambda: None


def by_our_ring(how: Recipe, text: Tensor, limits: dict, m: int) -> list[int]:
    model, group = serial.fresh_model(how), dist.group.WORLD
    parallel = DataParallel(model, group, start_mean=ring_start_mean, **limits)
    data = serial.batch(how, text, 0, range(2))
    with parallel.no_sync():
        for _ in range(m - 1):
            parallel.backward(serial.mean_loss(model, *data))
    parallel.backward(serial.mean_loss(model, *data))
    return [bucket.memory.numel() for bucket in parallel.buckets]


def ring_hook(group: ProcessGroup, bucket: dist.GradBucket) -> Future[Tensor]:
    """DDP's buckets by the same ring."""
    done = Future()
    done.set_result(ring.all_reduce(bucket.buffer(), group) / group.size())
    return done


def ddp_by_our_ring(how: Recipe, text: Tensor) -> None:
    model = DistributedDataParallel(serial.fresh_model(how))
    model.register_comm_hook(dist.group.WORLD, ring_hook)
    serial.mean_loss(model, *serial.batch(how, text, 0, range(2))).backward()


@pytest.mark.parametrize(("limits", "m"), zip(LIMITS, (1, 3, 1), strict=True))
@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_a_step_sends_the_gradients_twice_however_many_add_up(
    world, text, p, limits, m
):
    trace = world(p).trace(by_our_ring, recipe(), text, LIMITS[limits], m)
    counts = trace.results[0]
    whole = sum(weight.numel() for weight in serial.fresh_model(recipe()).parameters())
    assert sum(counts) == whole
    expected = sum(cost.ring_all_reduce(p, count, 8).bytes_sent for count in counts)
    assert trace.bytes_sent() == [expected] * p
    exact = 2 * (p - 1) / p * 8 * sum(counts)
    assert exact <= expected < exact + 2 * p * 8 * len(counts)  # chunks are rounded up


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_torchs_own_sends_as_many(world, text, p):
    ours = world(p).trace(by_our_ring, recipe(), text, {}, 1)
    theirs = world(p).trace(ddp_by_our_ring, recipe(), text)
    assert ours.bytes_sent() == theirs.bytes_sent()


def memory_between(how: Recipe, text: Tensor) -> tuple:
    model, group = serial.fresh_model(how), dist.group.WORLD
    parallel = DataParallel(model, group)
    optimizer, steps = serial.adamw(model, how), count()

    def step() -> None:
        data = serial.batch(how, text, next(steps), range(2))
        parallel.backward(serial.mean_loss(model, *data))
        optimizer.step()

    step()
    with watch(model, optimizer) as memory:
        step()
        kept = memory.now
    inside = all(
        weight.grad.untyped_storage().data_ptr()
        == bucket.memory.untyped_storage().data_ptr()
        for bucket in parallel.buckets
        for weight, _ in bucket.places
    )
    return kept, inside


def test_gradients_are_the_buckets_and_there_is_nothing_beside(world, text):
    n = sum(w.nbytes for w in serial.fresh_model(recipe()).parameters())
    for kept, inside in world(2)(memory_between, recipe(), text):
        assert inside
        assert (kept.weights, kept.gradients) == (n, n)
        assert 2 * n <= kept.optimizer <= 2.01 * n
        assert kept.activations == 0


# ------------------------------------------------------------ beside torch's own


def by_torch(how: Recipe, text: Tensor) -> tuple:
    ddp = DistributedDataParallel(serial.fresh_model(how))
    optimizer, losses = serial.adamw(ddp, how), []
    mine = data_loading.part_of(range(how.batch), dist.group.WORLD).samples
    for step in range(STEPS):
        loss = serial.mean_loss(ddp, *serial.batch(how, text, step, mine))
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return losses, weights_of(ddp)


@pytest.mark.parametrize("p", [2, 3, 4])
def test_torchs_own_ends_at_the_same_weights(world, text, p):
    theirs = world(p)(by_torch, recipe(), text)
    ours = world(p)(on_ranks, recipe(), text, {})
    for (losses, weights), (expected, others) in zip(ours, theirs, strict=True):
        assert losses == pytest.approx(expected, rel=1e-12)
        assert_close(weights, others)


def odd_by_torch(skip: list, m: int) -> list[Tensor]:
    model, r = odd_model(), dist.get_rank()
    ddp = DistributedDataParallel(model, find_unused_parameters=True)
    with ddp.no_sync():
        for part in range(m - 1):
            (odd_loss(ddp, r, part, skip) / m).backward()
    (odd_loss(ddp, r, m - 1, skip) / m).backward()
    return [
        torch.zeros_like(w) if w.grad is None else w.grad
        for w in model.parameters()
        if w.requires_grad
    ]


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("skip", SKIPS)
def test_torchs_own_counts_unused_weights_alike(world, skip, m):
    theirs = world(3)(odd_by_torch, skip, m)
    ours = world(3)(odd_on_ranks, skip, MiB, m, True)
    for (found, _), expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def torch_without_being_told() -> None:
    ddp = DistributedDataParallel(odd_model())
    for _ in range(2):
        odd_loss(ddp, 0, 0, [None]).backward()


def test_torchs_own_has_to_be_told_of_unused_weights(world):
    with pytest.raises(RankError, match="find_unused_parameters=True"):
        world(2)(torch_without_being_told)


# ------------------------------------------------------------ refused


def other_model(case: str) -> None:
    r, model, limit = dist.get_rank(), odd_model(), MiB
    if r == 1 and case == "shape":
        model.layers[2].weight = nn.Parameter(torch.ones(5, 4).double())
    if r == 2 and case == "number":
        model.layers.append(nn.Linear(5, 5))
    if r == 1 and case == "dtype":
        model.idle.data = model.idle.data.half()
    if r == 1 and case == "buffer":
        model.shift = torch.ones(6)
    if r == 1 and case == "buckets":
        limit = 1
    if r == 2 and case == "frozen":
        model.idle.requires_grad_(False)
    if case == "another frozen":  # as many, of one shape
        model.layers[2 * (r > 0)].bias.requires_grad_(False)
    if case == "limit":
        limit = 0
    DataParallel(model, dist.group.WORLD, limit_bytes=limit, first_bytes=limit)


@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        ("shape", "rank 1 has layers.2.weight (5, 4) of torch.float64, learning True "),
        (
            "number",
            "rank 2 has layers.3.weight (5, 5) of torch.float32, learning True ",
        ),
        (
            "dtype",
            "rank 1 has idle (3,) of torch.float16, learning True where rank 0 h",
        ),
        (
            "buffer",
            "rank 1 has shift (6,) of torch.float32, learning False where rank ",
        ),
        ("buckets", "rank 1 has buckets of [1, 1, 1, 1, 1, 1, 1] gradients where "),
        ("frozen", "rank 2 has idle (3,) of torch.float32, learning False where rank"),
        (
            "another frozen",
            "rank 1 has layers.0.bias (5,) of torch.float64, learning T",
        ),
        ("limit", "a bucket holds at least 1 byte, not 0, the first 0"),
    ],
)
def test_another_model_is_refused_on_every_rank(world, case, complaint):
    def complaints() -> str:
        try:
            other_model(case)
        except ValueError as error:
            return str(error)
        return "none"

    trace = world(3).trace(complaints)
    assert len(set(trace.results)) == 1
    assert trace.results[0].startswith(complaint)
    assert {e.op for e in trace.events if e.kind == "collective"} <= {"all_gather"}


def around_the_wrapper() -> None:
    model = odd_model()
    DataParallel(model, dist.group.WORLD)
    odd_loss(model, 0, 0, [None]).backward()


def wrapped_twice() -> None:
    model = odd_model()
    DataParallel(model, dist.group.WORLD)
    again = DataParallel(model, dist.group.WORLD)
    again.backward(odd_loss(model, 0, 0, [None]))


def one_gradient_twice() -> None:
    layer, x = nn.Linear(5, 5), torch.ones(2, 5, requires_grad=True)
    parallel = DataParallel(layer, dist.group.WORLD)
    for _ in range(2):
        x = checkpoint(layer, x, use_reentrant=True)
    parallel.backward(x.sum())


@pytest.mark.parametrize(
    "program", [around_the_wrapper, wrapped_twice, one_gradient_twice]
)
def test_a_backward_pass_that_nobody_averages_is_an_error(world, program):
    complaint = "a gradient twice, or outside of DataParallel.backward"
    with pytest.raises(RankError, match=complaint):
        world(2)(program)


def test_the_small_model_of_these_tests_has_several_buckets():
    model = serial.fresh_model(recipe())
    numbers = [len(buckets_of(model, **limits)) for limits in LIMITS.values()]
    assert numbers[0] == 1 < numbers[1] < numbers[2] == len(weights_of(model))
