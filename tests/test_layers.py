"""The order of the chapters, and what every public name owes its reader."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import dlsys_code

CHAPTERS = (
    "world introduction architecture communication primitive system book __main__"
)
PACKAGE = Path(dlsys_code.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def dotted(path: Path) -> str:
    """The name under which a file of the package is imported."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def chapter(dotted_name: str) -> int:
    """'dlsys_code.primitive.ring' -> 4."""
    return CHAPTERS.split().index(dotted_name.split(".")[1])


def imports(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    froms = [
        f"{n.module}.{a.name}"
        for n in nodes
        if isinstance(n, ast.ImportFrom) and n.module
        for a in n.names
    ]
    return [name for name in plain + froms if name.startswith("dlsys_code.")]


def public(node: ast.AST, name: str) -> Iterator[tuple[str, Definition]]:
    """The public functions and classes of a module, and the methods of the latter."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition) and not child.name.startswith("_"):
            yield f"{name}.{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{name}.{child.name}")


def arguments(function: ast.FunctionDef) -> list[ast.arg]:
    """All arguments of a function; self and cls need no annotation."""
    spec = function.args
    every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]
    return [a for a in every if a is not None and a.arg not in ("self", "cls")]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_no_module_looks_ahead(path):
    if path == PACKAGE / "__init__.py":
        assert imports(path) == []
        return
    ahead = [used for used in imports(path) if chapter(used) > chapter(dotted(path))]
    assert ahead == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_public_name_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = [
        name for name, node in public(tree, dotted(path)) if not ast.get_docstring(node)
    ]
    assert ast.get_docstring(tree), f"{dotted(path)} has no docstring"
    assert silent == []


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_every_argument_of_a_public_function_is_annotated(path):
    bare = [
        f"{name}({argument.arg})"
        for name, node in public(
            ast.parse(path.read_text(encoding="utf-8")), dotted(path)
        )
        if not isinstance(node, ast.ClassDef)
        for argument in arguments(node)
        if argument.annotation is None
    ]
    assert bare == []
