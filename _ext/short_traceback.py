"""Show the message of a failed cell, not the frames that led to it.

A notebook stores IPython's whole traceback, which repeats the cell above it and walks
through library files.  The reader of a page needs the last words: error and message.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

HEADER = re.compile(r"^(\w+) +Traceback \(most recent call last\)$", re.MULTILINE)


def last_words(traceback: str) -> str:
    """Return the part of IPython's traceback from the line `ErrorName: message` on."""
    headers = list(HEADER.finditer(traceback))
    if not headers:
        return traceback
    frames = traceback[headers[-1].end() :]
    message = re.search(rf"^([\w.]+\.)?{headers[-1][1]}\b", frames, re.MULTILINE)
    return frames[message.start() :] if message else traceback


def shorten_tracebacks(app: Sphinx, doctree: nodes.document) -> None:
    """Replace every stored traceback of a page by its last words."""
    for block in doctree.findall(nodes.literal_block):
        if "traceback" in block["classes"]:
            text = last_words(block.astext()).rstrip()
            block.rawsource = text  # Sphinx highlights only where both are equal
            block.children = [nodes.Text(text)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", shorten_tracebacks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
