"""Put what pandoc made on a slide where it can be read, and refuse what does not fit.

pandoc knows two boxes a slide and lets text run over the edge or under a picture.
Here a slide is one or two columns of pieces; each is as high as its text needs, and a
picture takes the room that is left.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from lxml import etree
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.shapes.graphfrm import GraphicFrame
from pptx.slide import Slide
from pptx.util import Inches, Pt

from slides import look, tables
from slides.deck import DeckError
from slides.measure import CODE_WIDTH, paragraphs_height, text_of

SIZES = (24, 22, 20, 18)
AIRS = (16, 8)  # between paragraphs [pt]
SPACE = Pt(14)
CAPTION = Pt(14)
CAPTION_HEIGHT = Inches(0.36)
LEAST_PICTURE = Inches(1.7)
SHARES = (0.58, 0.5, 0.42, 0.36)  # of the text beside a picture


@dataclass
class Piece:
    """A piece of a column.  kind: text, code, formula, picture or table.

    ratio: width over height of a picture or formula; natural: their width [EMU].
    """

    kind: str
    shape: etree._Element
    caption: etree._Element | None = None
    ratio: float = 1.0
    natural: int = 0
    formula: str = ""
    frame: GraphicFrame | None = None
    sizes: list[float] = field(default_factory=list)

    def height(self, size: float, air: int, room: int) -> int:
        """Return the least height of the piece at this text size [EMU]."""
        if self.kind == "text":
            return paragraphs_height(self.shape.iter(qn("a:p")), size, air, room)
        if self.kind == "code":
            lines = text_of(self.shape).split("\n")
            return int(len(lines) * Pt(code_size(lines, room)) * 1.25 + Inches(0.3))
        if self.kind == "formula":
            return int(min(self.natural, room) / self.ratio)
        if self.kind == "table":
            widths = tables.column_widths(self.frame, room, self.table_size(size))
            rows = tables.row_heights(self.frame, widths, self.table_size(size))
            return sum(rows) + (CAPTION_HEIGHT if self.caption is not None else 0)
        return LEAST_PICTURE

    def table_size(self, size: float) -> float:
        """Return the text size of a table beside text of this size [pt]."""
        return tables.SIZES[SIZES.index(size)]


def code_size(lines: list[str], room: int) -> float:
    """Return the largest size, 18 pt at most, at which no line of code wraps."""
    longest = max(sum(2 if ord(c) > 0x2E80 else 1 for c in line) for line in lines)
    fits = (room - Inches(0.4)) / (CODE_WIDTH * max(1, longest)) / Pt(1)
    return min(18, int(fits * 2) / 2)


@dataclass(frozen=True)
class Layout:
    """Columns of pieces with their boxes, all at one text size."""

    columns: list[tuple[list[Piece], look.Box]]
    size: float
    air: int

    def spare(self) -> list[int]:
        """Return what height is left over in every column; negative: too full."""
        return [
            box[3]
            - sum(piece.height(self.size, self.air, box[2]) for piece in pieces)
            - SPACE * (len(pieces) - 1)
            for pieces, box in self.columns
        ]

    def merit(self) -> float:
        """Return how well it can be read: area of the pictures times text size."""
        area = 1.0
        for (pieces, box), spare in zip(self.columns, self.spare(), strict=True):
            for piece in pieces:
                if piece.kind == "picture":
                    height = LEAST_PICTURE + spare - CAPTION_HEIGHT
                    area = min(height, box[2] / piece.ratio) ** 2 * piece.ratio
        return area * self.size * (1 + self.air / 100)


def arrange(slide: Slide, pieces: list[Piece]) -> None:
    """Choose a layout for the pieces of a slide and put them there.

    Errors: DeckError for a slide with more on it than can be read.
    """
    candidates = [
        Layout(columns, size, air)
        for columns in _divisions(slide, pieces)
        for size in SIZES
        for air in AIRS
    ]
    fitting = [layout for layout in candidates if min(layout.spare()) >= 0]
    if not fitting:
        title = slide.shapes.title.text
        over = -max(min(layout.spare()) for layout in candidates) / Inches(1)
        raise DeckError(f"slide {title!r}: {over:.1f} inches more than fits on it")
    best = max(fitting, key=Layout.merit)
    for (column, box), spare in zip(best.columns, best.spare(), strict=True):
        _fill(column, box, best, spare)


def _divisions(
    slide: Slide, pieces: list[Piece]
) -> Iterator[list[tuple[list[Piece], look.Box]]]:
    """Yield the ways to divide a slide into columns."""
    left, top, width, height = look.CONTENT
    if slide.slide_layout.name in ("Two Content", "Comparison"):
        middle = look.WIDTH // 2
        sides = [[], []]
        for piece in pieces:
            sides[piece_left(slide, piece) > middle].append(piece)
        pictures = [any(p.kind == "picture" for p in side) for side in sides]
        shares = SHARES if pictures == [False, True] else (0.5,)
        for share in shares:
            yield _columns(sides[0], sides[1], share)
        return
    yield [(pieces, look.CONTENT)]
    kinds = [piece.kind for piece in pieces]
    for share in SHARES:
        if kinds == ["text", "picture"]:
            yield _columns(pieces[:1], pieces[1:], share)
        if kinds == ["picture", "text"]:
            yield _columns(pieces[:1], pieces[1:], 1 - share)


def _columns(
    one: list[Piece], two: list[Piece], share: float
) -> list[tuple[list[Piece], look.Box]]:
    left, top, width, height = look.CONTENT
    first = int((width - look.GAP) * share)
    second = left + first + look.GAP
    rest = width - look.GAP - first
    return [(one, (left, top, first, height)), (two, (second, top, rest, height))]


def piece_left(slide: Slide, piece: Piece) -> int:
    """Return the left edge that pandoc, or the layout, gave to a piece."""
    offset = piece.shape.find(f".//{qn('a:off')}")
    if offset is not None:
        return int(offset.get("x"))
    number = piece.shape.get("column") or piece.shape.ph.get("idx")
    places = {p.placeholder_format.idx: p.left for p in slide.slide_layout.placeholders}
    return places[int(number)]


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
        run.insert(
            0,
            parse_xml(
                f'<a:solidFill {nsdecls("a")}><a:srgbClr val="{look.GREY}"/>'
                "</a:solidFill>"
            ),
        )


def move(shape: etree._Element, box: look.Box) -> None:
    """Give a shape its place and size [EMU], whatever kind it is."""
    place = shape.find(qn("p:xfrm"))
    if place is None:
        properties = shape.find(qn("p:spPr"))
        place = properties.find(qn("a:xfrm"))
        if place is None:
            place = etree.Element(qn("a:xfrm"))
            properties.insert(0, place)
    for child in list(place):
        place.remove(child)
    left, top, width, height = (str(int(value)) for value in box)
    etree.SubElement(place, qn("a:off"), x=left, y=top)
    etree.SubElement(place, qn("a:ext"), cx=width, cy=height)


def set_text_size(shape: etree._Element, size: float, air: int) -> None:
    """Style a text, placeholder or not, so that both look the same."""
    style = shape.find(f"{qn('p:txBody')}/{qn('a:lstStyle')}")
    for child in list(style):
        style.remove(child)
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
    for tag in ("a:prstGeom", "a:noFill", "a:solidFill"):
        for child in properties.findall(qn(tag)):
            properties.remove(child)
    geometry = f'<a:prstGeom {nsdecls("a")} prst="rect"><a:avLst/></a:prstGeom>'
    ground = f'<a:solidFill {nsdecls("a")}><a:schemeClr val="bg2"/></a:solidFill>'
    properties.extend([parse_xml(geometry), parse_xml(ground)])
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
