"""Pictures on slides: a PNG that every program shows, and the SVG beside it."""

import io
import re
from xml.sax.saxutils import escape

import resvg_py
from alt_text import words_in
from lxml import etree
from pptx.opc.constants import RELATIONSHIP_TYPE as RT
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.slide import Slide

from slides.layout import Piece
from slides.place import move

SVG_BLIP = "http://schemas.microsoft.com/office/drawing/2016/SVG/main"
PATTERN = re.compile(r"<pattern\b.*?</pattern>", re.DOTALL)
PNG_ZOOM = 3  # 1.33 pixels a point, times this: sharp on a 4K screen


def png_of(svg: str) -> bytes:
    """Return the pixels of a vector picture."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=PNG_ZOOM, dpi=96))


def open_hatching(svg: str) -> str:
    """Take the fill from hatching that is made of lines.

    There is nothing to fill, but LibreOffice fills what crossed lines enclose.
    """

    def without_fill(match: re.Match) -> str:
        pattern = match[0]
        has_dots = re.search(r"^C ", pattern, re.MULTILINE)
        return pattern if has_dots else re.sub(r"(?<=\bfill: )#\w+", "none", pattern)

    return PATTERN.sub(without_fill, svg)


def svg_part(slide: Slide, name: str, svg: str) -> str:
    """Store a vector picture in the package; return its relationship to the slide."""
    uri = PackURI(f"/ppt/media/{name}.svg")
    parts = {part.partname: part for part in slide.part.package.iter_parts()}
    part = parts.get(uri)
    if part is None:
        part = Part(
            uri, "image/svg+xml", slide.part.package, open_hatching(svg).encode()
        )
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
        about.set("descr", words_in(figures[name]))
        about.set("name", f"图 {name}")
        about.attrib.pop("title", None)
        attach_svg(
            slide, picture.find(f".//{qn('a:blip')}"), f"figure-{name}", figures[name]
        )


def formula_picture(slide: Slide, piece: Piece) -> etree._Element:
    """Return the picture of a displayed formula, where its shape stands."""
    png = io.BytesIO(png_of(piece.formula))
    _, relation = slide.part.get_or_add_image_part(png)
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
