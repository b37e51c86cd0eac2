"""Every lesson is whole, and each thing that one lacks is named."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from slides.deck import number_of
from template import CHAPTER, PART, missing
from whole_part import notebook as whole_part

from dlsys_code.book import notebooks


@pytest.mark.parametrize("path", notebooks.notebooks(), ids=number_of)
def test_a_lesson_is_whole(path):
    notebook = nbformat.read(path, as_version=4)
    measure = CHAPTER if path.parent == notebooks.CHAPTERS else PART
    assert missing(notebook, measure) == []
    assert notebook.cells[0].source.startswith(f"# 0{number_of(path)} ")


WHOLE = nbformat.read(notebooks.CHAPTERS / "04.primitive.ipynb", as_version=4)
DAMAGE = [  # pattern, instead, what is then said
    (r"## 先修\n", "## 预备\n", "headings"),
    (r"## 2 ", "## 12 ", "not numbered in order"),
    (r"\]\(04\.primitive\.pptx\)", "](x)", "no link to .pptx"),
    (r"\*\*图 4\.1\*\*", "图", "no figure at the beginning"),
    (r"1\. 能说出", "1. 说出", "begins with what one can do"),
    (r"第 1 节，习题", "第 11 节，习题", "without its section"),
    (r"\*\*习题 4\.3\*\*", "习题", "without its exercise"),
    (r"\*\*记住\*\*", "记住", "in this order"),
    (r"\| 8 块 GPU \|", "| 多块 GPU |", "no command for 8 块 GPU"),
    (r"公式卡", "公式", "card of formulas"),
    (r"一步账本", "账本", "no 一步账本"),
    (r"\*\*“", "“", "常见误解"),
    (
        r"(?m)^- \[[^\n]*#(sanders|cho|hockney)\d+\)，[^\n]*\n",
        "",
        "延伸阅读: 4 entries",
    ),
    (r"读完约两小时", "不长", "how long"),
    (r"约 \d+ 秒", "不久", "how long"),
]


@pytest.mark.parametrize(("pattern", "instead", "fault"), DAMAGE)
def test_each_thing_that_a_chapter_lacks_is_named(pattern, instead, fault):
    assert any(fault in said for said in missing(damaged(WHOLE, pattern, instead)))


def damaged(
    whole: nbformat.NotebookNode, pattern: str, instead: str
) -> nbformat.NotebookNode:
    """A copy of a notebook in which something in the text is replaced."""
    copy, touched = nbformat.from_dict(whole), 0
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source, count = re.subn(pattern, instead, cell.source)
            touched += count
    assert touched
    return copy


def test_the_specimen_of_a_part_is_whole():
    assert missing(whole_part(), PART) == []
    assert missing(whole_part(), CHAPTER) != []


DAMAGE_OF_A_PART = [
    (r"## 先修\n", "## 预备\n", "headings"),
    (r"## 3 .*(?s:.*)", "## 4 ", "not numbered in order"),
    (r"^# 98\.1 ", "# 98 ", "has no number"),
    (r"\]\(\.\./98\.specimen\.pptx\)", "](01.part.pptx)", "no link to ../{}.pptx"),
    (r"\]\(\.\./98\.specimen\.pdf\)", "](98.specimen.pdf)", "no link to ../{}.pdf"),
    (r"slides/98\.specimen/", "slides/", "no link to ../slides/{}/"),
    (r"www\.bilibili", "bilibili", "no link to https://www.bilibili"),
    (r"github", "git", "no link to github.com"),
    (r"\*\*图 98\.1\.1\*\*", "**图 98.1**", "no figure at the beginning"),
    (r"为什么用这么久？", "用多久。", "no question at the beginning"),
    (r"2\. 能写出[^\n]*\n", "", "2 goals, 3 to 5"),
    (r"1\. 能算出", "1. 算出", "begins with what one can do"),
    (r"第 3 节，习题", "第 4 节，习题", "without its section"),
    (r"\*\*习题 98\.1\.2\*\*", "习题", "without its exercise"),
    (r"一？二？", "一？", "asks three questions"),
    (r"约 20 秒", "不久", "how long"),
    (r"为什么对？", "是对的。", "does not begin with a question"),
    (r"\*\*先猜\*\*", "猜", "in this order"),
    (r"\*\*记住\*\*", "记住", "in this order"),
    (r"小检查", "检查", "in this order"),
    (r"\*\*“一", "“一", "常见误解"),
    (r"\| 几台机器 \|", "| 机器 |", "no command for 几台机器"),
    (r"公式卡", "公式", "card of formulas"),
    (r"一步账本", "账本", "no 一步账本"),
    (r"\*\*习题 98\.1\.5\*\*[^\n]*", "", "习题: 4, of the kinds ['★', '★★']"),
    (r" ★★★ ", " ★ ", "习题: 5, of the kinds ['★', '★★']"),
    (r"- \[Hockney[^\n]*\n", "", "延伸阅读: 3 entries"),
    (r"- \[Hockney[^\n]*\n", r"\g<0>" * 6, "延伸阅读: 9 entries"),
    (r"## 延伸阅读\n", "\\g<0>" + "长" * 11_000, "characters"),
]


@pytest.mark.parametrize(("pattern", "instead", "fault"), DAMAGE_OF_A_PART)
def test_each_thing_that_a_part_lacks_is_named(pattern, instead, fault):
    copy = damaged(whole_part(), pattern, instead)
    assert any(fault in said for said in missing(copy, PART))


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ([new_code_cell("1")] * 40, "45 code cells"),
        ([new_markdown_cell(f"## {n} 又一件") for n in range(4, 8)], "7 sections"),
    ],
)
def test_a_part_is_not_too_long(more, fault):
    long = whole_part()
    (end,) = (i for i, c in enumerate(long.cells) if c.source.startswith("## 常见误解"))
    long.cells[end:end] = more
    assert any(fault in said for said in missing(long, PART))


def test_a_part_has_code_in_every_section():
    part = whole_part()
    part.cells = [cell for cell in part.cells if cell.source != "print(2)"]
    assert missing(part, PART) == ["2 第 2 件事: nothing runs"]
