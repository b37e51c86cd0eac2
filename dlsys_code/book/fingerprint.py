"""Which code a notebook's stored outputs came from.

A stored run depends on the notebook's code cells, on the files of this package that
they import, directly or through one another, and on the pinned torch.  The fingerprint
keeps a short hash of each in the notebook's metadata; a hash that differs today means
that the outputs have to be made again.  Imports are read from the syntax, nothing is
run.
"""

import ast
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "dlsys_code"


def fingerprint(notebook: NotebookNode, root: Path = ROOT) -> dict:
    """Return {"torch": version, "cells": hash, "files": {path: hash}}.

    root: the folder that holds requirements.txt and the package.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    meaning = [[c.source, sorted(c.metadata.get("tags", []))] for c in cells]
    files = _files_behind((c.source for c in cells), root)
    return {
        "torch": pinned_torch(root),
        "cells": _hash(json.dumps(meaning)),
        "files": {path: _hash(text) for path, text in sorted(files.items())},
    }


def changes(stored: dict, now: dict) -> list[str]:
    """Name what differs between two fingerprints; empty where nothing does."""
    then, today = stored.get("files", {}), now["files"]
    paths = sorted(then.keys() | today.keys())
    parts = [key for key in ("cells", "torch") if stored.get(key) != now[key]]
    return parts + [path for path in paths if then.get(path) != today.get(path)]


def pinned_torch(root: Path = ROOT) -> str:
    """The version that requirements.txt pins, e.g. 2.13.0."""
    requirements = (root / "requirements.txt").read_text(encoding="utf-8")
    return re.search(r"^torch==(\S+)", requirements, re.MULTILINE).group(1)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _files_behind(cells: Iterable[str], root: Path) -> dict[str, str]:
    """Map the path of every file of the package behind `cells` to its text."""
    found: dict[str, str] = {}
    to_read = set().union(*(_imports(_plain_python(cell)) for cell in cells))
    while to_read:
        module = root / to_read.pop().replace(".", "/")
        for path in (module.with_name(module.name + ".py"), module / "__init__.py"):
            name = path.relative_to(root).as_posix()
            if name not in found and path.is_file():
                found[name] = path.read_text(encoding="utf-8")
                to_read |= _imports(found[name])
    return found | _tables_named_in(found.values(), root)


def _tables_named_in(texts: Iterable[str], root: Path) -> dict[str, str]:
    """The files of the package's data folder whose names stand in one of `texts`."""
    texts = list(texts)
    return {
        table.relative_to(root).as_posix(): table.read_text(encoding="utf-8")
        for table in (root / PACKAGE / "data").glob("*")
        if any(table.name in text for text in texts)
    }


def _plain_python(cell: str) -> str:
    """Turn `%magic` and `!command` lines into the Python that IPython runs for them."""
    return TransformerManager().transform_cell(cell)


def _imports(code: str) -> set[str]:
    """The dotted names inside the package that `code` imports, with their parents.

    A name taken from a module may be a module itself, so both are given.  A cell that
    shows a syntax error imports nothing.
    """
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except SyntaxError:
        return set()
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names += [
        f"{node.module}.{alias.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]
    parts = [name.split(".") for name in names if name.split(".")[0] == PACKAGE]
    return {".".join(p[:length]) for p in parts for length in range(1, len(p) + 1)}
