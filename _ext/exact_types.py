"""Link the types of annotations to what they name, always.

Sphinx resolves the `bytes` of an annotation to whatever ends in ".bytes", such as an
attribute of some class of ours, before it asks the inventory of Python; and the
`Layout` of one module to the class of that name in another.
"""

import ast
import builtins
from collections.abc import Iterator
from functools import cache

from code_pages import imports, module_of, source_of
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

INSIDE = "dlsys_code."
SEARCH_NEARBY = ("refspecific", "py:module", "py:class")


def look_up_exactly(app: Sphinx, doctree: nodes.document) -> None:
    """Let references to types match nothing but the full name that they stand for."""
    module = module_of(app, app.env.current_document.docname)
    for reference in doctree.findall(pending_xref) if module else ():
        if full_name := meant(app, module, reference["reftarget"]):
            reference["reftarget"] = full_name
            for attribute in SEARCH_NEARBY:
                reference.attributes.pop(attribute, None)


def meant(app: Sphinx, module: str, name: str) -> str | None:
    """Return the full name of a builtin type, or of one that the module can see.

    A class without a signature of its own shows that of its base, whose types are known
    in the base's module: imports are followed, the nearest first.
    """
    if isinstance(getattr(builtins, name, None), type):
        return name
    objects = app.env.autoapi_all_objects
    if name not in last_names(app):
        return None
    places = (f"{place}.{name}" for place in within_sight(module))
    return next((full for full in places if full in objects), None)


@cache
def last_names(app: Sphinx) -> set[str]:
    """Return the names of all things of the package, without what stands before."""
    return {full.rpartition(".")[2] for full in app.env.autoapi_all_objects}


def within_sight(module: str) -> Iterator[str]:
    """Yield a module of the package and those that it imports, through others too."""
    seen = [module]
    for place in seen:
        yield place
        seen += [name for name in imported(place) if name not in seen]


@cache
def imported(module: str) -> list[str]:
    """Return the modules of the package that a module imports."""
    names = set(imports(ast.parse(source_of(module).read_text(encoding="utf-8"))))
    return [n for n in sorted(names) if n.startswith(INSIDE) and source_of(n).is_file()]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", look_up_exactly)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
