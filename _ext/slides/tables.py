"""Tables for reading from the back of a room: few lines, one accent, no boxes."""

from lxml import etree
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.shapes.graphfrm import GraphicFrame
from pptx.util import Pt

from slides.look import BLUE, INK, filled, solid_fill
from slides.measure import LINE, lines_of, text_of, width_of

PADDING = Pt(9)  # left and right of the text of a cell
SIZES = (20, 18, 16, 14)
RULE = "C8C8C4"


def column_widths(frame: GraphicFrame, room: int, size: float) -> list[int]:
    """Return widths that share `room` by the longest line of each column [EMU]."""
    rows = frame.element.findall(f".//{qn('a:tr')}")
    cells = [[text_of(cell) for cell in row.iter(qn("a:tc"))] for row in rows]
    wanted = [
        max(width_of(text) for text in column) * Pt(size) * 1.08 + 2 * PADDING
        for column in zip(*cells, strict=True)
    ]
    least = [min(value, room // len(wanted)) for value in wanted]
    spare = room - sum(least)
    beyond = [value - low for value, low in zip(wanted, least, strict=True)]
    over = sum(beyond)
    if over <= spare:
        share = (spare - over) // len(wanted)
        return [int(value + share) for value in wanted]
    return [
        int(low + spare * more / over) for low, more in zip(least, beyond, strict=True)
    ]


def row_heights(frame: GraphicFrame, widths: list[int], size: float) -> list[int]:
    """Return the height of every row when its text wraps at these widths [EMU]."""
    heights = []
    for row in frame.element.iter(qn("a:tr")):
        cells = row.iter(qn("a:tc"))
        lines = [
            lines_of(text_of(cell), size, width - 2 * PADDING)
            for cell, width in zip(cells, widths, strict=True)
        ]
        heights.append(int(max(lines) * Pt(size) * LINE + Pt(10)))
    return heights


def style_table(
    frame: GraphicFrame, widths: list[int], heights: list[int], size: float
) -> None:
    """Give a table its sizes, a head with a strong line and thin lines between rows."""
    table = frame.element.find(f".//{qn('a:tbl')}")
    for name in ("bandRow", "firstCol"):
        table.find(qn("a:tblPr")).attrib.pop(name, None)
    style = table.find(f"{qn('a:tblPr')}/{qn('a:tableStyleId')}")
    if style is not None:
        style.text = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"  # no style, no grid
    for column, width in zip(table.iter(qn("a:gridCol")), widths, strict=True):
        column.set("w", str(width))
    rows = list(table.iter(qn("a:tr")))
    for number, (row, height) in enumerate(zip(rows, heights, strict=True)):
        row.set("h", str(height))
        for cell in row.iter(qn("a:tc")):
            _style_cell(cell, size, number == 0, number == len(rows) - 1)


def _style_cell(cell: etree._Element, size: float, head: bool, last: bool) -> None:
    for letter in cell.iter(qn("m:t")):
        letter.addprevious(
            parse_xml(
                f'<a:rPr {nsdecls("a")}><a:latin typeface="Cambria Math"/></a:rPr>'
            )
        )
    for paragraph in cell.iter(qn("a:p")):
        for look in paragraph.iter(qn("a:rPr"), qn("a:endParaRPr")):
            look.set("sz", str(int(size * 100)))
            for fill in look.findall(qn("a:solidFill")):
                look.remove(fill)
            if head:
                look.set("b", "1")
            look.insert(0, filled(BLUE if head else INK))
    old = cell.find(qn("a:tcPr"))
    if old is not None:
        cell.remove(old)
    colour, width = (BLUE, 19050) if head or last else (RULE, 9525)
    none = "".join(
        f'<a:ln{side} w="0"><a:noFill/></a:ln{side}>'
        for side in ("L", "R", *([] if not head else ["T"]))
    )
    cell.append(
        parse_xml(
            f'<a:tcPr {nsdecls("a")} marL="{PADDING}" marR="{PADDING}" marT="{Pt(4)}" '
            f'marB="{Pt(4)}" anchor="ctr">{none}<a:lnB w="{width}">{solid_fill(colour)}'
            "</a:lnB><a:noFill/></a:tcPr>"
        )
    )
