"""What chapter 5's exercises hold against an answer, beside the package's own ranks."""

from functools import partial
from itertools import product

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dlsys_code.book import exercises_system_blocks as blocks
from dlsys_code.book import exercises_system_cuts as cuts
from dlsys_code.book import exercises_system_flat as flat
from dlsys_code.book import exercises_system_layouts as layouts
from dlsys_code.book import exercises_system_numbers as numbers
from dlsys_code.book import exercises_system_programs as programs
from dlsys_code.book import exercises_system_shares as shares
from dlsys_code.book import exercises_system_stages as stages
from dlsys_code.book.exercises import Puzzle
from dlsys_code.book.exercises_running import values
from dlsys_code.book.exercises_system_main import EXERCISES
from dlsys_code.introduction import serial
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.primitive import exchange, ring
from dlsys_code.system import graph_cut
from dlsys_code.system.context_parallel import work, zigzag
from dlsys_code.system.zero import OptimizerShards
from dlsys_code.system.zero_flat import joined
from dlsys_code.system.zero_gradients import GradientShards
from dlsys_code.system.zero_weights import WeightShards
from dlsys_code.world import World

BY_HAND = {
    "busy_share": 100 * 12 / 36,
    "fastest_layout": 128 * 1.5 * 4 * 4096**2 * 2 / 4e8 + 1.5 * 3.5e9 / 5e7,
}
STAGES = {1: OptimizerShards, 2: GradientShards, 3: WeightShards}
ODD = [
    None,
    3,
    "xy",
    [None],
    (None, None),
    [("a", None, 0)],
    [(0, None, 1)],
    torch.ones(2),
]
PUZZLES = [name for name, each in EXERCISES.items() if isinstance(each, Puzzle)]
derandomized = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def world():
    with World(3, device="cpu") as opened:
        yield opened


@pytest.mark.parametrize(("name", "value"), BY_HAND.items())
def test_the_numbers_by_hand(name, value):
    assert EXERCISES[name].value == pytest.approx(value, rel=1e-9)


def test_the_fastest_layout_lies_between_one_that_fits_and_the_widest():
    assert numbers.FITS == [2, 4, 8] and numbers.BEST == 4


def test_what_crosses_is_what_a_plan_sends():
    """The graph of a GPT, cut twice; without the batch, which every rank reads."""
    config = GPTConfig(layers=3, width=16, heads=2, key_value_heads=1, hidden=32)
    recipe = serial.Recipe(model=config, batch=2, sequence=4)
    tokens = torch.zeros(2, 4, dtype=torch.long)
    plan = graph_cut.cut(
        serial.fresh_model(recipe), tokens, before=["blocks.1", "blocks.2"]
    )
    nodes = plan.module.graph.nodes
    read = [node for node in nodes if node.op == "placeholder"]
    uses = {
        node.name: [x.name for x in node.all_input_nodes if x not in read]
        for node in nodes
    }
    crossed = {(edge.value, edge.source, edge.destination) for edge in plan.edges}
    assert len(crossed) == 6
    assert cuts.fault_of_crossing(crossed, uses, plan.stage) == ""
    for edge in crossed:
        assert edge[0] in cuts.fault_of_crossing(crossed - {edge}, uses, plan.stage)


def step(shards: type[OptimizerShards], m: int, steps: int) -> list:
    """Train a matrix of 12 elements, every step with m micro-batches."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3, bias=False))
    stage = shards(
        model,
        list(model),
        dist.group.WORLD,
        make_optimizer=lambda module: torch.optim.SGD(module.parameters(), lr=0.1),
        reduce_scatter=ring.reduce_scatter,
        start_gather=gather_at_once,
    )
    for _ in range(steps):
        for _ in range(m):
            stage.backward(model(torch.ones(2, 4)).sum())
        stage.step()
    return [shards.__name__]


def gather_at_once(rows, own, group):
    rows.copy_(ring.all_gather(own, group))
    return lambda: None


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize(("number", "shards"), STAGES.items())
def test_a_step_of_zero_sends_so_many_bytes(number, shards, m, world):
    """Two steps less one: what is done once, at the beginning, does not count."""
    once, twice = (world.trace(step, shards, m, k).bytes_sent()[0] for k in (1, 2))
    assert cuts.fault_of_bytes(twice - once, number, 12 * 4, 3, m) == ""


@derandomized
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 8))
def test_the_shards_are_the_rows_of_flat_weights(sizes, p):
    """Elements that are numbered, laid in line and cut by the package."""
    weights = [
        torch.arange(n) + 1.0 + 100 * i for i, n in enumerate(sizes)
    ]  # no zero but the padding
    for r, row in enumerate(joined(weights, p)):
        pieces = flat.held(sizes, row.numel(), r)
        mine = [weights[i][begin:end] for i, begin, end in pieces]
        kept = torch.cat([*mine, torch.zeros(row.numel() - sum(map(len, mine)))])
        assert torch.equal(kept, row)
        assert flat.fault_of_shard(pieces, sizes, p, r) == ""


@pytest.mark.parametrize("case", blocks.score_pairs())
def test_merged_blocks_are_all_keys_at_once(case):
    a, x, b, y = case
    whole = blocks.scored(torch.cat((a, b), -1), torch.cat((x, y)))
    parts = *blocks.scored(a, x), *blocks.scored(b, y)
    assert blocks.fault_of_merge(whole, *parts) == ""


@derandomized
@given(st.integers(1, 5), st.integers(1, 8))
def test_zigzag_gives_all_ranks_the_work_that_the_package_counts(half, p):
    T = 2 * p * half
    counted = work(T, p, zigzag).sum(1).tolist()
    assert set(counted) == {T * (T + 1) // (2 * p)}
    for r in range(p):
        answer = zigzag(T, p, r), counted[r]
        assert shares.fault_of_zigzag(answer, T, p, r) == ""
        assert shares.fault_of_zigzag((answer[0], counted[r] + 1), T, p, r)


def collective(name: str, x: torch.Tensor) -> torch.Tensor | None:
    """Run a collective of chapter 4 on what a rank holds."""
    group = dist.group.WORLD
    rows = x.view(group.size(), -1)
    return {
        "nothing": lambda: x,
        "all_gather": lambda: ring.all_gather(x, group),
        "all_reduce": lambda: ring.all_reduce(x, group),
        "reduce_scatter": lambda: ring.reduce_scatter(rows, group),
        "all_to_all": lambda: exchange.pairwise(rows, group),
    }[name]()


@pytest.mark.parametrize("name", layouts.NAMES)
def test_a_change_of_layout_sends_what_the_collective_does(name, world):
    p, x = 3, torch.ones(30, dtype=torch.float64)
    sent = world.trace(collective, name, x).bytes_sent()[0]
    ways = [way for way in layouts.CHANGES if layouts.cheapest(*way)[0] == name]
    assert ways
    for before, after, _, _ in ways:
        assert layouts.fault_of_change((name, sent), before, after, 240, p) == ""


@pytest.mark.parametrize("p", [2, 3, 8])
def test_no_way_over_other_layouts_is_cheaper(p):
    """Each way is a chain of single moves, of a tensor of p * p bytes."""
    part = (p - 1) * p
    single = {"PR": 2 * part, "PS": part, "SR": part, "SS": part / p}  # others: nothing
    least = {
        (a, b): 0 if a == b else single.get(a[0] + b[0], 0)
        for a, b in product(layouts.LAYOUTS, repeat=2)
    }
    for over, a, b in product(layouts.LAYOUTS, repeat=3):
        least[a, b] = min(least[a, b], least[a, over] + least[over, b])
    for (a, b), sent in least.items():
        held = p if a[0] == "S" else p * p
        assert layouts.cheapest(a, b, held, p)[1] == sent


def test_every_change_of_layout_is_tried():
    tried = {(before, after) for before, after, _, _ in layouts.CHANGES}
    assert len(tried) == len(layouts.CHANGES) == len(layouts.LAYOUTS) ** 2


def inputs_of(p: int, count: int):
    return [values(r, count) for r in range(p)]


@pytest.mark.parametrize(("p", "count"), EXERCISES["columns_then_rows"].sizes)
def test_the_cut_product_is_that_of_the_whole_matrices(p, count):
    inputs = inputs_of(p, count)
    first, second = zip(*map(programs.share_of, inputs), strict=True)
    whole = (programs.tokens() @ torch.cat(first, 1)).relu() @ torch.cat(second)
    answer = programs.product_of_shares(inputs.__getitem__, p, 0, 0)
    assert torch.equal(answer, whole.flatten())
    hidden = programs.tokens() @ torch.cat(first, 1)
    assert (hidden < 0).any() and (hidden > 0).any()  # relu matters


@pytest.mark.parametrize(("p", "count"), EXERCISES["uneven_mean"].sizes)
def test_the_mean_is_over_the_samples(p, count):
    inputs, samples = inputs_of(p, count), programs.SAMPLES[p]
    every = torch.cat([x.repeat(k, 1) for x, k in zip(inputs, samples, strict=True)])
    answer = programs.mean_of_samples(inputs.__getitem__, p, 0, 0)
    assert torch.equal(answer, every.mean(0))


@pytest.mark.parametrize(("p", "count"), EXERCISES["through_stages"].sizes)
def test_every_stage_and_micro_batch_matters(p, count):
    inputs = inputs_of(p, count)
    whole = stages.serial_gradients(inputs)
    each = [stages.serial_gradients(inputs, [k]) for k in range(stages.MICRO_BATCHES)]
    for r in range(p):
        assert whole[r].any()
        assert torch.equal(sum(gradients[r] for gradients in each), whole[r])
        assert all(gradients[r].any() for gradients in each)
    answer = partial(stages.gradient_of_stage, inputs.__getitem__, p)
    assert all(torch.equal(answer(r, 0), whole[r]) for r in range(p))


@pytest.mark.parametrize("name", PUZZLES)
def test_an_answer_of_another_kind_is_told_what_is_wanted(name):
    puzzle = EXERCISES[name]
    for answer in ODD:
        said = {puzzle.fault(answer, *case) for case in puzzle.cases()}
        assert "" not in said
