"""Link the built-in types of annotations to Python's documentation, always.

Sphinx resolves the `bytes` of an annotation to whatever ends in ".bytes", such as an
attribute of some class of ours, before it asks the inventory of Python.
"""

import builtins

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

SEARCH_NEARBY = ("refspecific", "py:module", "py:class")


def look_up_exactly(app: Sphinx, doctree: nodes.document) -> None:
    """Let references to built-in types match nothing but their own name."""
    for reference in doctree.findall(pending_xref):
        if isinstance(getattr(builtins, reference["reftarget"], None), type):
            for attribute in SEARCH_NEARBY:
                reference.attributes.pop(attribute, None)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", look_up_exactly)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
