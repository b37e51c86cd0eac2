"""Join each picture of a lesson with its caption, a plain paragraph right below it."""

import re
from collections.abc import Iterator

from docutils import nodes
from running_text import ancestors
from sphinx.util import logging

LABEL = re.compile(r"(图|习题) ?(\d+(?:\.\d+)+)$")
logger = logging.getLogger(__name__)


def warn(message: str, node: nodes.Node) -> None:
    logger.warning(message, location=node, type="book", subtype="reference")


def label(paragraph: nodes.Element) -> re.Match | None:
    """The **图 4.n** or **习题 5.1.n** that a paragraph begins with."""
    if not isinstance(paragraph, nodes.paragraph):
        return None
    # MyST puts an empty text before the first bold word.
    first = next((child for child in paragraph if child.astext()), None)
    return LABEL.match(first.astext()) if isinstance(first, nodes.strong) else None


def captioned(doctree: nodes.document) -> Iterator[tuple[str, nodes.figure]]:
    """Join each picture with the caption below it; yield number and figure.

    A picture of a cell stays in the cell's output, where its width belongs.
    """
    captions = [
        paragraph
        for paragraph in doctree.findall(nodes.paragraph)
        if (found := label(paragraph)) and found[1] == "图"
    ]
    for block, picture in list(pictures(doctree).items()) if captions else []:
        caption = block.next_node(descend=False, siblings=True)
        if caption not in captions:
            warn("picture without caption: begin the next text with **图 n.m**", block)
            continue
        captions.remove(caption)
        yield label(caption)[2], join(picture, caption)
    for caption in captions:
        warn(f"caption without a picture right above it: {caption.astext()}", caption)


def pictures(doctree: nodes.document) -> dict[nodes.Element, nodes.Element]:
    """Map each cell or paragraph to the last picture that it shows."""
    found = {}
    for image in doctree.findall(nodes.image):
        around = list(ancestors(image))
        bundle = [a for a in around if a.get("nb_element") == "mime_bundle"]
        block = next(
            a for a in around if isinstance(a.parent, nodes.section | nodes.document)
        )
        if len(block) == 1 or not isinstance(block, nodes.paragraph):
            found[block] = bundle[0] if bundle else image
    return found


def join(picture: nodes.Element, caption: nodes.paragraph) -> nodes.figure:
    """Put a figure of picture and caption where the picture stands."""
    figure = nodes.figure()
    alone = picture.parent if isinstance(picture.parent, nodes.paragraph) else picture
    alone.replace_self(figure)
    caption.parent.remove(caption)
    figure += [picture, nodes.caption("", "", *caption.children)]
    figure.source, figure.line = caption.source, caption.line
    return figure
