"""What one rank hands over is what the other gets, of any shape and dtype."""

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.world import RankError, exchange, receive, send, shift
from dlsys_code.world.point_to_point import start_receive_, start_send

RANKS = [2, 3, 4, 8]
SHAPES = [(), (0,), (1,), (7,), (2, 3), (2, 0, 4)]
DTYPES = [
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.int64,
    torch.uint8,
    torch.bool,
]


def own(rank: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Other numbers on every rank."""
    numbers = torch.arange(torch.Size(shape).numel()) + rank
    return (numbers % 2 if dtype == torch.bool else numbers).to(dtype).reshape(shape)


def same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def shift_everything(by: int) -> bool:
    """Whether each tensor came from `by` ranks before, and the argument was kept."""
    group, rank, ranks = dist.group.WORLD, dist.get_rank(), dist.get_world_size()
    right = True
    for shape in SHAPES:
        for dtype in DTYPES:
            x = own(rank, shape, dtype)
            got = shift(x, group, by)
            right &= same(got, own((rank - by) % ranks, shape, dtype))
            right &= same(x, own(rank, shape, dtype))
    return right


def relay() -> bool:
    """Rank 0 sends every tensor to the last rank through all the others."""
    group, rank, ranks = dist.group.WORLD, dist.get_rank(), dist.get_world_size()
    right = True
    for shape in SHAPES:
        for dtype in DTYPES:
            x = own(9, shape, dtype)
            if rank > 0:
                got = receive(torch.zeros_like(x), group, source=rank - 1)
                right &= same(got, x)
            if rank + 1 < ranks:
                send(x, group, to=rank + 1)
    return right


def swap_transposed() -> Tensor:
    """Pairs of ranks exchange a tensor that is not contiguous."""
    x = torch.arange(6.0).view(2, 3).t() + 10 * dist.get_rank()
    peer = dist.get_rank() ^ 1
    return exchange(x, dist.group.WORLD, to=peer, source=peer)


def in_subgroup() -> float:
    """Peers are ranks of the group: 3 and 1 of the world are its 0 and 1."""
    group = dist.new_group([1, 3])
    if dist.get_rank() not in (1, 3):
        return -1.0
    x = torch.tensor([float(dist.get_rank())])
    return shift(x, group).item()


def begin_ahead() -> list[float]:
    """Two receives from the rank before begin ahead of everything else."""
    group, rank, ranks = dist.group.WORLD, dist.get_rank(), dist.get_world_size()
    out = torch.zeros(2, 3)
    arriving = [start_receive_(row, group, source=(rank - 1) % ranks) for row in out]
    leaving = [
        start_send(torch.full((3,), 10.0 * i + rank), group, to=(rank + 1) % ranks)
        for i in (1, 2)
    ]
    for work in arriving + leaving:
        work.wait()
    return out.tolist()


def bad_peer(call: str, peer: int) -> str:
    group, x = dist.group.WORLD, torch.ones(1)
    calls = {
        "send": lambda: send(x, group, to=peer),
        "receive": lambda: receive(x, group, source=peer),
        "exchange": lambda: exchange(x, group, to=peer, source=peer),
        "shift": lambda: shift(x, group, by=peer),
        "start_send": lambda: start_send(x, group, to=peer),
        "start_receive_": lambda: start_receive_(x, group, source=peer),
    }
    try:
        calls[call]()
    except ValueError as error:
        return str(error)
    return "no error"


@pytest.mark.parametrize("p", RANKS)
def test_a_shift_brings_the_tensor_of_the_rank_before(world, p):
    for by in {1, -1, p - 1, p + 1}:
        assert world(p)(shift_everything, by) == [True] * p


@pytest.mark.parametrize("p", [1, *RANKS])
def test_a_relay_keeps_every_bit(world, p):
    assert world(p)(relay) == [True] * p


def test_a_tensor_that_is_not_contiguous_arrives_in_shape(world):
    base = torch.arange(6.0).view(2, 3).t()
    for rank, got in enumerate(world(4)(swap_transposed)):
        assert torch.equal(got, base + 10 * (rank ^ 1))


def test_peers_are_ranks_of_the_group(world):
    assert world(4)(in_subgroup) == [-1.0, 3.0, -1.0, 1.0]


@pytest.mark.parametrize("p", RANKS)
def test_receives_begun_ahead_are_filled_in_order(world, p):
    for rank, rows in enumerate(world(p)(begin_ahead)):
        before = (rank - 1) % p
        assert rows == [[10.0 + before] * 3, [20.0 + before] * 3]


@pytest.mark.parametrize(
    "call", ["send", "receive", "exchange", "start_send", "start_receive_"]
)
@pytest.mark.parametrize("peer", [-1, 2])
def test_a_peer_outside_the_group_is_refused(world, call, peer):
    for rank, text in enumerate(world(2)(bad_peer, call, peer)):
        assert text.startswith(f"rank {rank} of 2 has no peer {peer}")


def test_oneself_is_no_peer(world):
    assert world(1)(bad_peer, "send", 0)[0].startswith("rank 0 of 1 has no peer 0")
    assert "has no peer" in world(1)(bad_peer, "shift", 1)[0]
    assert all("has no peer" in text for text in world(4)(bad_peer, "shift", 4))


def test_a_bad_peer_unhandled_fails_the_call_in_the_line_of_the_program(doomed):
    with pytest.raises(RankError) as caught:
        doomed(lambda: send(torch.ones(1), dist.group.WORLD, to=7))
    assert caught.value.line.startswith("test_point_to_point.py line ")
