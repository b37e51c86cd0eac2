"""The look of all slides, as the reference deck from which pandoc takes its layouts.

The colours are those of the book's figures (dlsys_code/book/drawing.py, which needs
matplotlib: they are repeated here and a test compares them).  The fonts are there on
Windows and macOS, and Linux has replacements of the same width.
"""

from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls
from pptx.oxml.xmlchemy import BaseOxmlElement
from pptx.util import Inches, Pt

BLUE, ORANGE, INK, PAPER = "0072B2", "E69F00", "1A1A1A", "FCFCFA"
GREY, WHITE = "6B6B6B", "FFFFFF"
LATIN, CHINESE, CODE, FORMULA = (
    "Arial",
    "Microsoft YaHei",
    "Courier New",
    "Times New Roman",
)
WIDTH, HEIGHT = Inches(13.333), Inches(7.5)
MARGIN = Inches(0.8)
TITLE = (MARGIN, Inches(0.42), WIDTH - 2 * MARGIN, Inches(0.95))
CONTENT = (MARGIN, Inches(1.55), WIDTH - 2 * MARGIN, Inches(5.25))
GAP = Inches(0.45)
HALF = (CONTENT[2] - GAP) // 2
RIGHT = MARGIN + HALF + GAP
FOOTER = (MARGIN, Inches(6.93), Inches(9), Inches(0.32))
NUMBER = (WIDTH - MARGIN - Inches(1), Inches(6.93), Inches(1), Inches(0.32))
TITLE_SIZE = Pt(30)

COLOURS = {
    **{"dk1": INK, "lt1": PAPER, "dk2": INK, "lt2": "F0F0EC", "accent1": BLUE},
    **{"accent2": ORANGE, "accent3": "009E73", "accent4": "D55E00"},
    **{"accent5": "CC79A7", "accent6": "56B4E9", "hlink": BLUE, "folHlink": BLUE},
}

Box = tuple[int, int, int, int]


def solid_fill(colour: str) -> str:
    """Return the fill of a letter, line or shape; the namespace is the shape's."""
    return f'<a:solidFill><a:srgbClr val="{colour}"/></a:solidFill>'


def filled(colour: str) -> BaseOxmlElement:
    """Return the same as an element that can stand by itself."""
    fill = f"<a:fill {nsdecls('a')}>{solid_fill(colour)}</a:fill>"
    return parse_xml(fill)[0]


def level(depth: int, size: float, air: int = 8) -> str:
    """Return the style of one outline level; depth 0 is the title.

    size [pt], air: distance between paragraphs [pt].
    """
    indent = f'marL="{285750 * depth}" indent="-285750"' if depth else 'marL="0"'
    bullet = (
        f'<a:buClr><a:srgbClr val="{ORANGE}"/></a:buClr><a:buFont typeface="Arial"/>'
        '<a:buChar char="•"/>'
        if depth
        else "<a:buNone/>"
    )
    return (
        f'<a:lvl{max(depth, 1)}pPr {indent} algn="l"><a:lnSpc><a:spcPct val="110000"/>'
        f'</a:lnSpc><a:spcBef><a:spcPts val="{air * 100 if depth else 0}"/></a:spcBef>'
        f'{bullet}<a:defRPr sz="{int(size * 100)}" b="{0 if depth else 1}" '
        'lang="zh-CN" kern="1200"><a:solidFill><a:schemeClr val="tx1"/></a:solidFill>'
        '<a:latin typeface="+mn-lt"/><a:ea typeface="+mn-ea"/><a:cs typeface="+mn-cs"/>'
        f"</a:defRPr></a:lvl{max(depth, 1)}pPr>"
    )
