"""Attention over shared sequences is one process's, forward and backward."""

from collections.abc import Callable
from functools import partial
from math import lcm

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from dlsys_code.system import context_parallel_costs as costs
from dlsys_code.system import online_softmax
from dlsys_code.system.context_parallel import (
    Layout,
    busiest,
    contiguous,
    seen,
    tile_of,
    whole,
    work,
    zigzag,
)
from dlsys_code.system.gathered_attention import gathered_attention
from dlsys_code.system.online_softmax import written_out
from dlsys_code.system.online_softmax_fused import fused
from dlsys_code.system.ring_attention import ring_attention
from dlsys_code.system.ulysses import ulysses_attention
from dlsys_code.world import Trace

fused_ring = partial(ring_attention, kernel=fused)
RANKS = [1, 2, 3, 4]
LAYOUTS = [contiguous, zigzag]
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
ITEM = 8  # bytes of a float64

Shape = tuple[int, int, int, int, int]  # b, a, g, T, d


def scattered(T: int, p: int, r: int) -> Tensor:
    """Every rank has tokens of no order; some of its queries see no key of another."""
    mixed = torch.randperm(T, generator=torch.Generator().manual_seed(5))
    return mixed.chunk(p)[r]


def values(shape: Shape) -> list[Tensor]:
    """All of q, k, v, and the gradient of the output."""
    b, a, g, T, d = shape
    seeded = torch.Generator().manual_seed(11)
    return [
        torch.randn(b, heads, T, d, generator=seeded, dtype=torch.float64)
        for heads in (a, g, g, a)
    ]


def with_gradients(attention: Callable, parts: list[Tensor]) -> list[Tensor]:
    """The output, dq, dk and dv."""
    *qkv, out_gradient = parts
    qkv = [x.clone().requires_grad_() for x in qkv]
    out = attention(*qkv)
    return [out.detach(), *torch.autograd.grad(out, qkv, out_gradient)]


def torch_attention(causal: bool) -> Callable:
    return partial(F.scaled_dot_product_attention, is_causal=causal, enable_gqa=True)


def on_a_rank(attention: Callable, shape: Shape, layout: Layout) -> list[Tensor]:
    p, r = dist.get_world_size(), dist.get_rank()
    mine = layout(shape[3], p, r)
    parts = [x[:, :, mine] for x in values(shape)]
    here = partial(attention, group=dist.group.WORLD, layout=layout)
    return with_gradients(here, parts)


def check_parallel(
    world, p: int, attention: Callable, shape: Shape, layout: Layout, causal: bool
) -> Trace:
    """Every rank has its tokens' rows of one process's answer."""
    expected = with_gradients(torch_attention(causal), values(shape))
    trace = world(p).trace(on_a_rank, attention, shape, layout)
    for r, got in enumerate(trace.results):
        rows = [x[:, :, layout(shape[3], p, r)] for x in expected]
        torch.testing.assert_close(got, rows, **CLOSE)
    return trace


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("layout", [*LAYOUTS, scattered])
def test_the_ring_is_one_process(world, p, causal, layout):
    for kernel in (written_out, fused):
        attention = partial(ring_attention, causal=causal, kernel=kernel)
        check_parallel(world, p, attention, (2, 6, 2, 6 * p, 7), layout, causal)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("layout", [*LAYOUTS, scattered])
def test_gathered_keys_are_one_process(world, p, causal, layout):
    attention = partial(gathered_attention, causal=causal)
    check_parallel(world, p, attention, (2, 6, 2, 6 * p, 7), layout, causal)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("layout", [*LAYOUTS, scattered])
def test_ulysses_is_one_process(world, p, causal, layout):
    attention = partial(ulysses_attention, attention=torch_attention(causal))
    for g in (12, 3, 2):
        check_parallel(world, p, attention, (2, 12, g, 6 * p, 5), layout, causal)


few_examples = settings(max_examples=30, derandomize=True, deadline=None)
SMALL = {
    "p": st.integers(1, 8),
    "g": st.integers(1, 3),
    "more": st.integers(1, 3),
    "piece": st.integers(1, 3),
    "layout": st.sampled_from(LAYOUTS),
    "causal": st.booleans(),
}


@few_examples
@given(**SMALL, way=st.sampled_from([ring_attention, fused_ring, gathered_attention]))
def test_any_heads_go_round_any_ring(world, p, g, more, piece, layout, causal, way):
    attention = partial(way, causal=causal)
    shape = (1, g * more, g, 2 * piece * p, 2)
    check_parallel(world, p, attention, shape, layout, causal)


@few_examples
@given(**SMALL)
def test_any_shared_heads_are_swapped(world, p, g, more, piece, layout, causal):
    attention = partial(ulysses_attention, attention=torch_attention(causal))
    shape = (1, lcm(g, p) * more, g, 2 * piece * p, 2)
    check_parallel(world, p, attention, shape, layout, causal)


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("attention", [ring_attention, ulysses_attention])
def test_two_tokens_on_each_rank(world, p, attention):
    check_parallel(world, p, attention, (1, p, p, 2 * p, 1), zigzag, True)


@pytest.mark.parametrize("p", [1, 2, 3, 4, 8])
@pytest.mark.parametrize(("a", "g"), [(24, 24), (24, 3)])
@pytest.mark.parametrize(
    ("attention", "formula"),
    [
        (ring_attention, costs.ring_bytes),
        (gathered_attention, costs.gathered_bytes),
        (ulysses_attention, costs.ulysses_bytes),
    ],
)
def test_the_wire_carries_what_the_formula_says(world, p, a, g, attention, formula):
    shape = b, _, _, T, d = (2, a, g, 4 * p, 3)
    trace = check_parallel(world, p, attention, shape, zigzag, True)
    sizes = costs.Sequence(
        batch=b, tokens=T, heads=a, key_value_heads=g, head_width=d, item=ITEM
    )
    assert trace.bytes_sent() == [formula(sizes, p)] * p


def test_bytes_by_hand():
    sizes = costs.Sequence(
        batch=1, tokens=8, heads=4, key_value_heads=2, head_width=1, item=1
    )
    assert costs.ring_bytes(sizes, 2) == 2 * 2 * 4 * (1 + 3)  # 2 heads, 4 tokens, k, v
    assert costs.gathered_bytes(sizes, 2) == 2 * 2 * 4 * (1 + 1)
    assert costs.ulysses_bytes(sizes, 2) == (4 + 4 + 2 + 2) // 2 * 4 * 2
    with pytest.raises(ValueError, match="3 ranks cannot share 8 tokens evenly"):
        costs.ring_bytes(sizes, 3)
    with pytest.raises(ValueError, match="4 heads cannot be shared by 8 ranks"):
        costs.ulysses_bytes(sizes, 8)


@pytest.mark.parametrize("p", [2, 3, 4])
def test_the_next_block_is_on_its_way_during_the_work_on_this_one(world, p):
    trace = check_parallel(world, p, ring_attention, (1, 2, 1, 4 * p, 3), zigzag, True)
    for r in range(p):
        rows = {"send": [], "recv": [], "attention": [], "gradients": []}
        for event in trace.events:
            if event.rank == r:
                rows[event.op if event.kind == "compute" else event.kind].append(event)
        attending, learning = rows["attention"], rows["gradients"]
        assert len(attending) == len(learning) == p
        for ends in (rows["send"], rows["recv"]):
            assert len(ends) == 3 * p - 2
            # Backward: block, gradient, block, ..., and the last gradient home.
            blocks, gradients = ends[p - 1 : -1 : 2], ends[p:-1:2]
            for end, span in [
                *zip(ends[: p - 1], attending[:-1], strict=True),
                *zip(blocks, learning[:-1], strict=True),
                *zip(gradients, learning[1:], strict=True),
            ]:
                assert end.seq < span.seq  # posted before the work begins
                assert end.end_s >= span.end_s  # waited for when it is done


@pytest.mark.parametrize("p", range(1, 9))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_token_is_on_one_rank(p, layout):
    T = 6 * p
    assert whole(p, T, layout).sort().values.tolist() == list(range(T))


def test_positions_by_hand():
    assert [zigzag(8, 2, r).tolist() for r in range(2)] == [[0, 1, 6, 7], [2, 3, 4, 5]]
    assert contiguous(8, 2, 1).tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize("p", range(2, 9))
def test_only_zigzag_shares_the_work_equally_and_in_every_step(p):
    T = 6 * p
    balanced, sloping = work(T, p, zigzag), work(T, p, contiguous)
    assert balanced.sum() == sloping.sum() == T * (T + 1) // 2
    assert balanced.sum(1).tolist() == [T * (T + 1) // (2 * p)] * p
    assert (balanced == balanced[0]).all()
    assert sloping.sum(1).diff().unique().tolist() == [(T // p) ** 2]


@pytest.mark.parametrize("p", range(1, 9))
@pytest.mark.parametrize("half", [1, 2, 5])
def test_who_waits_for_the_busiest_is_twice_as_long_at_it(p, half):
    t, T = 2 * half, 2 * half * p
    slow, fast = busiest(T, p, contiguous), busiest(T, p, zigzag)
    assert slow == t * (t + 1) // 2 + (p - 1) * t * t
    assert fast * 2 * p == T * (T + 1)
    assert fast <= slow <= (2 - 1 / p) * fast


@pytest.mark.parametrize("p", [2, 3, 4])
def test_zigzag_computes_nothing_of_foreign_blocks_that_is_masked(p):
    held = [zigzag(6 * p, p, r) for r in range(p)]
    for r in range(p):
        for source in set(range(p)) - {r}:
            tile = tile_of(seen(held[r], held[source], causal=True))
            assert tile.mask.all()
            assert tile.mask.numel() == 6 * 6 // 2


def test_blocks_in_any_order_merge_to_the_same_softmax():
    q, k, v, _ = values((1, 2, 2, 9, 4))
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    expected = torch_attention(True)(q, k, v)
    for order in ([0, 1, 2], [2, 1, 0]):
        total = online_softmax.nothing(q)
        for i in order:
            keys = slice(3 * i, 3 * i + 3)
            block = online_softmax.collect(
                q, k[..., keys, :], v[..., keys, :], mask=mask[:, keys]
            )
            online_softmax.merge_(total, block)
        torch.testing.assert_close(total.out, expected, **CLOSE)


def refused(attention: Callable, shapes: list[tuple[int, ...]], layout: Layout) -> str:
    qkv = [torch.ones(shape) for shape in shapes]
    with pytest.raises(ValueError) as error:
        attention(*qkv, group=dist.group.WORLD, layout=layout)
    return str(error.value)


@pytest.mark.parametrize(
    ("attention", "heads", "t", "numbers"),
    [
        (ring_attention, (4, 2), 3, "6 tokens cannot be cut into 4 equal pieces"),
        (ring_attention, (5, 2), 4, "5 heads cannot share 2 key-value heads evenly"),
        (ulysses_attention, (4, 2), 3, "6 tokens cannot be cut into 4 equal pieces"),
        (ulysses_attention, (3, 1), 4, "3 heads cannot be shared by 2 ranks"),
        (ulysses_attention, (5, 2), 4, "5 heads cannot share 2 key-value heads evenly"),
    ],
)
def test_what_cannot_be_shared_is_named_before_any_message(
    world, attention, heads, t, numbers
):
    shapes = [(1, n, t, 2) for n in (heads[0], heads[1], heads[1])]
    trace = world(2).trace(refused, attention, shapes, zigzag)
    assert trace.results == [numbers] * 2
    assert not trace.events


@pytest.mark.parametrize("attention", [ring_attention, ulysses_attention])
def test_keys_that_do_not_fit_are_named(world, attention):
    shapes = [(1, 2, 4, 3), (1, 2, 4, 3), (1, 2, 6, 3)]
    trace = world(2).trace(refused, attention, shapes, zigzag)
    assert "(1, 2, 4, 3), (1, 2, 4, 3), (1, 2, 6, 3)" in trace.results[0]
    assert not trace.events


def test_a_contiguous_layout_names_its_rest():
    with pytest.raises(ValueError, match="7 tokens cannot be cut into 2 equal pieces"):
        contiguous(7, 2, 0)


def narrow(shape: Shape, dtype: torch.dtype) -> list[Tensor]:
    """All of q, k, v and the gradient of the output in 16 bits; l lies above 8."""
    return [(2 * x).to(dtype) for x in values(shape)]


def narrow_on_a_rank(
    attention: Callable, shape: Shape, dtype: torch.dtype
) -> list[Tensor]:
    mine = zigzag(shape[3], dist.get_world_size(), dist.get_rank())
    parts = [x[:, :, mine] for x in narrow(shape, dtype)]
    return with_gradients(partial(attention, group=dist.group.WORLD), parts)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kernel", [written_out, fused])
@pytest.mark.parametrize("p", [1, 2, 4])
def test_in_16_bits_the_ring_is_as_exact_as_torch(world, p, kernel, dtype):
    """What queries collect is not rounded to 16 bits at every block."""
    shape = (1, 2, 1, 256, 16)
    attention = partial(ring_attention, kernel=kernel)
    exact = with_gradients(
        torch_attention(True), [x.double() for x in narrow(shape, dtype)]
    )
    torchs = with_gradients(torch_attention(True), narrow(shape, dtype))
    ranks = world(p)(narrow_on_a_rank, attention, shape, dtype)
    order = whole(p, 256, zigzag)
    for i, expected in enumerate(exact):
        ours = torch.cat([parts[i] for parts in ranks], 2)
        assert ours.dtype == dtype
        limit = 1.5 * error(torchs[i], expected)
        assert error(ours, expected[:, :, order]) < limit
