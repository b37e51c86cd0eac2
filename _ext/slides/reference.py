"""Write the reference deck, from which pandoc takes the layouts of all slides."""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree
from pptx import Presentation
from pptx.dml.color import RGBColor
from pptx.oxml import parse_xml
from pptx.oxml.ns import nsdecls, qn
from pptx.slide import SlideLayout, SlideMaster
from pptx.util import Inches

from slides.look import (
    BLUE,
    CHINESE,
    COLOURS,
    CONTENT,
    FOOTER,
    GREY,
    HALF,
    HEIGHT,
    LATIN,
    NUMBER,
    ORANGE,
    RIGHT,
    TITLE,
    TITLE_SIZE,
    WHITE,
    WIDTH,
    Box,
    level,
    solid_fill,
)


def write_reference(default: bytes, path: Path, footer: str) -> None:
    """Turn pandoc's own reference deck into this book's.

    default: the bytes of that deck.  footer: what stands below every slide.
    """
    path.write_bytes(default)
    deck = Presentation(str(path))
    deck.slide_width, deck.slide_height = WIDTH, HEIGHT
    master = deck.slide_master
    _colour_theme(master)
    _style_text(master)
    _move(master, {0: TITLE, 1: CONTENT}, footer)
    for layout in deck.slide_layouts:
        _move(layout, dict(_places(layout.name)), footer)
    bar = (Inches(0.5), TITLE[1] + Inches(0.2), Inches(0.07), Inches(0.55))
    _add_rectangle(master, bar, ORANGE)
    _dress_title_slide(deck.slide_layouts[0])
    deck.save(str(path))


def _places(layout: str) -> Iterator[tuple[int, Box]]:
    """Yield placeholder number and place in the layouts that pandoc chooses from."""
    left, top, width, height = CONTENT
    if layout == "Title Slide":
        yield 0, (Inches(1.2), Inches(2.05), Inches(10.9), Inches(1.6))
        yield 1, (Inches(1.2), Inches(4.05), Inches(10.9), Inches(0.9))
        return
    yield 0, TITLE
    if layout == "Title and Content":
        yield 1, CONTENT
    elif layout in ("Two Content", "Content with Caption"):
        swapped = layout == "Content with Caption"  # its text is number 2
        yield (2 if swapped else 1), (left, top, HALF, height)
        yield (1 if swapped else 2), (RIGHT, top, HALF, height)
    elif layout == "Comparison":
        head = Inches(0.6)
        for number, x in ((1, left), (3, RIGHT)):
            yield number, (x, top, HALF, head)
            yield number + 1, (x, top + head, HALF, height - head)


def _move(page: SlideMaster | SlideLayout, places: dict[int, Box], footer: str) -> None:
    """Put the placeholders of a master or layout in place; drop the date."""
    for shape in list(page.placeholders):
        kind = shape.element.ph.get("type")
        if kind == "dt":
            shape.element.getparent().remove(shape.element)
            continue
        box = {"ftr": FOOTER, "sldNum": NUMBER}.get(kind)
        box = box or places.get(shape.placeholder_format.idx)
        if box:
            shape.left, shape.top, shape.width, shape.height = box
        if box and kind not in ("ftr", "sldNum") and page.name != "Title Slide":
            del shape.element.txBody.find(qn("a:lstStyle"))[:]
            body = shape.element.txBody.find(qn("a:bodyPr"))
            del body[:]
            for side in ("lIns", "rIns", "tIns", "bIns"):
                body.set(side, "0")
            body.set("anchor", "ctr" if box == TITLE else "t")
        if kind == "ftr":
            shape.text_frame.text = footer


def _colour_theme(master: SlideMaster) -> None:
    """Replace colours and fonts of the theme, which every layout inherits."""
    part = master.part.part_related_by(
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships/theme"
    )
    theme = etree.fromstring(part.blob)
    scheme = theme.find(f".//{qn('a:clrScheme')}")
    for name, colour in COLOURS.items():
        element = scheme.find(qn(f"a:{name}"))
        del element[:]
        etree.SubElement(element, qn("a:srgbClr"), val=colour)
    for fonts in theme.iter(qn("a:majorFont"), qn("a:minorFont")):
        del fonts[:]
        for kind, face in (("latin", LATIN), ("ea", CHINESE), ("cs", LATIN)):
            etree.SubElement(fonts, qn(f"a:{kind}"), typeface=face)
    part._blob = etree.tostring(theme, xml_declaration=True, encoding="UTF-8")


def _style_text(master: SlideMaster) -> None:
    """Set sizes, bullets and distances once, on the master."""
    styles = master.element.find(qn("p:txStyles"))
    new = parse_xml(
        f"<p:txStyles {nsdecls('p', 'a')}><p:titleStyle>{level(0, TITLE_SIZE.pt)}"
        f"</p:titleStyle><p:bodyStyle>"
        + "".join(level(depth, size) for depth, size in ((1, 24), (2, 20), (3, 20)))
        + "</p:bodyStyle></p:txStyles>"
    )
    for name in ("p:titleStyle", "p:bodyStyle"):
        styles.replace(styles.find(qn(name)), new.find(qn(name)))
    for shape in master.placeholders:
        body = shape.element.txBody.find(qn("a:bodyPr"))
        del body[:]
        sides = dict.fromkeys(("lIns", "rIns", "tIns", "bIns"), "0")
        kind = shape.element.ph.get("type")
        anchor = "t" if kind == "body" else "ctr"
        for name, value in {**sides, "anchor": anchor, "wrap": "square"}.items():
            body.set(name, value)
        if kind in ("ftr", "sldNum"):
            _footer_text(shape.element.txBody, "l" if kind == "ftr" else "r")


def _footer_text(body: etree._Element, align: str) -> None:
    style = body.find(qn("a:lstStyle"))
    del style[:]
    style.append(
        parse_xml(
            f'<a:lvl1pPr {nsdecls("a")} algn="{align}"><a:defRPr sz="1200">'
            f"{solid_fill(GREY)}</a:defRPr></a:lvl1pPr>"
        )
    )


def _add_rectangle(page: SlideMaster | SlideLayout, box: Box, colour: str) -> None:
    """Draw a filled rectangle behind everything on a master or layout."""
    number = 100 + len(page.shapes)
    left, top, width, height = (int(value) for value in box)
    tree = page.shapes._spTree
    tree.insert(
        2,
        parse_xml(
            f'<p:sp {nsdecls("p", "a")}><p:nvSpPr><p:cNvPr id="{number}" name="Accent '
            f'{number}"/><p:cNvSpPr/><p:nvPr userDrawn="1"/></p:nvSpPr><p:spPr><a:xfrm>'
            f'<a:off x="{left}" y="{top}"/><a:ext cx="{width}" cy="{height}"/></a:xfrm>'
            f'<a:prstGeom prst="rect"><a:avLst/></a:prstGeom>{solid_fill(colour)}'
            "<a:ln><a:noFill/></a:ln></p:spPr></p:sp>"
        ),
    )


def _dress_title_slide(layout: SlideLayout) -> None:
    """Give the title slide its own ground, without footer."""
    layout.element.set("showMasterSp", "0")
    fill = layout.background.fill
    fill.solid()
    fill.fore_color.rgb = RGBColor.from_string(BLUE)
    line = (Inches(1.2), Inches(3.83), Inches(1.5), Inches(0.07))
    _add_rectangle(layout, line, ORANGE)
    for shape in list(layout.placeholders):
        number = shape.placeholder_format.idx
        if number > 1:
            shape.element.getparent().remove(shape.element)
            continue
        size, bold, anchor = ((5400, 1, "b"), (2400, 0, "t"))[number]
        body = shape.element.txBody
        body.find(qn("a:bodyPr")).set("anchor", anchor)
        style = body.find(qn("a:lstStyle"))
        del style[:]
        style.append(
            parse_xml(
                f'<a:lvl1pPr {nsdecls("a")} marL="0" indent="0" algn="l"><a:buNone/>'
                f'<a:defRPr sz="{size}" b="{bold}">{solid_fill(WHITE)}</a:defRPr>'
                "</a:lvl1pPr>"
            )
        )
