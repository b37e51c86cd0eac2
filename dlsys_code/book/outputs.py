"""A notebook's outputs: put in one form for storing, and compared as nbval compares.

What is stored must not depend on who stored it: no paths of a machine, no times, no
versions of an editor.  What is compared is what a reader sees: text, SVG, the name and
message of an error; not PNG or JPEG, and only the kind where a cell is tagged
nbval-ignore-output.
"""

import copy
import difflib
import re
from itertools import groupby

from nbformat import NotebookNode, from_dict

IGNORE_OUTPUT = "nbval-ignore-output"
NOT_COMPARED = {"image/png", "image/jpeg"}
KEPT_OF_CELL = {"tags", "mystnb", "slideshow"}
KEPT_OF_NOTEBOOK = {"dlsys", "mystnb"}
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}
# In a traceback, the part of a file's path that differs from machine to machine.
MACHINE_PATH = re.compile(
    r"""(File "?(?:\x1b\[[\d;]*m)*)(?:~|[A-Za-z]:)?[/\\][^\x1b:\n]*?"""
    r"(?:[/\\]lib[/\\]python3\.\d+[/\\](?:site-packages[/\\])?"
    r"|[/\\]site-packages[/\\]|(?=dlsys_code[/\\]))"
)


def normalised(notebook: NotebookNode) -> NotebookNode:
    """Return a copy without traces of the machine, the editor or the clock."""
    clean = copy.deepcopy(notebook)
    kept = {k: v for k, v in notebook.metadata.items() if k in KEPT_OF_NOTEBOOK}
    clean.metadata = from_dict(kept | KERNEL)
    for cell in clean.cells:
        kept = {k: v for k, v in cell.metadata.items() if k in KEPT_OF_CELL and v}
        cell.metadata = from_dict(kept)
        if cell.cell_type == "code":
            cell.outputs = [_without_paths(o) for o in merge_streams(cell.outputs)]
    return clean


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of one stream: how they were cut is chance."""
    merged = []
    for name, pieces in groupby(outputs, key=lambda output: output.get("name")):
        pieces = list(pieces)
        if name is None:
            merged += pieces
        else:
            text = "".join(piece.text for piece in pieces)
            merged.append(from_dict({**pieces[0], "text": text}))
    return merged


def difference(stored: NotebookNode, fresh: NotebookNode) -> list[str]:
    """Lines that say how a cell's fresh outputs differ from the stored, - before +.

    Empty where they agree.  Both are code cells with the same source and tags.
    """
    kinds_only = IGNORE_OUTPUT in stored.metadata.get("tags", [])
    before, after = (
        [line for output in merge_streams(cell.outputs) for line in _lines(output)]
        if not kinds_only
        else [_kind(output) for output in merge_streams(cell.outputs)]
        for cell in (stored, fresh)
    )
    lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    return [line for line in lines if not line.startswith("@@")]


def _kind(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return f"[{output.name}]"
    return f"[{', '.join(sorted(output.get('data', ['error'])))}]"


def _lines(output: NotebookNode) -> list[str]:
    """What is compared of one output: its kind, then its text."""
    if output.output_type == "stream":
        text = output.text
    elif output.output_type == "error":
        text = f"{output.ename}: {output.evalue}"
    else:
        compared = sorted(output.data.keys() - NOT_COMPARED)
        text = "\n".join(str(output.data[mime]) for mime in compared)
    return [_kind(output), *text.splitlines()]


def _without_paths(output: NotebookNode) -> NotebookNode:
    if output.output_type == "error":
        output.traceback = [MACHINE_PATH.sub(r"\1", line) for line in output.traceback]
    return output
