"""A small lesson with one of every reference, for the tests of the links.

Its chapter is 97, so that its numbers are in the way of no chapter of the book.
"""

from pathlib import Path

from nbformat import NotebookNode, write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NAME = "04_AICluster/97.numbered"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>线</title></svg>'
PICTURE = {"image/svg+xml": SVG, "text/plain": "<Figure>"}
LESSON = """# 97 样章

散发之后再广播，全归约散发不出；归约散发才是一个词。见图 97.1 和 97.2，式 97.1，
习题 97.1 到 97.2，第 2 节，第 1、2 节，
第 97 章第 2 节，第 99 章还没有写。代码里的 `图 97.9` 不算。

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


def save(source: Path, cells: list[NotebookNode]) -> None:
    """Add a lesson of these cells to the book's sources in the folder `source`."""
    notebook = new_notebook(cells=cells)
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["orphan"] = True  # in no table of contents
    path = source / f"{NAME}.ipynb"
    path.parent.mkdir(exist_ok=True)
    write(notebook, path)
