"""Decide where the pieces of a slide stand, before anything is moved.

pandoc knows two boxes a slide and lets text run over the edge or under a picture.
Here a slide is one or two columns of pieces; each is as high as its text needs, and a
picture takes the room that is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree
from pptx.oxml.ns import qn
from pptx.shapes.graphfrm import GraphicFrame
from pptx.slide import Slide
from pptx.util import Inches, Pt

from slides import look, tables
from slides.deck import DeckError
from slides.measure import CODE_WIDTH, paragraphs_height, text_of

SIZES = (24, 22, 20, 18)
AIRS = (16, 8)  # between paragraphs [pt]
SPACE = Pt(14)
CAPTION_HEIGHT = Inches(0.36)
LEAST_PICTURE = Inches(1.7)
LEAST_FORMULA = 0.75  # of its natural width
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
        if not all(
            box[2] >= LEAST_FORMULA * piece.natural
            for pieces, box in self.columns
            for piece in pieces
            if piece.kind == "formula"
        ):
            return [-look.HEIGHT]
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


def choose(slide: Slide, pieces: list[Piece]) -> Layout:
    """Return the layout in which the pieces of a slide can be read best.

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
    return max(fitting, key=Layout.merit)


def _divisions(
    slide: Slide, pieces: list[Piece]
) -> Iterator[list[tuple[list[Piece], look.Box]]]:
    """Yield the ways to divide a slide into columns."""
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
    if kinds.count("picture") == 1 < len(kinds) and "table" not in kinds:
        for share in SHARES:
            if kinds[-1] == "picture":
                yield _columns(pieces[:-1], pieces[-1:], share)
            if kinds[0] == "picture":
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
