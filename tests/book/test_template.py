"""Every chapter has the parts of a lesson, and each part that is missing is named."""

import re

import nbformat
import pytest
from template import missing

from dlsys_code.book import notebooks

CHAPTERS = [p for p in notebooks.notebooks() if p.parent == notebooks.CHAPTERS]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.name)
def test_a_chapter_has_the_parts_of_a_lesson(path):
    notebook = nbformat.read(path, as_version=4)
    assert missing(notebook) == []


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
def test_each_missing_part_is_named(pattern, instead, fault):
    damaged = nbformat.from_dict(WHOLE)
    touched = 0
    for cell in damaged.cells:
        if cell.cell_type == "markdown":
            cell.source, count = re.subn(pattern, instead, cell.source)
            touched += count
    assert touched
    assert any(fault in said for said in missing(damaged))
