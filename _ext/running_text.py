"""Find the running text of a page, and put links into it.

The lessons hold plain text only, because a role or a directive shows as raw markup in
Jupyter and on GitHub.  Other extensions make links of that text on the site: of what a
reader reads as a sentence, not of code, formulas, headings, outputs, or of links.
"""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.addnodes import pending_xref

CLOSED = (
    nodes.FixedTextElement,  # code blocks, formulas on a line of their own, raw HTML
    nodes.literal,
    nodes.math,
    nodes.reference,
    nodes.title,
    pending_xref,
)
LESSON = re.compile(r"(\d\d(?:\.\d+)?) ")
LESSON_PAGE = re.compile(r"\d\d_\w+/(\d\d)\.\w+(?:/(\d\d)\.\w+)?")


def lesson_of(doctree: nodes.document) -> str | None:
    """The number that a page's title begins with, without zeros in front.

    It is "4" for the chapter 04 集合通信原语 and "5.1" for 05.1 数据并行, a part of it.
    """
    title = next(iter(doctree.findall(nodes.title)), None)
    number = LESSON.match(title.astext()) if title else None
    return plain(number[1]) if number else None


def lesson_at(docname: str) -> str | None:
    """The number of the lesson that a page's place says: 05.system/01.x is "5.1"."""
    place = LESSON_PAGE.fullmatch(docname)
    return plain(".".join(filter(None, place.groups()))) if place else None


def plain(number: str) -> str:
    """Return a number of the book as its figures write it: 5.1 for 05.01."""
    return ".".join(str(int(part)) for part in number.split("."))


def is_appendix(docname: str) -> bool:
    """Tell the pages that speak of the chapters but are none."""
    return docname.startswith("appendix/")


def running_text(doctree: nodes.document) -> Iterator[nodes.Text]:
    """Yield the texts of a page that may be replaced by links, in order."""
    for text in list(doctree.findall(nodes.Text)):
        around = list(ancestors(text))
        if not any(isinstance(a, CLOSED) or is_output(a) for a in around):
            yield text


def ancestors(node: nodes.Node) -> Iterator[nodes.Element]:
    while node.parent is not None:
        node = node.parent
        yield node


def is_output(node: nodes.Element) -> bool:
    return "cell_output" in node.get("classes", [])


def put_links(text: nodes.Text, links: list[tuple[int, int, pending_xref]]) -> None:
    """Replace stretches [start, end) of a text by links that read the same."""
    words, pieces, end = str(text), [], 0
    for start, stop, link in links:
        link += nodes.inline("", words[start:stop])
        pieces += [nodes.Text(words[end:start]), link]
        end = stop
    pieces.append(nodes.Text(words[end:]))
    text.parent.replace(text, [piece for piece in pieces if piece.astext()])
