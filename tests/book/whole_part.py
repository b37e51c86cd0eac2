"""A part of a chapter with everything that the template asks for, as short as it goes.

It is part 1 of the specimen, which tests of the template damage and tests of the site
read as a part of the book.
"""

from pathlib import Path

import numbered
import specimen
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAME = f"{specimen.NAME}/01.part"
BAR = (
    "[幻灯片](../98.specimen.pptx) · [PDF](../98.specimen.pdf) · "
    "[讲稿](../slides/98.specimen/01.part.md) · "
    f"[视频](https://www.bilibili.com/video/{specimen.VIDEO}/) · "
    "[课程的 PPT 与字幕](https://github.com/chenzomi12/DeepLearningSystem)"
)
FIGURE = """\
from dlsys_code.book.drawing import curves

curves([1, 2, 4], {"bytes": [0, 1, 3]}, x_label="ranks p", y_label="sent [n]",
       alt="一条线：发出的份数是 p-1，一路上升")"""
SECTION = """\
## {n} 第 {n} 件事

第 {n} 件事为什么对？看图 98.1.1 和第 04 章第 3 节。

> **先猜**：得几？"""
FOLD = """\
<details><summary>{}</summary>

是。

</details>"""
CHECK = f"**记住**：{{n}} 就是 {{n}}。\n\n{FOLD.format('小检查：还是 {n} 吗？')}"
CARD = """\
| 公式卡 | 字节 |
|---|---|
| 环 | $n$ |"""
EXERCISE = "**习题 98.1.{n}** {stars} `answer_{n}`：写一个函数。"
READING = "- [{who}](../../appendix/references.md#{key})，为什么要读。"
WORKS = {
    "Chan 等，2007": "chan2007",
    "Thakur 等，2005": "thakur2005",
    "Hockney，1994": "hockney1994",
    "Rabenseifner，2004": "rabenseifner2004",
}
MACHINES = """\
| 你有什么 | 一条命令 | 什么会变 |
|---|---|---|
| 没有 GPU | `make execute` | 不变 |
| 1 块 GPU | `make execute` | 不变 |
| 8 块 GPU | `make execute` | 时间 |
| 几台机器 | `torchrun total.py` | 时间 |"""


def texts() -> list[str]:
    """The cells in order; one that begins with a space is code."""
    cells = [f"# 98.1 样篇\n\n{BAR}\n\n这一步为什么用这么久？图 98.1.1 画出来。"]
    cells += [" draw", "**图 98.1.1** 一条线。"]
    cells += [
        "## 学习目标\n\n读完本篇，你\n\n"
        "1. 能算出字节（第 1 节，习题 98.1.1）；\n"
        "2. 能写出程序（第 2 节，习题 98.1.2、98.1.3）；\n"
        "3. 能说清代价（第 3 节，习题 98.1.4 到 98.1.5）。",
        f"## 先修\n\n一？二？三？\n\n{FOLD.format('答案')}",
        "## 阅读和运行\n\n约 20 秒。读完约一小时，难度 ★★。",
    ]
    for n in (1, 2, 3):
        cells += [SECTION.format(n=n), f" print({n})", CHECK.format(n=n)]
    cells += [
        "## 常见误解\n\n**“一。”** 不对。\n\n**“二。”** 不对。\n\n**“三。”** 看：",
        " assert 1 + 1 == 2",
        f"## 换一台机器\n\n{MACHINES}",
        f"## 小结\n\n1. 一。\n2. 二。\n3. 三。\n\n{CARD}"
        "\n\n### 一步账本\n\n动了字节。没有动轮数。",
        "## 习题\n\n"
        + "\n\n".join(
            EXERCISE.format(n=n, stars=stars)
            for n, stars in enumerate(("★", "★", "★★", "★★", "★★★"), 1)
        ),
        "## 延伸阅读\n\n"
        + "\n".join(READING.format(who=who, key=key) for who, key in WORKS.items()),
    ]
    return cells


def cells() -> list[NotebookNode]:
    """The cells of the part, outputs included."""
    found = []
    for text in texts():
        if text == " draw":
            found.append(new_code_cell(FIGURE, outputs=numbered.drawing().outputs))
        elif text.startswith(" "):
            found.append(new_code_cell(text.strip()))
        else:
            found.append(new_markdown_cell(text))
    return found


def notebook() -> NotebookNode:
    """Return the part as a notebook."""
    return new_notebook(cells=cells())


def save(source: Path) -> None:
    """Add the part to the book's sources in the folder `source`."""
    numbered.save(source, cells(), NAME)
