"""End each API page with its source and the tests that import the module.

Imports are read, not run, so the list is the same with and without torch.  The test
files become pages of highlighted source, beside those that sphinx.ext.viewcode writes.
"""

import ast
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

TESTS = Path(__file__).parent.parent / "tests"
PAGES = "_tests"
SOURCES = "_modules"  # where sphinx.ext.viewcode puts the modules
LINE = "line"


class TestFile(NamedTuple):
    """One file of tests, and what is known of it without running it."""

    page: str  # its page below the site
    code: str
    imported: frozenset[str]  # full names: modules, and what is taken from them
    functions: dict[str, int]  # the line of each test


@cache
def test_files() -> list[TestFile]:
    return [read(path) for path in sorted(TESTS.rglob("test_*.py"))]


def read(path: Path) -> TestFile:
    code = path.read_text(encoding="utf-8")
    tree = ast.parse(code)
    page = f"{PAGES}/{path.relative_to(TESTS).with_suffix('').as_posix()}"
    functions = {
        node.name: node.lineno
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    return TestFile(page, code, frozenset(imports(tree)), functions)


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield what a file imports: `from a import b` may mean the module a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def covering(module: str) -> list[TestFile]:
    """The test files that import a module; first the one that is named after it."""
    own = f"test_{module.rpartition('.')[2]}"
    found = [file for file in test_files() if module in file.imported]
    return sorted(found, key=lambda file: not file.page.endswith(f"/{own}"))


def note_tests(app: Sphinx, doctree: nodes.document) -> None:
    """Read an API page anew when a test of its module has changed."""
    if module := module_of(app, app.env.current_document.docname):
        for file in covering(module):
            app.env.note_dependency(TESTS / f"{file.page.removeprefix(PAGES)[1:]}.py")


def module_of(app: Sphinx, docname: str) -> str | None:
    root = f"{app.config.autoapi_root}/"
    inside = docname.startswith(root) and docname.endswith("/index")
    return docname[len(root) : -len("/index")].replace("/", ".") if inside else None


def show_sources(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Append the links to the page of a module."""
    module = module_of(app, docname)
    if not module or app.builder.name not in ("html", "dirhtml"):
        return
    here = app.builder.get_target_uri(docname)

    def link(page: str, text: str, anchor: str = "") -> str:
        to = relative_uri(here, app.builder.get_target_uri(page)) + anchor
        return f'<a href="{to}">{escape(text)}</a>'

    lines = []
    source = f"{SOURCES}/{module.replace('.', '/')}"
    if app.env._viewcode_modules.get(module):
        lines.append(f"<p>源代码：{link(source, module.replace('.', '/') + '.py')}</p>")
    if found := covering(module):
        lines.append("<p>用到这个模块的测试：</p>")
    for file in found:
        tests = "".join(
            f"<li>{link(file.page, name, f'#{LINE}-{line}')}</li>"
            for name, line in file.functions.items()
        )
        name = file.page.replace(PAGES, "tests", 1) + ".py"
        count = f"{len(file.functions)} 个测试"
        summary = f"<summary>{link(file.page, name)}：{count}</summary>"
        lines.append(f"<details>{summary}<ul>{tests}</ul></details>")
    if lines:
        html = f'<div class="sources" data-pagefind-ignore>{"".join(lines)}</div>'
        next(iter(doctree.findall(nodes.section))).append(
            nodes.raw("", html, format="html")
        )


def test_pages(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """Yield a page of highlighted source for each file of tests."""
    if app.builder.name not in ("html", "dirhtml"):
        return
    for file in test_files():
        code = app.builder.highlighter.highlight_block(
            file.code, "python", lineanchors=LINE
        )
        title = file.page.replace(PAGES, "tests", 1) + ".py"
        body = f"<h1>{title}</h1>{code}"
        yield file.page, {"parents": [], "title": title, "body": body}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", note_tests)
    app.connect("doctree-resolved", show_sources)
    app.connect("html-collect-pages", test_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
