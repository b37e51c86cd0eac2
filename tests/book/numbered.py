"""A small chapter and a part of it with every reference, for the tests of the links.

The chapter is 97, so that its numbers are in the way of no chapter of the book.
"""

from pathlib import Path

from nbformat import NotebookNode, write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NAME = "04_AICluster/97.numbered"
PART_NAME = f"{NAME}/01.part"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>线</title></svg>'
PICTURE = {"image/svg+xml": SVG, "text/plain": "<Figure>"}
LESSON = """# 97 样章

散发之后再广播，全归约散发不出；归约散发才是一个词。见图 97.1 和 97.2，式 97.1，
习题 97.1 到 97.2，第 2 节，第 1、2 节，
第 97 章第 2 节，第 99 章还没有写；第 97.1 篇写了，第 97.2 篇没有，
第 97.1 篇第 1 节有图 97.1.1。代码里的 `图 97.9` 不算。

| 表 | 引 |
|---|---|
| 一行 | 图 97.2 |

<details><summary>答案</summary>

看式 97.1。

</details>

## 1 开始：见图 97.9 不算

[Chan 等，2007](../appendix/references.md#chan2007) 和
[Rabenseifner（2004）](../appendix/references.md#rabenseifner2004)。

$$ n \\tag{97.1} $$
"""
PART = """# 97.1 样篇

图 97.1.1 在这里，图 97.2、式 97.1 和习题 97.1 在第 97 章；式 97.1.1，第 1、2 节，
习题 97.1.1 到 97.1.2，第 97 章第 1 节，第 97.1 篇第 2 节。再说一次散发。

[Chan 等，2007](../../appendix/references.md#chan2007)，
[第 97 章](../97.numbered.ipynb)。

## 1 开始

$$ n \\tag{97.1.1} $$
"""
PART_CAPTION = "**图 97.1.{}** 一条短线，见式 97.1.1。"
PART_EXERCISES = "## 2 习题\n\n**习题 97.1.1** ★ 心算。\n\n**习题 97.1.2** ★★ 写。\n"
CAPTION = "**图 97.{}** 一条线，见式 97.1。"
EXERCISES = "## 2 习题\n\n**习题 97.1** ★ 手算。\n\n**习题 97.2** ★★ 写广播。\n"


def drawing() -> NotebookNode:
    return new_code_cell("draw()", outputs=[new_output("display_data", data=PICTURE)])


def lesson(text: str = LESSON, *captions: str) -> list[NotebookNode]:
    """The cells of a good lesson, with another text or other captions."""
    first, second = captions or (CAPTION.format(1), CAPTION.format(2))
    texts = map(new_markdown_cell, (text, first, f"{second}\n\n后文。\n\n{EXERCISES}"))
    before, between, after = texts
    return [before, drawing(), between, drawing(), after]


def part(text: str = PART, caption: str = PART_CAPTION) -> list[NotebookNode]:
    """The cells of a good part of the chapter, with another text or caption."""
    after = f"{caption.format(1)}\n\n{PART_EXERCISES}"
    return [new_markdown_cell(text), drawing(), new_markdown_cell(after)]


def save(source: Path, cells: list[NotebookNode], name: str = NAME) -> None:
    """Add a page of these cells to the book's sources in the folder `source`."""
    notebook = new_notebook(cells=cells)
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["orphan"] = name == NAME  # in no table of contents
    path = source / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True, parents=True)
    write(notebook, path)
