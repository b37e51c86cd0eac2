"""What every committed notebook must satisfy; each rule yields one line per fault.

[3] is the third code cell, which is In [3] where the cells ran in order.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import autocorrect_py
from nbformat import NotebookNode
from words import aliases_in, english_missing

from dlsys_code.book.outputs import IGNORE_OUTPUT, MACHINE_PATH

CODE_LINES = 15
OUTPUT_LINES = 20
LISTING_LINES = 40  # of one displayed piece of the package
SHOWN_INSTEAD_OF_TEXT = {"text/html", "text/markdown", "image/svg+xml", "image/png"}
PHRASES = re.compile(
    "随着[^，。]*的发展|值得注意的是|综上所述|众所周知|至关重要|赋能|让我们|不仅[^。]*而且|！"
)


def faults(notebook: NotebookNode) -> list[str]:
    """All faults of a notebook, empty for a good one."""
    of_cells = (directives, lengths, order, silent_neighbours, unchecked, paths)
    found = [fault for rule in of_cells for fault in rule(notebook)]
    for cell in text_cells(notebook):
        of_text = (phrases, typography, aliases_in)
        found += [fault for rule in of_text for fault in rule(cell.source)]
    return [*found, *english_missing([c.source for c in text_cells(notebook)])]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def directives(notebook: NotebookNode) -> Iterator[str]:
    """JupyterLab and GitHub would show the markup of a directive or a role."""
    for cell in text_cells(notebook):
        for line in cell.source.splitlines():
            if line.startswith(":::") or re.match(r"\s*(```+|~~~+)\{", line):
                yield f"directive in a text cell: {line}"
            if role := re.search(r"\{[\w:+-]+\}`[^`]*`", line):
                yield f"role in a text cell: {role.group()}"


def lengths(notebook: NotebookNode) -> Iterator[str]:
    """Code and outputs fit a page."""
    for number, cell in enumerate(code_cells(notebook), 1):
        lines, where = len(cell.source.splitlines()), f"[{number}]"
        if lines > CODE_LINES:
            yield f"{where} {lines} lines of code, at most {CODE_LINES}"
        lines = sum(len(seen_text(o).splitlines()) for o in cell.outputs)
        if lines > OUTPUT_LINES:
            yield f"{where} {lines} lines of output, at most {OUTPUT_LINES}"
        for output in cell.outputs:
            lines = len(output.get("data", {}).get("text/markdown", "").splitlines())
            if lines > LISTING_LINES:
                yield f"{where} listing of {lines} lines, at most {LISTING_LINES}"


def seen_text(output: NotebookNode) -> str:
    """The lines of an output that a page shows as text; of an error its message."""
    if output.output_type == "stream":
        return output.text
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    instead = SHOWN_INSTEAD_OF_TEXT & output.data.keys()
    return "" if instead else output.data.get("text/plain", "")


def order(notebook: NotebookNode) -> Iterator[str]:
    """Cells ran once, from the first to the last: nbval skips those that never ran."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"cells were not run in order from a new kernel: {counts}"


def silent_neighbours(notebook: NotebookNode) -> Iterator[str]:
    """Text stands between code cells, but for a measurement and its assertion."""
    number = 0
    for cell, following in pairwise(notebook.cells):
        number += cell.cell_type == "code"
        both_code = cell.cell_type == following.cell_type == "code"
        if both_code and IGNORE_OUTPUT not in tags(cell):
            yield f"no text between [{number}] and [{number + 1}]"


def unchecked(notebook: NotebookNode) -> Iterator[str]:
    """No cell escapes nbval, and what is measured is followed by a claim about it."""
    cells = code_cells(notebook)
    for number, (cell, following) in enumerate(pairwise([*cells, None]), 1):
        where = f"[{number}]"
        if "nbval-skip" in tags(cell) or "NBVAL_" in cell.source:
            yield f"{where} hides from nbval"
        claim = following.source if following else ""
        if IGNORE_OUTPUT in tags(cell) and not re.search(r"^\s*assert\b", claim, re.M):
            yield f"{where} is not compared, and the next code cell asserts nothing"


def paths(notebook: NotebookNode) -> Iterator[str]:
    """No output tells on which machine it was made."""
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell.outputs:
            text = "\n".join([seen_text(output), *output.get("traceback", [])])
            if found := MACHINE_PATH.search(text) or re.search(r"/tmp/|/home/", text):
                yield f"[{number}] path of a machine: {found.group()}"


def phrases(markdown: str) -> Iterator[str]:
    """Words that say nothing, and exclamation marks; code may hold either."""
    prose = re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL)
    for found in PHRASES.finditer(prose):
        yield f"phrase to avoid: {found.group()}"


def typography(markdown: str) -> Iterator[str]:
    """Space between Chinese and Latin, full-width punctuation in Chinese."""
    for line in autocorrect_py.lint_for(markdown, "markdown").lines:
        if line.old != line.new:
            yield f"typography: {line.old} -> {line.new}"
