"""Tables and orders are drawn as they are, and the same every time."""

import pytest
import torch
import torch.distributed as dist
from lettering import words

from dlsys_code.book import context_chart
from dlsys_code.system.context_parallel import contiguous, work, zigzag
from dlsys_code.system.ring_attention import ring_attention

ALT = "两张表，一格一个数，颜色说明是谁的"
LABELS = {"x_label": "key", "y_label": "query", "alt": ALT}


def holders():
    table = torch.tensor([[0, context_chart.NOBODY], [2, 5]])
    return context_chart.holders({"whole": table}, what="rank", **LABELS)


def test_a_cell_says_whose_it_is(monkeypatch):
    said = words(monkeypatch, holders).split("\n")
    for name in ("whole", "rank 0", "rank 2", "rank 5", "key", "query"):
        assert name in said
    assert str(context_chart.NOBODY) not in said


def test_more_ranks_than_colours_are_refused():
    with pytest.raises(ValueError, match="6 numbers can be told apart, not 7"):
        table = torch.arange(7).view(1, 7)
        context_chart.holders({"whole": table}, what="rank", **LABELS)


def test_amounts_are_written_and_summed(monkeypatch):
    def drawn():
        tables = {f.__name__: work(16, 4, f) for f in (contiguous, zigzag)}
        return context_chart.amounts(tables, **LABELS)

    said = words(monkeypatch, drawn).split("\n")
    assert said.count("Σ 34") == 4
    assert [f"Σ {n}" for n in (10, 26, 42, 58)] == [s for s in said if "Σ" in s][:4]


def attend() -> None:
    q = torch.ones(1, 1, 4, 2)
    ring_attention(q, q, q, group=dist.group.WORLD)


def test_the_order_of_a_run_repeats(world):
    first, second = (
        context_chart.in_order(world(3).trace(attend), 1, alt=ALT).svg for _ in range(2)
    )
    assert first == second
    assert ALT in first


def test_a_drawing_repeats():
    assert holders().svg == holders().svg
