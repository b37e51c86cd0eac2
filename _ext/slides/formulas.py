"""Formulas: native for PowerPoint, and a stand-in for programs that know none.

LibreOffice drops the formulas of a .pptx.  The format has a place for that case, next
to every shape: an inline formula becomes letters there, a displayed one a picture.
"""

import copy
import io
import re
from collections.abc import Iterator

import matplotlib
from lxml import etree
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from pptx.oxml.ns import _nsmap, qn

from slides.deck import DeckError
from slides.look import FORMULA, INK
from slides.package import URIS

_nsmap.update(URIS)
SIZE = 26  # of a displayed formula [pt]
LOOK = {
    "mathtext.fontset": "custom",
    "mathtext.rm": "STIXGeneral",
    "mathtext.it": "STIXGeneral:italic",
    "mathtext.bf": "Noto Sans CJK SC",  # for Chinese: no formula here is bold
    "mathtext.cal": "STIXGeneral",
    "mathtext.fallback": "stix",
    "svg.fonttype": "path",
    "svg.hashsalt": "slides",
    "text.color": f"#{INK}",
}
BIG = re.compile(r"\\[bB]igg?[lr]?\s*([()\[\]])")  # mathtext knows \left only
CHINESE_TEXT = re.compile(r"\\text\{([\u3000-\u9fff\uff00-\uffef]+)\}")
Runs = Iterator[tuple[str, str, int]]  # text, face ("i" or ""), baseline [%]


def picture(tex: str) -> str:
    """Return a displayed formula as SVG, its letters drawn as outlines.

    Errors: DeckError for what matplotlib's mathtext cannot set.
    """
    text = CHINESE_TEXT.sub(r"\\mathbf{\1}", " ".join(tex.strip("$").split()))
    text = text.replace(r"\frac", r"\dfrac")
    text = BIG.sub(lambda m: rf"\{'left' if m[1] in '([' else 'right'}{m[1]}", text)
    text = f"${text}$"
    font = FontProperties(size=SIZE, math_fontfamily="custom")
    try:
        with matplotlib.rc_context(LOOK):
            width, height, depth, *_ = MathTextParser("path").parse(text, 72, font)
            figure = Figure(figsize=((width + 4) / 72, (height + 4) / 72))
            figure.text(
                2 / (width + 4),
                (depth + 2) / (height + 4),
                text,
                fontproperties=font,
                verticalalignment="baseline",
            )
            file = io.StringIO()
            nothing = {"Date": None, "Creator": None, "Title": text}
            figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    except ValueError as error:
        raise DeckError(f"mathtext cannot set {text}: {error}") from error
    return file.getvalue()


def as_letters(shape: etree._Element) -> etree._Element:
    """Return a copy of a shape in which every formula is italic letters."""
    plain = copy.deepcopy(shape)
    for formula in list(plain.iter(qn("a14:m"))):
        paragraph = formula.getparent()
        for text, face, baseline in _merged(_letters(formula, 0)):
            run = etree.Element(qn("a:r"))
            look = etree.SubElement(run, qn("a:rPr"), lang="zh-CN")
            if (given := formula.find(f".//{qn('a:rPr')}")) is not None:
                look.attrib.update(given.attrib)
                look.extend(copy.deepcopy(given.findall(qn("a:solidFill"))))
            if face:
                look.set("i", "1")
            if baseline:
                look.set("baseline", str(baseline * 1000))
            etree.SubElement(look, qn("a:latin"), typeface=FORMULA)
            etree.SubElement(run, qn("a:t")).text = text
            paragraph.insert(paragraph.index(formula), run)
        paragraph.remove(formula)
    return plain


def _merged(letters: Runs) -> Runs:
    """Join neighbours of the same face; give binary signs some air."""
    last = None
    for text, face, baseline in letters:
        if text in ("+", "−", "=", "≈", "≤", "≥", "<", ">", "×", "·", "→") and (
            not baseline
        ):
            text = f" {text} "
        if last and last[1:] == (face, baseline):
            last = (last[0] + text, face, baseline)
            continue
        if last:
            yield last
        last = (text, face, baseline)
    if last:
        yield last


def _letters(node: etree._Element, level: int) -> Runs:
    """Yield the letters of a formula in reading order."""
    tag = etree.QName(node).localname
    parts = {etree.QName(child).localname: child for child in node}
    if tag == "r":
        style = node.find(f"{qn('m:rPr')}/{qn('m:sty')}")
        upright = style is not None and style.get(qn("m:val")) == "p"
        text = node.findtext(qn("m:t")) or ""
        face = "" if upright or not text.isalpha() else "i"
        yield text, face, level
    elif tag == "f":
        yield from _grouped(parts["num"], level)
        yield "/", "", level
        yield from _grouped(parts["den"], level)
        after = node.getnext()
        if after is not None and "".join(after.itertext())[:1].isalnum():
            yield "·", "", level  # else 1/p n reads as 1/(pn)
    elif tag == "d":
        yield _value(node, "begChr", "("), "", level
        yield from _children(node, level)
        yield _value(node, "endChr", ")"), "", level
    elif tag in ("sSub", "sSup", "sSubSup", "nary", "limLow", "limUpp", "rad"):
        if tag == "nary":
            yield _value(node, "chr", "∫"), "", level
        if tag == "rad":
            yield "√", "", level
        if tag != "nary":
            yield from _letters(parts["e"], level)
        for name, step in (("sub", -25), ("sup", 30), ("lim", -25)):
            if name in parts:
                yield from _letters(parts[name], step)
        if tag == "nary":
            yield from _letters(parts["e"], level)
        elif len("".join(parts["e"].itertext())) > 1:
            yield "\N{NARROW NO-BREAK SPACE}", "", level  # between log and its argument
    else:
        yield from _children(node, level)


def _children(node: etree._Element, level: int) -> Runs:
    for child in node:
        if isinstance(child.tag, str) and not child.tag.endswith("Pr"):
            yield from _letters(child, level)


def _grouped(node: etree._Element, level: int) -> Runs:
    """Yield the letters of a part of a fraction, in brackets where it has several."""
    letters = list(_letters(node, level))
    signs = any(text in "+−-/" for text, *_ in letters)
    yield from [("(", "", level), *letters, (")", "", level)] if signs else letters


def _value(node: etree._Element, name: str, default: str) -> str:
    found = node.find(f"{qn(f'm:{etree.QName(node).localname}Pr')}/{qn(f'm:{name}')}")
    return default if found is None else found.get(qn("m:val"), default)


def with_stand_in(shape: etree._Element, stand_in: etree._Element) -> None:
    """Wrap a shape so that a program without formulas shows the stand-in."""
    wrapper = etree.Element(qn("mc:AlternateContent"), nsmap={"mc": _nsmap["mc"]})
    names = {"a14": _nsmap["a14"]}
    choice = etree.SubElement(wrapper, qn("mc:Choice"), nsmap=names, Requires="a14")
    fallback = etree.SubElement(wrapper, qn("mc:Fallback"))
    shape.getparent().replace(shape, wrapper)
    choice.append(shape)
    fallback.append(stand_in)


def only(kind: str, slide: etree._Element) -> None:
    """Replace every wrapper on a slide by its "Choice" or by its "Fallback"."""
    for wrapper in list(slide.iter(qn("mc:AlternateContent"))):
        parent = wrapper.getparent()
        for shape in wrapper.find(qn(f"mc:{kind}")):
            wrapper.addprevious(shape)
        parent.remove(wrapper)
