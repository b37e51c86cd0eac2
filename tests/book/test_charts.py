"""Charts are described, repeat to the byte, and say every part and every total."""

import pytest
from lettering import words

from dlsys_code.book import charts
from dlsys_code.introduction.ledger import Ledger
from dlsys_code.introduction.memory import Bytes

ALT = "两条横条，第二条更长，多出来的是通信"
STEPS = {
    "serial": Ledger(compute_s=0.1, exposed_s=0, bubble_s=0, other_s=0.01),
    "2 ranks": Ledger(compute_s=0.06, exposed_s=0.05, bubble_s=0.02, other_s=0.01),
}
MEMORY = {
    name: Bytes(weights=3 << 20, activations=size << 20, other=1 << 20)
    for name, size in (("serial", 30), ("2 ranks", 15))
}


def test_a_ledger_says_every_line_and_every_total(monkeypatch):
    said = words(monkeypatch, lambda: charts.ledger(STEPS, MEMORY, alt=ALT))
    for word in ("compute", "exposed", "bubble", "other", "weights", "activations"):
        assert word in said
    for total in (" 110\n", " 140\n", " 34.0\n", " 19.0\n"):
        assert total in said
    assert "time of one step [ms]" in said and "memory of one rank [MiB]" in said


def test_a_chart_is_the_same_from_run_to_run():
    first, second = (charts.ledger(STEPS, MEMORY, alt=ALT) for _ in range(2))
    assert first.svg == second.svg
    assert ALT in first.svg


def test_other_is_grey_and_no_two_parts_look_alike():
    panel = charts.Panel("bytes", {"a": dict.fromkeys("uvwxyz", 1.0) | {"other": 1.0}})
    looks = charts.looks(panel)
    assert looks["other"] == (charts.GREY, "")
    assert len(set(looks.values())) == 7


def test_a_line_of_the_ledger_looks_alike_in_every_chapter():
    whole, parted = (
        charts.looks(charts.Panel("time", {"a": dict.fromkeys(lines, 1.0)}))
        for lines in (
            ("compute", "exposed", "bubble", "other"),
            ("compute", "latency", "transfer", "bubble", "other"),
        )
    )
    both = whole.keys() & parted.keys()
    assert both == {"compute", "bubble", "other"}
    assert all(whole[line] == parted[line] for line in both)
    assert len(set(parted.values())) == 5


def test_more_parts_than_colours_are_refused():
    panel = charts.Panel("bytes", {"a": dict.fromkeys("tuvwxyz", 1.0)})
    with pytest.raises(ValueError, match="6 parts can be told apart, not 7"):
        charts.stacked([panel], alt=ALT)
