"""Turn pandoc's draft into the finished deck, and into the copy that is printed."""

import copy
import datetime
import io
from xml.sax.saxutils import escape

import resvg_py
from lxml import etree
from pptx import Presentation
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.slide import Slide

from slides import formulas, package
from slides.deck import Deck, DeckError, words_of
from slides.pieces import Piece, take_apart
from slides.place import arrange, move

SVG_BLIP = "http://schemas.microsoft.com/office/drawing/2016/SVG/main"
LONG_AGO = datetime.datetime(*package.LONG_AGO)
PNG_ZOOM = 3


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
        if number:
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


def saved(shown: Presentation) -> bytes:
    """Return a presentation as bytes without the clock."""
    file = io.BytesIO()
    shown.save(file)
    return package.without_dates(file.getvalue())


def svg_part(slide: Slide, name: str, svg: str) -> str:
    """Store a vector picture in the package; return its relationship to the slide."""
    uri = PackURI(f"/ppt/media/{name}.svg")
    parts = {part.partname: part for part in slide.part.package.iter_parts()}
    part = parts.get(uri)
    if part is None:
        part = Part(uri, "image/svg+xml", slide.part.package, svg.encode())
    return slide.part.relate_to(part, RT.IMAGE)


def attach_svg(slide: Slide, blip: etree._Element, name: str, svg: str) -> None:
    """Let programs that can draw vectors take the SVG instead of the PNG."""
    relation = svg_part(slide, name, svg)
    blip.append(
        parse_xml(
            f"<a:extLst {nsdecls('a', 'r')}><a:ext "
            f'uri="{{96DAC541-7B7A-43D3-8B79-37D633B846F1}}"><asvg:svgBlip '
            f'xmlns:asvg="{SVG_BLIP}" r:embed="{relation}"/></a:ext></a:extLst>'
        )
    )


def describe_pictures(slide: Slide, figures: dict[str, str]) -> None:
    """Give the figures of a slide their words and their vectors."""
    for picture in slide.element.iter(qn("p:pic")):
        about = picture.find(f"{qn('p:nvPicPr')}/{qn('p:cNvPr')}")
        name = about.get("descr").rpartition("/")[2].removesuffix(".png")
        about.set("descr", words_of(figures[name]))
        about.set("name", f"图 {name}")
        about.attrib.pop("title", None)
        attach_svg(
            slide, picture.find(f".//{qn('a:blip')}"), f"figure-{name}", figures[name]
        )


def give_stand_ins(slide: Slide, pieces: list[Piece]) -> None:
    """Put what other programs show beside every shape that holds formulas."""
    drawn = {id(piece.shape): piece for piece in pieces if piece.kind == "formula"}
    for shape in list(slide.shapes._spTree):
        piece = drawn.get(id(shape))
        if piece:
            formulas.with_stand_in(shape, formula_picture(slide, piece))
        elif shape.find(f".//{qn('m:oMath')}") is not None:
            formulas.with_stand_in(shape, formulas.as_letters(shape))


def formula_picture(slide: Slide, piece: Piece) -> etree._Element:
    """Return the picture of a displayed formula, where its shape stands."""
    png = resvg_py.svg_to_bytes(svg_string=piece.formula, zoom=PNG_ZOOM, dpi=96)
    _, relation = slide.part.get_or_add_image_part(io.BytesIO(bytes(png)))
    words = escape("".join(piece.shape.itertext()).strip(), {'"': "&quot;"})
    picture = parse_xml(
        f'<p:pic {nsdecls("p", "a", "r")}><p:nvPicPr><p:cNvPr id="1" name="公式" '
        f'descr="{words}"/><p:cNvPicPr/><p:nvPr/></p:nvPicPr><p:blipFill>'
        f'<a:blip r:embed="{relation}"/><a:stretch><a:fillRect/></a:stretch>'
        '</p:blipFill><p:spPr><a:prstGeom prst="rect"><a:avLst/></a:prstGeom></p:spPr>'
        "</p:pic>"
    )
    offset, extent = piece.shape.find(f".//{qn('a:xfrm')}")
    box = [*map(int, offset.values()), *map(int, extent.values())]
    move(picture, tuple(box))
    number = sum(
        "formula" in str(part.partname) for part in slide.part.package.iter_parts()
    )
    attach_svg(
        slide,
        picture.find(f".//{qn('a:blip')}"),
        f"formula-{number + 1}",
        piece.formula,
    )
    return picture


def add_footer(slide: Slide) -> None:
    """Copy footer and page number from the layout: pandoc leaves them there."""
    for holder in slide.slide_layout.placeholders:
        if holder.element.ph.get("type") in ("ftr", "sldNum"):
            shape = copy.deepcopy(holder.element)
            properties = shape.find(qn("p:spPr"))
            for child in list(properties):
                properties.remove(child)
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
