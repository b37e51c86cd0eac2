"""No number in the prose stands without a ground."""

import nbformat
import pytest
from claims import Claim, claims
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from slides.deck import number_of

from dlsys_code.book import notebooks

COMMITTED = notebooks.notebooks()


def groundless(cells: list) -> list[str]:
    return [claim.text for claim in claims(cells) if not claim.ground]


@pytest.mark.parametrize("path", COMMITTED, ids=number_of)
def test_every_number_in_the_prose_has_a_ground(path):
    cells = nbformat.read(path, as_version=4).cells
    assert groundless(cells) == []
    assert len(claims(cells)) > (50 if path.parent == notebooks.CHAPTERS else 15)


def read_from_cells(cells: list) -> list[Claim]:
    """The long numbers that a cell vouches for: a short one is there by chance."""
    read = [c for c in claims(cells) if c.ground.startswith("cell") and len(c.text) > 2]
    return [c for c in read if c.text in cells[c.cell]["source"]]  # 10^8 is not


def test_every_chapter_reads_numbers_from_cells():
    """Parts of a chapter, which quote few numbers, are counted with it."""
    counts = dict.fromkeys({number_of(path).split(".")[0] for path in COMMITTED}, 0)
    for path in COMMITTED:
        cells = nbformat.read(path, as_version=4).cells
        counts[number_of(path).split(".")[0]] += len(read_from_cells(cells))
    assert min(counts.values()) > 5


@pytest.mark.parametrize("path", COMMITTED, ids=number_of)
def test_a_number_that_is_changed_loses_its_ground(path):
    cells = nbformat.read(path, as_version=4).cells
    for claim in read_from_cells(cells):
        changed = claim.text[:-1] + str((int(claim.text[-1]) + 5) % 10)
        if changed.endswith(".0"):  # a small count, which needs no ground
            changed = changed[:-1] + "3"
        source = cells[claim.cell]["source"].replace(claim.text, changed)
        other = [*cells]
        other[claim.cell] = dict(cells[claim.cell], source=source)
        there = (c for c in claims(other) if c.cell == claim.cell)
        grounds = {c.ground for c in there if c.text == changed}
        assert grounds and grounds <= {"", "cited"}, f"{claim.text} could be {changed}"


def said(text: str, *, shown: str = "", code: str = "") -> list[Claim]:
    """The claims of a text after a cell."""
    output = new_output("execute_result", {"text/plain": shown})
    cell = new_code_cell(code or "1", outputs=[output])
    return claims([new_markdown_cell("## 1 节"), cell, new_markdown_cell(text)])


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("rank 0 发出 144 字节", "cell 1"),
        ("发出 1,344 字节", "cell 1"),
        ("带宽到了 235 GB/s", "cell 1"),  # 234.9, rounded
        ("一共 24 个数", "cell 1"),  # the code says so
        (r"发出 $3\times 96=288$ 字节", "formula"),
        (r"共 $\lceil\log_2 1000\rceil=10$ 轮", "formula"),
        (r"$254/14\approx 18$ 倍", "formula"),
        ("设 $n=80$ MB", "given"),
        ("> **先猜**：每份 96 字节，发多少", "given"),
        ("8 块 A100 用了 43.83 µs（[Bekman，2024](../a/references.md#b)）", "cited"),
    ],
)
def test_a_number_has_the_ground_that_the_reader_sees(text, ground):
    found = said(text, shown="[144, 48], 1,344, 234.9", code="torch.ones(24)")
    assert found and {claim.ground for claim in found} == {ground}


@pytest.mark.parametrize(
    "text", ["rank 0 发出 145 字节", "带宽到了 236 GB/s", "多付 1.25 份", "约 3 倍"]
)
def test_a_number_that_nothing_shows_is_named(text):
    assert len(groundless_in(text)) == 1


def groundless_in(text: str) -> list[str]:
    return [c.text for c in said(text, shown="[144, 48] 234.9") if not c.ground]


@pytest.mark.parametrize("tex", [r"3\times 96=289", r"\log_2 8=4", r"254/14\approx 19"])
def test_a_formula_that_is_wrong_is_named(tex):
    assert any(
        "=" in text or "approx" in text for text in groundless_in(f"共 ${tex}$ 轮")
    )


@pytest.mark.parametrize(
    "text",
    [
        "第 05.1、05.2 篇，第 15.10 篇第 3 节，[05.10 规划](a.ipynb)，图 5.1.12",
        "四个 rank，6 条消息，第 12 节，图 4.11、4.12，rank 10 和 11，习题 4.13",
        "2009 年，float32，`x = 144`，$p-1$ 条，$2^k$",
        "## 14 标题",
        "[名字](http://a.b/77)，<a id='88'>",
        "```python\nx = 99\n```",
    ],
)
def test_small_counts_names_and_code_are_no_claims(text):
    assert said(text) == []


def test_a_witness_stands_near_by_in_the_same_section():
    shown = new_code_cell("1", outputs=[new_output("stream", text="144\n")])
    text, heading = new_markdown_cell("发出 144 字节"), new_markdown_cell("## 2 下一节")
    far = [new_code_cell("1") for _ in range(4)]
    assert groundless([shown, text]) == []
    assert groundless([text, shown]) == []
    assert groundless([shown, heading, text]) == ["144"]
    assert groundless([shown, *far, text]) == ["144"]
