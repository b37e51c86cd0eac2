"""The figure of measured links and the table of a probe."""

import pytest

from dlsys_code.book.measured import Measured, describe, links, support
from dlsys_code.communication.fit import fit_link
from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.communication.probe import Cell
from dlsys_code.introduction.units import GB, us

LINK = Link(latency_s=25 * us, bandwidth=4 * GB)
TIMES = {4**i: 3 * [transfer_time_s(4**i, LINK)] for i in range(1, 13)}
ALT = "一条曲线：左边是平的，右边是斜的"


def test_a_figure_names_what_was_fitted():
    fit = fit_link(TIMES)
    assert describe("loopback", fit) == (
        "loopback: alpha 25 us, 4 GB/s, n_1/2 97.7 KiB"
    )
    drawing = links({"loopback": Measured(TIMES, fit)}, alt=ALT)
    assert repr(drawing) == f"图：{ALT}"
    again = links({"loopback": Measured(TIMES, fit)}, alt=ALT)
    assert drawing.svg == again.svg
    two = links({name: Measured(TIMES, fit) for name in ("a", "b")}, alt=ALT)
    assert two.svg != drawing.svg


def test_more_links_than_colours_are_refused():
    many = {str(i): Measured(TIMES, fit_link(TIMES)) for i in range(7)}
    with pytest.raises(ValueError, match="6 links can be told apart, not 7"):
        links(many, alt=ALT)


def cell(backend: str, primitive: str, documented: str, found: str) -> Cell:
    return Cell(
        backend=backend,
        device="CPU",
        primitive=primitive,
        documented=documented,
        found=found,
    )


def test_the_table_marks_contradictions():
    cells = [
        cell("gloo", "send", "yes", "yes"),
        cell("gloo", "all_to_all", "no", "yes"),
        cell("mpi", "send", "?", "not here"),
        cell("mpi", "all_to_all", "yes", "not here"),
    ]
    assert support(cells).splitlines() == [
        "                  gloo CPU   mpi CPU",
        "send                  ✓ ✓       ? ·",
        "all_to_all            ✘ ✓!      ✓ ·",
    ]
