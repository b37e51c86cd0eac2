"""Give every picture the text that a screen reader reads aloud.

A figure's own words travel inside it, as the <title> and <desc> of its SVG, so that
they are stored with the notebook's output.  An <img> hides them: copy them to `alt`.
"""

from xml.etree import ElementTree

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

SVG = "{http://www.w3.org/2000/svg}"
logger = logging.getLogger(__name__)


def words_in(svg: str) -> str:
    """Return the title and the description of an SVG, joined; "" without them."""
    root = ElementTree.fromstring(svg)
    parts = (root.findtext(SVG + tag, default="") for tag in ("title", "desc"))
    return "：".join(part.strip() for part in parts if part.strip())


def describe_images(app: Sphinx, doctree: nodes.document) -> None:
    """Fill in the missing `alt` of the images of a page; warn where none is known."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt") and image["uri"].endswith(".svg"):
            image["alt"] = words_in((app.srcdir / image["uri"]).read_text("utf-8"))
        if not image.get("alt"):
            hint = "picture without words: give its SVG a <title>, or the image an alt"
            logger.warning(hint, location=image, type="book", subtype="alt")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", describe_images)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
