"""Show the code on the site: highlighted, and linked from the API pages with its tests.

Each API page ends with the source of its module and the tests that import it.  Imports
are read, not run, so the pages are the same with and without torch.  Sphinx's own
viewcode would show the modules, but writes every page anew in every build.
"""

import ast
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.addnodes import desc_signature
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

ROOT = Path(__file__).parent.parent
PACKAGE, TESTS = ROOT / "dlsys_code", ROOT / "tests"
FRAME = [ROOT / "conf.py", ROOT / "index.rst"]  # what is around the code on its page
PAGES = "_code"
LINE = "line"


class TestFile(NamedTuple):
    """One file of tests, and what is known of it without running it."""

    path: Path
    imported: frozenset[str]  # full names: modules, and what is taken from them
    functions: dict[str, int]  # the line of each test


@cache
def test_files() -> list[TestFile]:
    return [read(path) for path in sorted(TESTS.rglob("test_*.py"))]


def read(path: Path) -> TestFile:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {
        node.name: node.lineno
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    return TestFile(path, frozenset(imports(tree)), functions)


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
    return sorted(found, key=lambda file: file.path.stem != own)


def module_of(app: Sphinx, docname: str) -> str | None:
    root = f"{app.config.autoapi_root}/"
    inside = docname.startswith(root) and docname.endswith("/index")
    return docname[len(root) : -len("/index")].replace("/", ".") if inside else None


def source_of(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def page_of(path: Path) -> str:
    return f"{PAGES}/{path.relative_to(ROOT).with_suffix('').as_posix()}"


def is_site(app: Sphinx) -> bool:
    return app.builder.name in ("html", "dirhtml")


# ------------------------------------------------------------ links


def note_files(app: Sphinx, doctree: nodes.document) -> None:
    """Read an API page anew when its module or a test of it has changed."""
    if module := module_of(app, app.env.current_document.docname):
        for path in [source_of(module), *(file.path for file in covering(module))]:
            app.env.note_dependency(path)


def link_code(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Link a module's API page to the lines of its source, and to its tests."""
    module = module_of(app, docname)
    if not module or not is_site(app):
        return
    here = app.builder.get_target_uri(docname)

    def address(path: Path, line: int | None = None) -> str:
        page = relative_uri(here, app.builder.get_target_uri(page_of(path)))
        return f"{page}#{LINE}-{line}" if line else page

    source = source_of(module)
    for signature in doctree.findall(desc_signature):
        thing = app.env.autoapi_all_objects.get(signature["ids"][0])
        if thing and "from_line_no" in thing.obj:
            to = address(source, thing.obj["from_line_no"])
            link = nodes.reference("", "源代码", refuri=to, classes=["source-link"])
            signature.append(link)
    listed = [f"<p>源代码：{anchor(address(source), source)}</p>"]
    for file in covering(module):
        tests = "".join(
            f"<li>{anchor(address(file.path, line), name)}</li>"
            for name, line in file.functions.items()
        )
        summary = f"测试：{anchor(address(file.path), file.path)}"
        listed.append(
            f"<details><summary>{summary}，{len(file.functions)} 个</summary>"
            f"<ul>{tests}</ul></details>"
        )
    html = f'<div class="sources" data-pagefind-ignore>{"".join(listed)}</div>'
    page = next(iter(doctree.findall(nodes.section)))
    page.append(nodes.raw("", html, format="html"))


def anchor(address: str, name: str | Path) -> str:
    text = name.relative_to(ROOT).as_posix() if isinstance(name, Path) else name
    return f'<a href="{address}">{escape(text)}</a>'


# ------------------------------------------------------------ pages


def code_pages(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """Yield a page for each module and file of tests that is newer than its page."""
    if not is_site(app):
        return
    files = sorted(PACKAGE.rglob("*.py")), (file.path for file in test_files())
    for path in (path for group in files for path in group):
        written = Path(app.builder.get_outfilename(page_of(path)))
        if written.exists() and all(is_newer(written, p) for p in (path, *FRAME)):
            continue
        code = app.builder.highlighter.highlight_block(
            path.read_text(encoding="utf-8"), "python", lineanchors=LINE
        )
        title = path.relative_to(ROOT).as_posix()
        body = f"<h1>{title}</h1>{code}"
        yield page_of(path), {"parents": [], "title": title, "body": body}, "page.html"


def is_newer(page: Path, source: Path) -> bool:
    return page.stat().st_mtime > source.stat().st_mtime


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", note_files)
    app.connect("doctree-resolved", link_code)
    app.connect("html-collect-pages", code_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
