"""How much room a text needs, estimated without fonts, on the safe side."""

import math
import unicodedata
from collections.abc import Iterable

from lxml import etree
from pptx.oxml.ns import qn
from pptx.util import Pt

LINE = 1.46  # Noto Sans CJK's line, the tallest of the fonts in use [em]
LATIN_WIDTH, CODE_WIDTH = 0.56, 0.601  # [em]
BREAK = qn("a:br")


def width_of(text: str) -> float:
    """Return the width of one line [em]."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return wide + LATIN_WIDTH * (len(text) - wide)


def lines_of(text: str, size: float, room: int) -> int:
    """Return how many lines a paragraph takes; size [pt], room: width [EMU]."""
    lines = (width_of(line) * Pt(size) for line in text.split("\n"))
    return sum(max(1, math.ceil(width / room)) for width in lines)


def text_of(element: etree._Element) -> str:
    """Return the letters in a shape, formulas included, a line per break."""
    wanted = (qn("a:t"), qn("m:t"), BREAK)
    return "".join(
        "\n" if node.tag == BREAK else node.text or "" for node in element.iter(*wanted)
    )


def paragraphs_height(
    paragraphs: Iterable[etree._Element], size: float, air: int, room: int
) -> int:
    """Return the height of text [EMU]; air: between paragraphs [pt]."""
    total = 0
    for paragraph in paragraphs:
        style = paragraph.find(qn("a:pPr"))
        level = int(style.get("lvl", 0)) if style is not None else 0
        indent = 285750 * (level + 1)
        lines = lines_of(text_of(paragraph), size, room - indent)
        total += lines * Pt(size) * LINE + Pt(air)
    return int(total)
