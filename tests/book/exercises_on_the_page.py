"""The exercises as a reader meets them: text, hints and right answers of each page.

The page is the one source of right answers.  They are run as a reader would run them:
in the order of the page, with the names that the chapter's cells have imported.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from rules import text_cells
from template import by_heading

from dlsys_code.book.notebooks import notebooks

ROOT = Path(__file__).parents[2]
CHAPTERS = notebooks()  # and their parts
HEAD = re.compile(r"^\*\*习题 (\d+(?:\.\d+)+)\*\* (.*?) `(\w+)`：", re.MULTILINE)
FOLD = re.compile(
    r"<details><summary>(.*?)</summary>\n\n(.*?)\n\n</details>", re.DOTALL
)
CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class OnThePage:
    """One exercise.  given: the code that it starts from, "" for none."""

    number: str
    stars: str
    statement: str
    given: str
    hints: list[str]
    solution: str


def section(chapter: Path) -> str:
    """The text of a chapter's exercises, up to the next section."""
    cells = text_cells(nbformat.read(chapter, as_version=4))
    return by_heading("\n\n".join(cell.source for cell in cells))["习题"]


def read(chapter: Path) -> dict[str, OnThePage]:
    """Every exercise of a page by name, in order."""
    _, *parts = HEAD.split(section(chapter))
    found = {}
    for number, stars, name, text in zip(*[iter(parts)] * 4, strict=True):
        folds = FOLD.findall(text)
        before = text.partition("<details>")[0]
        found[name] = OnThePage(
            number=number,
            stars=stars,
            statement=CODE.sub("", before).strip(),
            given="".join(CODE.findall(before)),
            hints=[inside for title, inside in folds if title.startswith("提示")],
            solution="".join(
                code
                for title, inside in folds
                if title == "参考答案"
                for code in CODE.findall(inside)
            ),
        )
    return found


def names_of_the_chapter(chapter: Path) -> tuple[str, set[str]]:
    """The imports of the chapter's code cells, and all names that the cells bind."""
    cells = nbformat.read(chapter, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    body = ast.parse(code).body
    imports = [line for line in body if isinstance(line, ast.Import | ast.ImportFrom)]
    bound = {alias.asname or alias.name for line in imports for alias in line.names}
    for line in body:
        if isinstance(line, ast.FunctionDef):
            bound.add(line.name)
        for target in getattr(line, "targets", []):
            bound |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return "\n".join(map(ast.unparse, imports)), bound


def answers(chapter: Path) -> dict[str, object]:
    """What each solution gives: a function of that name, or its last expression."""
    names: dict[str, object] = {"__name__": "__main__"}
    exec(names_of_the_chapter(chapter)[0], names)
    found = {}
    for name, exercise in read(chapter).items():
        *before, last = ast.parse(exercise.solution).body
        if isinstance(last, ast.Expr):
            numbers = dict(names)  # alpha and the like are for this exercise alone
            exec(ast.unparse(before), numbers)
            found[name] = eval(ast.unparse(last), numbers)
        else:
            exec(exercise.solution, names)
            found[name] = names[name]
    return found
