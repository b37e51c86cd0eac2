"""Link the types of annotations to what they name, always.

Sphinx resolves the `bytes` of an annotation to whatever ends in ".bytes", such as an
attribute of some class of ours, before it asks the inventory of Python; and the
`Layout` of one module to the class of that name in another.
"""

import ast
import builtins
from functools import cache

from code_pages import imports, module_of, source_of
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

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
    """Return the full name of a builtin type, or of what this module or one that it
    imports defines.
    """
    if isinstance(getattr(builtins, name, None), type):
        return name
    places = (f"{place}.{name}" for place in (module, *imported(module)))
    return next((name for name in places if name in app.env.autoapi_all_objects), None)


@cache
def imported(module: str) -> list[str]:
    """Return the names that a module imports."""
    return list(imports(ast.parse(source_of(module).read_text(encoding="utf-8"))))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", look_up_exactly)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
