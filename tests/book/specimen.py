"""A notebook with one of everything that the site must show well.

The lessons may or may not hold a failed cell, a figure, a wide table or a video; the
tests of the site add this page to the book, so that each of them is always looked at.
"""

from pathlib import Path

import nbformat
import pypdfium2
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NAME = "04_AICluster/98.specimen"
SEARCH_WORD = "梯度累积"
VIDEO = "BV1te4y1e7vz"
ALT_TEXT = "两点一线：从 rank 0 到 rank 1 的一次发送"
FORMULAS = 3
SLIDES, SLIDES_OF_PART = 3, 2

DECK = """---
title: 样张的幻灯片
subtitle: 样张
notebook: ../98.specimen.ipynb
---

::: notes
第一页要说的话。
:::

## 第二页

- 一项

::: notes
第二页要说的话。
:::

## 第三页

![图 98.1 两点一线](figure:98.1)

::: notes
第三页要说的话。
:::
"""

PART_DECK = """---
title: 98.1 样篇
subtitle: 样张里的一篇
notebook: ../../98.specimen/01.part.ipynb
---

::: notes
样篇的开场。
:::

## 第五页

![图 98.1.1 一条线](figure:98.1.1)

::: notes
第五页要说的话。
:::
"""

PROSE = rf"""# 样张：页面上会出现的一切

[幻灯片](98.specimen.pptx) · [PDF](98.specimen.pdf) · [讲稿](slides/98.specimen.md) · [视频](https://www.bilibili.com/video/{VIDEO}/)

这一段谈{SEARCH_WORD}和广播，有公式 $t = \alpha + n\beta$，也有代码 `all_reduce`。

$$
T_{{\text{{ring}}}}(p, n) = 2(p-1)\left(\alpha + \frac{{n}}{{p}}\beta\right)
+ (p-1)\frac{{n}}{{p}}\gamma
+ \sum_{{r=0}}^{{p-1}} \sum_{{s=0}}^{{p-2}} \left( x_{{r,s}} + y_{{r,s}} \right)
+ \max_{{0 \le r < p}} \bigl( \text{{等待}}_r + \text{{计算}}_r \bigr)
$$ (eq-wide)

宽的公式 {{eq}}`eq-wide` 在窄屏上自己滚动。

| 算法 | 轮数 | 最忙的 rank 发出的字节 | 归约的字节 | 时间 | 何时不用 |
|---|---|---|---|---|---|
| 环 | $2(p-1)$ | 2n(p-1)/p | n(p-1)/p | 2(p-1)(α + nβ/p) | 消息很短时 |
| 树 | 2⌈log₂ p⌉ | 2n | n⌈log₂ p⌉ | 2⌈log₂ p⌉(α + nβ) | a_name_without_any_break_in_it |

[课程视频：样张](https://www.bilibili.com/video/{VIDEO}/)

## 一张图
"""

CODE = """\
import torch
import torch.distributed as dist
from dlsys_code.world.point_to_point import shift


def program():
    x = torch.arange(4)  # 每个 rank 四个数
    return shift(x, dist.group.WORLD)
"""

FIGURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="900" height="260" viewBox="0 0 900 260">
  <title>两点一线</title>
  <desc>从 rank 0 到 rank 1 的一次发送</desc>
  <rect width="900" height="260" fill="#ffffff"/>
  <line x1="100" y1="130" x2="800" y2="130" stroke="#2f6fb3" stroke-width="4"/>
  <circle cx="100" cy="130" r="40" fill="#d9480f"/>
  <circle cx="800" cy="130" r="40" fill="#2f6fb3"/>
</svg>
"""

TRACEBACK = """\
---------------------------------------------------------------------------
ValueError                                Traceback (most recent call last)
Cell In[3], line 1
----> 1 raise ValueError("6 heads cannot be shared by 4 ranks")

ValueError: 6 heads cannot be shared by 4 ranks"""


def cells() -> list[nbformat.NotebookNode]:
    """Return the cells of the specimen, outputs included."""
    long_line = "rank 0 发出 " + " ".join(str(number) for number in range(80)) + "\n"
    figure = {"image/svg+xml": FIGURE, "text/plain": "<Figure>"}
    failure = {"ename": "ValueError", "evalue": "", "traceback": TRACEBACK.split("\n")}
    return [
        new_markdown_cell(PROSE),
        new_code_cell(
            CODE,
            outputs=[new_output("stream", text=long_line)],
            execution_count=1,
        ),
        new_markdown_cell("上面的输出很长，自己滚动；下面是图。"),
        new_code_cell(
            "draw()",
            outputs=[new_output("display_data", data=figure)],
            execution_count=2,
        ),
        new_markdown_cell("## 一个错误\n\n形状不对时，错误说出数目。"),
        new_code_cell(
            'raise ValueError("6 heads cannot be shared by 4 ranks")',
            outputs=[new_output("error", **failure)],
            execution_count=3,
            metadata={"tags": ["raises-exception"]},
        ),
    ]


def write(source: Path) -> None:
    """Add the specimen to the book's sources in the folder `source`."""
    notebook = new_notebook(cells=cells())
    notebook.metadata["language_info"] = {"name": "python"}
    path = source / f"{NAME}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)
    write_slides(path)


def write_slides(notebook: Path) -> None:
    """Add a deck of empty pages: what they show is the business of other tests."""
    source = notebook.parent / "slides" / f"{notebook.stem}.md"
    source.parent.mkdir(exist_ok=True)
    source.write_text(DECK, encoding="utf-8")
    source.with_suffix("").mkdir()
    (source.with_suffix("") / "01.part.md").write_text(PART_DECK, encoding="utf-8")
    notebook.with_suffix(".pptx").write_bytes(b"a stand-in for a download")
    with pypdfium2.PdfDocument.new() as document:
        for _ in range(SLIDES + SLIDES_OF_PART):
            document.new_page(960, 540)
        document.save(notebook.with_suffix(".pdf"))
