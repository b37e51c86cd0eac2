"""A paragraph that is nothing but a link to a bilibili video becomes a player.

It stays a plain link in Jupyter, on GitHub, in print and without JavaScript.  On the
site _static/video_on_click.js loads the player once the reader clicks, not before:
until then no page asks anything of another host.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

VIDEO = re.compile(r"https://www\.bilibili\.com/video/BV\w+")


def mark_videos(app: Sphinx, doctree: nodes.document) -> None:
    """Put the class `video` on every paragraph of a section that only links to one."""
    for paragraph in doctree.findall(nodes.paragraph):
        match paragraph.children, paragraph.parent:
            case [nodes.reference() as link], nodes.section():
                if VIDEO.match(link.get("refuri", "")):
                    paragraph["classes"].append("video")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", mark_videos)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
