"""Show code on a page by asking the package for it, so that no page holds a stale copy.

`source(ring.all_reduce)` as the last line of a cell displays the function as it is now.
JupyterLab, VS Code, GitHub and myst-nb take the Markdown form, a highlighted listing
under the name of its file; a terminal takes the plain form.  Strict nbval compares
both, so a page whose listing is out of date fails its test.
"""

import ast
import inspect
import sys
import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Listing:
    """Source text as it is displayed: the caption says where it is from."""

    caption: str
    code: str

    def __repr__(self) -> str:
        return f"# {self.caption}\n{self.code}"

    def _repr_markdown_(self) -> str:
        fence = "```"
        while fence in self.code:
            fence += "`"
        return f"`{self.caption}`\n\n{fence}python\n{self.code}\n{fence}"


def source(thing: object, *, docstring: bool = True) -> Listing:
    """Return the source of a function, class or module, for a cell to display.

    docstring: False leaves out every docstring in it, for a short listing.
    Raises: TypeError if `thing` was not written in Python, or its file is gone.
    """
    thing = inspect.unwrap(thing)
    try:
        code = textwrap.dedent(inspect.getsource(thing)).strip("\n")
    except (TypeError, OSError):
        raise TypeError(
            f"no Python source for {thing!r}; source() takes a function, "
            "class or module"
        ) from None
    return Listing(_caption(thing), code if docstring else _without_docstrings(code))


def _caption(thing: object) -> str:
    """The file as the repository has it, e.g. a/b.py or a/__init__.py."""
    module = thing if inspect.ismodule(thing) else sys.modules[thing.__module__]
    if module.__name__ == "__main__":
        return thing.__qualname__  # written in the notebook itself
    parts = module.__name__.replace(".", "/")
    return f"{parts}/__init__.py" if hasattr(module, "__path__") else f"{parts}.py"


def _without_docstrings(code: str) -> str:
    """Drop each docstring and the blank lines after it; `code` stays valid Python."""
    lines = code.split("\n")
    dropped: set[int] = set()  # numbers of lines, from 1
    for node in ast.walk(ast.parse(code)):
        if not _has_removable_docstring(node):
            continue
        text = node.body[0]
        end = text.end_lineno
        while end < len(lines) and not lines[end].strip():
            end += 1
        dropped.update(range(text.lineno, end + 1))
    kept = [line for number, line in enumerate(lines, 1) if number not in dropped]
    return "\n".join(kept)


def _has_removable_docstring(node: ast.AST) -> bool:
    """True where a body remains without the docstring (a module's may be empty)."""
    if isinstance(node, ast.Module):
        return ast.get_docstring(node) is not None
    if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return ast.get_docstring(node) is not None and len(node.body) > 1
