"""Move and style the shapes of a slide as its layout says."""

import copy

from lxml import etree
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.slide import Slide
from pptx.util import Inches, Pt

from slides import formulas, look, tables
from slides.layout import CAPTION_HEIGHT, SPACE, Layout, Piece, choose, code_size
from slides.measure import text_of

CAPTION = Pt(14)


def arrange(slide: Slide, pieces: list[Piece]) -> None:
    """Put the pieces of a slide where they can be read best.

    Errors: DeckError for a slide with more on it than can be read.
    """
    layout = choose(slide, pieces)
    for (column, box), spare in zip(layout.columns, layout.spare(), strict=True):
        _fill(column, box, layout, spare)


def _fill(pieces: list[Piece], box: look.Box, layout: Layout, spare: int) -> None:
    """Stack the pieces of a column from its top."""
    left, top, width, _ = box
    space = SPACE
    if not any(piece.kind == "picture" for piece in pieces):
        space += min(spare // (len(pieces) + 1), SPACE)
    for piece in pieces:
        height = piece.height(layout.size, layout.air, width)
        if piece.kind == "picture":
            height += spare
        _put(piece, (left, top, width, height), layout)
        top += height + space


def _put(piece: Piece, box: look.Box, layout: Layout) -> None:
    left, top, width, height = box
    if piece.kind == "text":
        move(piece.shape, box)
        set_text_size(piece.shape, layout.size, layout.air)
    elif piece.kind == "code":
        move(piece.shape, box)
        style_code(piece.shape, width)
    elif piece.kind == "formula":
        drawn = min(piece.natural, width)
        set_text_size(piece.shape, int(formulas.SIZE * drawn / piece.natural), 0)
        move(piece.shape, (left + (width - drawn) // 2, top, drawn, height))
    elif piece.kind == "table":
        put_table(piece, box, layout.size)
    else:
        caption = CAPTION_HEIGHT if piece.caption is not None else 0
        drawn = int(min(width, (height - caption) * piece.ratio))
        tall = int(drawn / piece.ratio)
        above = (height - caption - tall) // 3
        move(piece.shape, (left + (width - drawn) // 2, top + above, drawn, tall))
        put_caption(piece, (left, top + above + tall, width, CAPTION_HEIGHT))


def put_table(piece: Piece, box: look.Box, size: float) -> None:
    """Place and style a table with its caption below."""
    left, top, width, _ = box
    letters = piece.table_size(size)
    widths = tables.column_widths(piece.frame, width, letters)
    heights = tables.row_heights(piece.frame, widths, letters)
    tables.style_table(piece.frame, widths, heights, letters)
    move(piece.shape, (left, top, sum(widths), sum(heights)))
    put_caption(piece, (left, top + sum(heights), width, CAPTION_HEIGHT))


def put_caption(piece: Piece, box: look.Box) -> None:
    """Place the caption of a picture or table, small and grey."""
    if piece.caption is None:
        return
    move(piece.caption, box)
    body = piece.caption.find(qn("p:txBody"))
    body.find(qn("a:bodyPr")).set("anchor", "ctr")
    for run in body.iter(qn("a:rPr")):
        run.set("sz", str(int(CAPTION / Pt(1) * 100)))
        run.insert(0, look.filled(look.GREY))


def move(shape: etree._Element, box: look.Box) -> None:
    """Give a shape its place and size [EMU], whatever kind it is."""
    place = shape.find(qn("p:xfrm"))
    if place is None:
        properties = shape.find(qn("p:spPr"))
        place = properties.find(qn("a:xfrm"))
        if place is None:
            place = etree.Element(qn("a:xfrm"))
            properties.insert(0, place)
    del place[:]
    left, top, width, height = (str(int(value)) for value in box)
    etree.SubElement(place, qn("a:off"), x=left, y=top)
    etree.SubElement(place, qn("a:ext"), cx=width, cy=height)


def set_text_size(shape: etree._Element, size: float, air: int) -> None:
    """Style a text, placeholder or not, so that both look the same."""
    style = shape.find(f"{qn('p:txBody')}/{qn('a:lstStyle')}")
    del style[:]
    levels = "".join(
        look.level(depth, value, air)
        for depth, value in enumerate((size, size - 2, size - 2), start=1)
    )
    for level in parse_xml(f"<a:lstStyle {nsdecls('a')}>{levels}</a:lstStyle>"):
        style.append(level)


def style_code(shape: etree._Element, width: int) -> None:
    """Give a listing its ground and a size at which no line wraps."""
    size = code_size(text_of(shape).split("\n"), width)
    body = shape.find(f"{qn('p:txBody')}/{qn('a:bodyPr')}")
    inset = str(int(Inches(0.18)))
    for side in ("lIns", "rIns"):
        body.set(side, inset)
    body.set("anchor", "ctr")
    properties = shape.find(qn("p:spPr"))
    ground = f'<a:solidFill {nsdecls("a")}><a:schemeClr val="bg2"/></a:solidFill>'
    properties.append(parse_xml(ground))
    for paragraph in shape.iter(qn("a:p")):
        style = paragraph.find(qn("a:pPr"))
        style.set("marL", "0")
        style.set("indent", "0")
    for run in shape.iter(qn("a:rPr")):
        run.set("sz", str(int(size * 100)))


def text_box(shape: etree._Element, paragraphs: list[etree._Element]) -> etree._Element:
    """Return a copy of a text shape, outside the layout, with these paragraphs."""
    box = copy.deepcopy(shape)
    body = box.find(qn("p:txBody"))
    for paragraph in body.findall(qn("a:p")):
        body.remove(paragraph)
    body.extend(paragraphs)
    free(box)
    return box


def free(shape: etree._Element) -> None:
    """Take a text out of its placeholder, which belongs to one shape only."""
    properties = shape.find(qn("p:nvSpPr"))
    holder = properties.find(f"{qn('p:nvPr')}/{qn('p:ph')}")
    if holder is not None:
        shape.set("column", holder.get("idx", "1"))
        holder.getparent().remove(holder)
    properties.find(qn("p:cNvSpPr")).set("txBox", "1")
    body = shape.find(f"{qn('p:txBody')}/{qn('a:bodyPr')}")
    for side in ("lIns", "rIns", "tIns", "bIns"):
        body.set(side, "0")
    body.set("wrap", "square")
    if shape.find(f"{qn('p:spPr')}/{qn('a:prstGeom')}") is None:
        geometry = f'<a:prstGeom {nsdecls("a")} prst="rect"><a:avLst/></a:prstGeom>'
        shape.find(qn("p:spPr")).append(parse_xml(geometry))
