"""Turn pandoc's draft into the finished deck, and into the copy that is printed."""

import copy
import datetime
import io
import re

from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.oxml.ns import qn
from pptx.slide import Slide

from slides import formulas, package
from slides.deck import Deck, DeckError
from slides.deck import Slide as Source
from slides.layout import Piece
from slides.measure import text_of
from slides.pieces import take_apart
from slides.place import arrange, move
from slides.vectors import SVG_BLIP, describe_pictures, formula_picture

LONG_AGO = datetime.datetime(*package.LONG_AGO)


def finish(deck: Deck, draft: bytes, figures: dict[str, str]) -> bytes:
    """Return the deck to be given away.  figures: name -> SVG.

    Errors: DeckError where slides came out other than the source says.
    """
    shown = Presentation(io.BytesIO(package.declare_namespaces(draft)))
    for slide in shown.slides:
        formulas.only("Choice", slide.element)
    join_split_slides(shown)
    if len(shown.slides) != len(deck.slides):
        raise DeckError(f"{len(deck.slides)} slides became {len(shown.slides)}")
    pairs = zip(shown.slides, deck.slides, strict=True)
    for number, (slide, source) in enumerate(pairs):
        describe_pictures(slide, figures)
        if number and source.opens:
            open_part(slide, shown.slides[0])
        elif number:
            check_whole(slide, source)
            displayed = [f for f in source.formulas() if f.startswith("$$")]
            pieces = take_apart(slide, displayed)
            arrange(slide, pieces)
            add_footer(slide)
            give_stand_ins(slide, pieces)
        number_shapes(slide)
    name_package(shown, deck)
    return saved(shown)


def join_split_slides(shown: Presentation) -> None:
    """Undo pandoc's habit of giving what follows a table a slide of its own."""
    before = None
    for entry, slide in zip(
        *map(list, (shown.slides._sldIdLst, shown.slides)), strict=True
    ):
        if slide.shapes.title is not None:
            before = slide
            continue
        for shape in list(slide.shapes):
            before.shapes._spTree.append(shape.element)
        if slide.has_notes_slide:
            notes = slide.part.part_related_by(RT.NOTES_SLIDE)
            before.part.relate_to(notes, RT.NOTES_SLIDE)
            for relation in notes.rels.values():
                if relation.reltype == RT.SLIDE:
                    relation._target = before.part
        shown.part.drop_rel(entry.rId)
        shown.slides._sldIdLst.remove(entry)
    shown.part.rename_slide_parts([e.rId for e in shown.slides._sldIdLst])


def open_part(slide: Slide, first: Slide) -> None:
    """Make a slide look like the first of the deck: the beginning of a part."""
    for relation in slide.part.rels.values():
        if relation.reltype == RT.SLIDE_LAYOUT:
            relation._target = first.slide_layout.part
    places = {p.placeholder_format.idx: p for p in first.slide_layout.placeholders}
    for shape in slide.placeholders:
        place = places[shape.placeholder_format.idx]
        shape.element.ph.set("type", place.element.ph.get("type"))
        move(shape.element, (place.left, place.top, place.width, place.height))


def check_whole(slide: Slide, source: Source) -> None:
    """Find every word of the source on its slide.  Errors: DeckError for a lost one."""
    there = squeezed(text_of(slide.element))
    lost = [word for word in source.words() if squeezed(word) not in there]
    if lost:
        raise DeckError(f"slide {source.title!r} lost its words {' '.join(lost)!r}")


def squeezed(text: str) -> str:
    """Return a text without spaces and the marks of emphasis."""
    return re.sub(r"[\s*\\]", "", text)


def saved(shown: Presentation) -> bytes:
    """Return a presentation as bytes without the clock."""
    file = io.BytesIO()
    shown.save(file)
    return package.without_dates(file.getvalue())


def give_stand_ins(slide: Slide, pieces: list[Piece]) -> None:
    """Put what other programs show beside every shape that holds formulas."""
    drawn = {id(piece.shape): piece for piece in pieces if piece.kind == "formula"}
    for shape in list(slide.shapes._spTree):
        piece = drawn.get(id(shape))
        if piece:
            formulas.with_stand_in(shape, formula_picture(slide, piece))
        elif shape.find(f".//{qn('m:oMath')}") is not None:
            formulas.with_stand_in(shape, formulas.as_letters(shape))


def add_footer(slide: Slide) -> None:
    """Copy footer and page number from the layout: pandoc leaves them there."""
    for holder in slide.slide_layout.placeholders:
        if holder.element.ph.get("type") in ("ftr", "sldNum"):
            shape = copy.deepcopy(holder.element)
            del shape.find(qn("p:spPr"))[:]
            slide.shapes._spTree.append(shape)


def number_shapes(slide: Slide) -> None:
    """Give every shape a number of its own, and every text its language."""
    for number, about in enumerate(slide.element.iter(qn("p:cNvPr")), start=1):
        about.set("id", str(number))
    for shape in slide.element.iter(qn("p:sp")):
        shape.attrib.pop("column", None)
    for look_ in slide.element.iter(qn("a:rPr"), qn("a:endParaRPr")):
        look_.set("lang", "zh-CN")


def name_package(shown: Presentation, deck: Deck) -> None:
    """Write title and fingerprint into the deck, and no clock or user name."""
    about = shown.core_properties
    about.title, about.subject = deck.title, deck.subtitle
    about.author = about.last_modified_by = ""
    about.language, about.revision = "zh-CN", 1
    about.created = about.modified = LONG_AGO
    about.keywords = deck.fingerprint()
    relations = shown.part.package._rels
    for key, relation in list(relations.items()):
        if relation.reltype.endswith(("/custom-properties", "/extended-properties")):
            relations.pop(key)


def for_print(finished: bytes) -> bytes:
    """Return a copy for LibreOffice: stand-ins for formulas, vectors for pictures."""
    shown = Presentation(io.BytesIO(finished))
    for slide in shown.slides:
        formulas.only("Fallback", slide.element)
        for vector in slide.element.iter(f"{{{SVG_BLIP}}}svgBlip"):
            blip = next(vector.iterancestors(qn("a:blip")))
            blip.set(qn("r:embed"), vector.get(qn("r:embed")))
    return saved(shown)
