"""List the parts of a chapter below it in the side bar.

A lesson holds no directive, which would show as raw markup in Jupyter, so its table of
contents comes from a folder: the parts of 05.system.ipynb are 05.system/NN.name.ipynb.
"""

from pathlib import PurePosixPath

from docutils import nodes
from running_text import lesson_at
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

BEFORE_COLLECTORS = 400  # which listen to the same event at the default 500


def parts_of(page: str, pages: set[str]) -> list[str]:
    """Return the parts among some pages that belong to a chapter's page, in order."""
    return sorted(part for part in pages if str(PurePosixPath(part).parent) == page)


def list_parts(app: Sphinx, doctree: nodes.document) -> None:
    """Give a chapter with parts a table of contents that only the side bar shows."""
    page = app.env.current_document.docname
    parts = parts_of(page, app.env.found_docs) if lesson_at(page) else []
    if not parts:
        return
    contents = addnodes.toctree(
        parent=page,
        entries=[(None, part) for part in parts],
        includefiles=parts,
        maxdepth=1,
        caption=None,
        glob=False,
        hidden=True,
        includehidden=False,
        numbered=0,
        titlesonly=True,
    )
    wrapper = nodes.compound("", contents, classes=["toctree-wrapper"])
    next(doctree.findall(nodes.section)).append(wrapper)


def read_chapters_anew(
    app: Sphinx,
    env: BuildEnvironment,
    added: set[str],
    _changed: set,
    removed: set[str],
) -> list[str]:
    """Name the chapters that got or lost a part since the last build."""
    found = {str(PurePosixPath(part).parent) for part in added | removed}
    return sorted(found & env.found_docs)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", list_parts, priority=BEFORE_COLLECTORS)
    app.connect("env-get-outdated", read_chapters_anew)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
