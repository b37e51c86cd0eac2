"""Make links of plain text: 图 4.3, 式 4.2, 习题 4.5, 第 3 节, 第 03 章, 第 05.1 篇.

A paragraph that begins with **图 4.n** is the caption of the picture right above it; a
formula has its number from \\tag{4.n}; a paragraph that begins with **习题 4.n** is
that exercise.  Numbers count from 1 without a gap; a reference to nothing is a warning.

A chapter may have parts (篇), pages of their own: in 05.1 stand 图 5.1.n and so on.
"""

import re
from collections.abc import Iterator

from captions import captioned, label, warn
from docutils import nodes
from running_text import (
    is_appendix,
    lesson_at,
    lesson_of,
    plain,
    put_links,
    running_text,
)
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

KINDS = {"图": "figure", "式": "equation", "习题": "exercise"}
TAG = re.compile(r"\\tag\{(\d+(?:\.\d+)+)\}")
SECTION = re.compile(r"(\d+) ")
NUMBER = re.compile(r"\d+(?:\.\d+)*")
AND = " ?[、和到至] ?"
LESSON = r"\d+(?:\.\d+)?"
NUMBERED = rf"(?P<kind>图|式|习题) ?(?P<of>{LESSON})\.\d+(?:{AND}(?P=of)\.\d+)*"
WHERE = r"(?P<where>第 (?:(?P<chapter>\d+) 章|(?P<part>\d+\.\d+) 篇))"
SECTIONS = rf"{WHERE}?第 \d+(?:{AND}\d+)* 节"
LESSONS = rf"第 \d+(?:{AND}\d+)* 章|第 \d+\.\d+(?:{AND}\d+\.\d+)* 篇"
REFERENCE = re.compile(f"{NUMBERED}|{SECTIONS}|{LESSONS}")


def link_page(app: Sphinx, doctree: nodes.document) -> None:
    """Name the targets of a lesson page, and link its references.

    The appendix is linked too: as a lesson without number or sections.
    """
    lesson, page = lesson_of(doctree) or "", app.env.current_document.docname
    if not lesson and not is_appendix(page):
        return
    if lesson and lesson != (place := lesson_at(page)):
        warn(f"the title says {lesson}, the file's place {place}", doctree)
    for text in running_text(doctree):
        if not (isinstance(text.parent, nodes.strong) and label(text.parent.parent)):
            links = [link for m in REFERENCE.finditer(text) for link in of(m, lesson)]
            links = [link for link in links if leads_somewhere(app.env, link[2])]
            if links:
                put_links(text, links)
    if lesson:
        name_targets(app.env, doctree, lesson)


# ------------------------------------------------------------ references


def of(match: re.Match, lesson: str) -> Iterator[tuple[int, int, pending_xref]]:
    """Yield start, end and link for each number that a match names.

    One number is linked with the words around it, of several each by itself.
    """
    whole = match.group()
    # The chapter of 第 03 章第 2 节 is no second number.
    leading = len(match["where"] or "")
    numbers = list(NUMBER.finditer(whole, leading))
    for i, number in enumerate(numbers):
        start, end = number.span()
        if len(numbers) == 1:
            start, end = 0, len(whole)
        elif i == 0 and match["kind"]:
            start = 0
        link = link_to(match, number.group(), lesson)
        yield match.start() + start, match.start() + end, link


def link_to(match: re.Match, number: str, lesson: str) -> pending_xref:
    if match["kind"]:
        name = target(KINDS[match["kind"]], number)
    elif match.group().endswith("节"):
        page = match["chapter"] or match["part"]
        name = target("section", f"{plain(page) if page else lesson}.{number}")
    else:
        name = target("lesson", plain(number))
    return pending_xref(
        "",
        refdomain="std",
        reftype="ref",
        reftarget=name,
        refexplicit=True,
        refwarn=True,
    )


def target(kind: str, number: str) -> str:
    """Return the name of a place of the book: figure-5-1-2 for 图 5.1.2."""
    return f"{kind}-{number.replace('.', '-')}"


def leads_somewhere(env: BuildEnvironment, link: pending_xref) -> bool:
    """Tell a link to a lesson that is not written yet, and fill in the page's name."""
    kind, _, number = link["reftarget"].partition("-")
    link["refdoc"] = env.current_document.docname
    lesson = number.rpartition("-")[0] if kind == "section" else number
    return kind not in ("lesson", "section") or lesson in lessons(env)


def lessons(env: BuildEnvironment) -> set[str]:
    found = filter(None, map(lesson_at, env.found_docs))
    return {lesson.replace(".", "-") for lesson in found}


# ------------------------------------------------------------ targets


def name_targets(env: BuildEnvironment, doctree: nodes.document, lesson: str) -> None:
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
            if number != f"{lesson}.{n}":
                warn(f"{word} {number} should be {word} {lesson}.{n}", node)
            name(env, target(kind, number), node)
    name_sections(env, doctree, lesson)


def name_sections(env: BuildEnvironment, doctree: nodes.document, lesson: str) -> None:
    """The page is its lesson; a heading "3 …" is the third section."""
    for section in doctree.findall(nodes.section):
        if section.parent is doctree:
            name(env, target("lesson", lesson), section)
        elif number := SECTION.match(section.next_node(nodes.title).astext()):
            name(env, target("section", f"{lesson}.{number[1]}"), section)


def name(env: BuildEnvironment, known_as: str, node: nodes.Element) -> None:
    """Make a node known to the whole book under a name."""
    if not isinstance(node, nodes.section):
        node["ids"].append(known_as)
    docname = env.current_document.docname
    env.domains.standard_domain.note_hyperlink_target(
        known_as, docname, node["ids"][0], known_as
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", link_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
