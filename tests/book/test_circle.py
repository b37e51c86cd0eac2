"""Circles show every message of a run and what it carried, whatever the algorithm."""

import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest
import torch.distributed as dist
from lettering import words
from torch import Tensor

from dlsys_code.book import circle
from dlsys_code.book.drawing import stamped_moves
from dlsys_code.book.stamps import stamped
from dlsys_code.primitive import ring
from dlsys_code.world import Trace

ALT = "几个 rank 围成一圈，箭头是它们之间的消息"


def ring_on_stamps() -> Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    return ring.all_reduce(stamped(rank, p), dist.group.WORLD)


@pytest.fixture
def trace(world) -> Trace:
    return world(5).trace(ring_on_stamps)


def test_every_message_says_its_chunk_and_its_shares(trace, monkeypatch):
    written = Counter(
        words(monkeypatch, lambda: circle.stamped_circle(trace, alt=ALT)).splitlines()
    )
    moves = [move for moves in stamped_moves(trace, 5).values() for move in moves]
    labels = Counter(
        f"c{chunk}: {''.join(map(str, sorted(shares)))}" for *_, chunk, shares in moves
    )
    assert labels.total() == 40
    assert {label: written[label] for label in labels} == labels
    assert all(written[f"round {number}"] == 1 for number in range(8))
    assert all(written[str(rank)] == 8 for rank in range(5))


def test_what_is_held_after_a_round_is_what_arrived(trace):
    panels = list(circle.after_rounds(stamped_moves(trace, 5), 5))
    assert [number for number, *_ in panels] == list(range(8))
    finished = [
        sum(len(shares) == 5 for shares in held.values()) for *_, held in panels
    ]
    assert finished == [0, 0, 0, 5, 10, 15, 20, 25]
    total = [sum(map(len, held.values())) for *_, held in panels]
    assert total[0] == 25 + 5
    assert total[-1] == 125


def test_a_circle_is_the_same_from_run_to_run(world):
    paint = circle.stamped_circle
    first, second = (paint(world(3).trace(ring_on_stamps), alt=ALT) for _ in range(2))
    assert first.svg == second.svg
    title = ElementTree.fromstring(first.svg).find("{http://www.w3.org/2000/svg}title")
    assert title.text == ALT


def test_one_rank_has_no_messages(world):
    alone = world(1).trace(ring_on_stamps)
    assert circle.stamped_circle(alone, alt=ALT).alt == ALT


def test_ranks_go_clockwise_from_the_top():
    assert circle.place(0, 4) == pytest.approx((0, 1))
    assert circle.place(1, 4) == pytest.approx((1, 0))
    assert circle.place(2, 4) == pytest.approx((0, -1))


def test_more_chunks_than_colours_are_refused(world):
    with pytest.raises(ValueError, match="6 chunks can be told apart, not 7"):
        circle.stamped_circle(world(7).trace(ring_on_stamps), alt=ALT)
