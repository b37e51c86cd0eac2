"""Drawings are described, repeat to the byte, and show what the ranks did."""

import xml.etree.ElementTree as ElementTree

import pytest
import torch
import torch.distributed as dist

from dlsys_code.book import drawing
from dlsys_code.book.stamps import stamped
from dlsys_code.primitive import ring, tree

ALT = "四个 rank 上的一次运行，箭头是消息"


def ring_on_stamps() -> torch.Tensor:
    rank, p = dist.get_rank(), dist.get_world_size()
    return ring.all_reduce(stamped(rank, p), dist.group.WORLD)


def broadcast_two() -> torch.Tensor:
    return tree.broadcast(torch.ones(2), dist.group.WORLD)


def texts(svg: str) -> str:
    """The title of an SVG; raises if it is not well-formed."""
    return ElementTree.fromstring(svg).find("{http://www.w3.org/2000/svg}title").text


@pytest.mark.parametrize("p", [2, 3, 4, 5])
def test_the_moves_of_a_recorded_ring_are_those_of_the_algorithm(world, p):
    moves = drawing.stamped_moves(world(p).trace(ring_on_stamps), p)
    assert sorted(moves) == list(range(2 * (p - 1)))
    for step, messages in moves.items():
        for source, destination, chunk, shares in messages:
            assert destination == (source + 1) % p
            gathering = step >= p - 1
            travelled = step - (p - 1) if gathering else step
            assert chunk == (source - travelled - (0 if gathering else 1)) % p
            assert len(shares) == (p if gathering else step + 1)


def test_a_drawing_is_the_same_from_run_to_run(world):
    first, second = (
        drawing.stamped_steps(world(4).trace(ring_on_stamps), alt=ALT) for _ in range(2)
    )
    assert first.svg == second.svg
    assert texts(first._repr_svg_()) == ALT
    assert repr(first) == f"图：{ALT}"


def test_curves_are_well_formed():
    lines = {"ring": [1.0, 2.0], "tree": [2.0, 3.0]}
    plot = drawing.curves([1, 2], lines, x_label="p", y_label="bytes", alt=ALT)
    assert texts(plot.svg) == ALT


def test_more_lines_than_colours_are_refused():
    lines = {str(number): [1.0, 2.0] for number in range(7)}
    with pytest.raises(ValueError, match="6 lines can be told apart, not 7"):
        drawing.curves([1, 2], lines, x_label="p", y_label="bytes", alt=ALT)


def test_a_figure_without_a_description_is_refused():
    with pytest.raises(ValueError, match="description"):
        drawing.curves([1], {"a": [1.0]}, x_label="p", y_label="B", alt="")


def test_messages_that_are_no_stamps_are_refused(world):
    trace = world(2).trace(broadcast_two)
    with pytest.raises(ValueError, match="8 bytes, not one stamp"):
        drawing.stamped_moves(trace, 2)
