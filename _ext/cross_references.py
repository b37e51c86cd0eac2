"""Make links of plain text: 图 4.3, 式 4.2, 习题 4.5, 第 3 节, 第 03 章.

A paragraph that begins with **图 4.n** is the caption of the picture right above it; a
formula has its number from \\tag{4.n}; a paragraph that begins with **习题 4.n** is
that exercise.  Numbers count from 1 without a gap; a reference to nothing is a warning.
"""

import re
from collections.abc import Iterator

from captions import captioned, label, warn
from docutils import nodes
from running_text import (
    CHAPTER_PAGE,
    chapter_of,
    is_appendix,
    put_links,
    running_text,
)
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

KINDS = {"图": "figure", "式": "equation", "习题": "exercise"}
TAG = re.compile(r"\\tag\{(\d+\.\d+)\}")
SECTION = re.compile(r"(\d+) ")
AND = " ?[、和到至] ?"
NUMBERED = rf"(?P<kind>图|式|习题) ?(?P<chapter>\d+)\.\d+(?:{AND}(?P=chapter)\.\d+)*"
SECTIONS = rf"(?:第 (?P<of>\d+) 章)?第 \d+(?:{AND}\d+)* 节"
CHAPTERS = rf"第 \d+(?:{AND}\d+)* 章"
REFERENCE = re.compile(f"{NUMBERED}|{SECTIONS}|{CHAPTERS}")


def link_page(app: Sphinx, doctree: nodes.document) -> None:
    """Name the targets of a lesson page, and link its references.

    The appendix is linked too: as chapter 0, which has no sections of its own.
    """
    chapter = chapter_of(doctree) or 0
    if not chapter and not is_appendix(app.env.current_document.docname):
        return
    for text in running_text(doctree):
        if not (isinstance(text.parent, nodes.strong) and label(text.parent.parent)):
            links = [link for m in REFERENCE.finditer(text) for link in of(m, chapter)]
            links = [link for link in links if leads_somewhere(app.env, link[2])]
            if links:
                put_links(text, links)
    if chapter:
        name_targets(app.env, doctree, chapter)


# ------------------------------------------------------------ references


def of(match: re.Match, chapter: int) -> Iterator[tuple[int, int, pending_xref]]:
    """Yield start, end and link for each number that a match names.

    One number is linked with the words around it, of several each by itself.
    """
    whole = match.group()
    leading = (
        whole.find("章第") + 1
    )  # the chapter of 第 03 章第 2 节 is no second number
    numbers = list(re.finditer(r"\d+(?:\.\d+)?", whole[leading:]))
    for i, number in enumerate(numbers):
        start, end = (leading + place for place in number.span())
        if len(numbers) == 1:
            start, end = 0, len(whole)
        elif i == 0 and match["kind"]:
            start = 0
        target = target_of(match, number.group(), chapter)
        yield match.start() + start, match.start() + end, target


def target_of(match: re.Match, number: str, chapter: int) -> pending_xref:
    if match["kind"]:
        name = f"{KINDS[match['kind']]}-{number.replace('.', '-')}"
    elif match.group().endswith("节"):
        name = f"section-{int(match['of'] or chapter)}-{number}"
    else:
        name = f"chapter-{int(number)}"
    return pending_xref(
        "",
        refdomain="std",
        reftype="ref",
        reftarget=name,
        refexplicit=True,
        refwarn=True,
    )


def leads_somewhere(env: BuildEnvironment, link: pending_xref) -> bool:
    """Tell a link to a chapter that is not written yet, and fill in the page's name."""
    kind, _, number = link["reftarget"].partition("-")
    link["refdoc"] = env.current_document.docname
    chapter = int(number.partition("-")[0])
    return kind not in ("chapter", "section") or chapter in chapters(env)


def chapters(env: BuildEnvironment) -> set[int]:
    pages = map(CHAPTER_PAGE.fullmatch, env.found_docs)
    return {int(page[1]) for page in pages if page}


# ------------------------------------------------------------ targets


def name_targets(env: BuildEnvironment, doctree: nodes.document, chapter: int) -> None:
    """Give figures, formulas, exercises and sections their ids, and check the count."""
    figures = list(captioned(doctree))
    formulas = [
        (found[1], block)
        for block in doctree.findall(nodes.math_block)
        if (found := TAG.search(block.astext()))
    ]
    exercises = [
        (found[2], paragraph)
        for paragraph in doctree.findall(nodes.paragraph)
        if (found := label(paragraph)) and found[1] == "习题"
    ]
    found_of_kind = zip(KINDS.items(), (figures, formulas, exercises), strict=True)
    for (word, kind), found in found_of_kind:
        for n, (number, node) in enumerate(found, 1):
            if number != f"{chapter}.{n}":
                warn(f"{word} {number} should be {word} {chapter}.{n}", node)
            name(env, f"{kind}-{number.replace('.', '-')}", node)
    name_sections(env, doctree, chapter)


def name_sections(env: BuildEnvironment, doctree: nodes.document, chapter: int) -> None:
    """The page is its chapter; a heading "3 …" is the third section."""
    for section in doctree.findall(nodes.section):
        if section.parent is doctree:
            name(env, f"chapter-{chapter}", section)
        elif number := SECTION.match(section.next_node(nodes.title).astext()):
            name(env, f"section-{chapter}-{number[1]}", section)


def name(env: BuildEnvironment, target: str, node: nodes.Element) -> None:
    """Make a node known to the whole book under a name."""
    if not isinstance(node, nodes.section):
        node["ids"].append(target)
    docname = env.current_document.docname
    env.domains.standard_domain.note_hyperlink_target(
        target, docname, node["ids"][0], target
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", link_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
