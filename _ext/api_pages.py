"""Keep AutoAPI out of other libraries, and its pages between builds.

AutoAPI's parser follows every import, into torch where torch is installed: slow, and
the pages would differ from one machine to another.  AutoAPI can keep its pages and
skip a package that has not changed; what it then does not do is drop the page of a
deleted module, or write the pages again after somebody deleted them.

The general index is for the words of the book: hundreds of names would bury them, and
they have the search and pages of their own.
"""

import sys
from functools import cache
from typing import Any

from astroid.manager import AstroidManager
from autoapi._objects import PythonObject
from docutils import nodes
from final_templates import finalize
from sphinx.application import Sphinx

READ = {"dlsys_code", *sys.stdlib_module_names}
BEFORE_AUTOAPI = 400  # which listens to the same event at the default 500


class OtherLibraries(set):
    """The modules that the parser must leave alone."""

    def __contains__(self, module: str) -> bool:
        return module.partition(".")[0] not in READ


def tidy(app: Sphinx) -> None:
    """Delete pages without a module; make AutoAPI start afresh where none are left."""
    folder = app.srcdir / app.config.autoapi_root
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    for page in folder.rglob("index.rst"):
        module = app.srcdir / page.parent.relative_to(folder)
        files = [module.with_suffix(".py"), module / "__init__.py"]
        if not any(file.exists() for file in files):
            page.unlink()
    if not any(folder.rglob("index.rst")):
        app.env.autoapi_source_hashes = None


def prepare(environment: Any) -> None:
    """Give AutoAPI's templates what they need."""
    finalize(environment)
    environment.filters["second_name"] = second_name


def second_name(thing: PythonObject) -> str | None:
    """Return the name under which a package offers a thing of one of its modules."""
    return second_names(thing.app).get(thing.id)


@cache
def second_names(app: Sphinx) -> dict[str, str]:
    """Return first name -> second name of what has two."""
    shown = (thing for thing in app.env.autoapi_all_objects.values() if thing.display)
    pairs = ((t.obj.get("original_path"), t.id) for t in shown)
    return {first: second for first, second in reversed([*pairs]) if first}


def show_call(
    _app: Sphinx, _what: str, name: str, _member: object, skip: bool, _options: list
) -> bool:
    """Keep the page of `__call__`: it is how a reader uses a `World`."""
    return skip and not name.endswith(".__call__")


def keep_out_of_index(app: Sphinx, _doctree: nodes.document) -> None:
    """Drop the names of an API page from the general index."""
    page = app.env.current_document.docname
    if page.startswith(f"{app.config.autoapi_root}/"):
        app.env.domains.index_domain.entries.pop(page, None)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autoapi-skip-member", show_call)
    AstroidManager.brain["module_denylist"] = OtherLibraries()
    app.connect("builder-inited", tidy, priority=BEFORE_AUTOAPI)
    app.connect("doctree-read", keep_out_of_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
