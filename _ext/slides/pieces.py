"""Take apart what pandoc put on a slide: text, code, formulas, pictures, tables."""

from collections.abc import Iterator
from itertools import groupby

from lxml import etree
from pptx.oxml.ns import qn
from pptx.slide import Slide
from pptx.util import Pt

from slides import formulas, look
from slides.deck import MARK, DeckError
from slides.layout import Piece
from slides.measure import text_of
from slides.place import free, text_box

SVG_SIZE = ("width", "height")


def take_apart(slide: Slide, displayed: list[str]) -> list[Piece]:
    """Return the pieces of a slide below its title.

    displayed: the TeX of its displayed formulas, in order.
    """
    pieces: list[Piece] = []
    tex = iter(displayed)
    for shape in list(slide.shapes):
        element = shape.element
        kind = etree.QName(element).localname
        if element is slide.shapes.title.element:
            continue
        if kind == "pic":
            ratio = shape.width / shape.height
            pieces.append(Piece("picture", element, ratio=ratio, natural=shape.width))
        elif kind == "graphicFrame":
            holder = element.ph
            if holder is not None:
                holder.getparent().remove(holder)
            pieces.append(Piece("table", element, frame=shape))
        elif shape.name.startswith("TextBox"):
            free(element)
            pieces[-1].caption = element
        else:
            pieces.extend(_split(element, tex))
    return pieces


def _split(shape: etree._Element, tex: Iterator[str]) -> Iterator[Piece]:
    """Yield the pieces of a text: a listing or a formula stands by itself."""
    groups = [
        (kind, list(group))
        for kind, group in groupby(shape.iter(qn("a:p")), key=_kind)
        if kind != "empty"
    ]
    if [kind for kind, _ in groups] == ["text"]:
        yield Piece("text", shape)
        return
    for kind, paragraphs in groups:
        for part in [paragraphs] if kind != "formula" else [[p] for p in paragraphs]:
            box = text_box(shape, part)
            shape.addprevious(box)
            yield _formula(box, next(tex)) if kind == "formula" else Piece(kind, box)
    shape.getparent().remove(shape)


def _kind(paragraph: etree._Element) -> str:
    """Return what a paragraph is: text, code, formula or empty."""
    if paragraph.find(f".//{qn('m:oMathPara')}") is not None:
        return "formula"
    runs = paragraph.findall(qn("a:r"))
    inline = paragraph.find(f".//{qn('a14:m')}")
    if inline is None and text_of(paragraph) in ("", MARK):
        return "empty"
    faces = [run.find(f"{qn('a:rPr')}/{qn('a:latin')}") for run in runs]
    all_code = all(
        face is not None and face.get("typeface") == look.CODE for face in faces
    )
    style = paragraph.find(qn("a:pPr"))
    unlisted = style is not None and style.find(qn("a:buNone")) is not None
    return "code" if runs and all_code and unlisted else "text"


def _formula(box: etree._Element, tex: str) -> Piece:
    """Return a displayed formula with the size of its picture."""
    svg = formulas.picture(tex)
    root = etree.fromstring(svg.encode())
    width, height = (float(root.get(name).removesuffix("pt")) for name in SVG_SIZE)
    body = box.find(qn("p:txBody"))
    body.find(qn("a:bodyPr")).set("wrap", "none")
    if "\\begin" in tex:
        raise DeckError(f"one line per displayed formula: {tex}")
    return Piece(
        "formula",
        box,
        ratio=width / height,
        natural=int(Pt(1) * width),
        formula=svg,
    )
