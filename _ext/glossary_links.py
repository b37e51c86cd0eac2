"""Lead the first mention of each term on a lesson page to its entry in the glossary."""

import re
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from running_text import lesson_of, put_links, running_text
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

PAGE = "appendix/glossary"
LATIN = re.compile(r"[A-Za-z]")


class Term(NamedTuple):
    """One entry of the glossary."""

    canonical: str  # the one Chinese word that this book uses
    english: str
    aliases: tuple[str, ...]  # other people's Chinese words
    definition: str


def terms(glossary: Path) -> list[Term]:
    """Read the entries of the glossary page.

    The names stand first, each on a line: Chinese with " : " and its initial, English,
    then aliases.  A word that stays English has only one name.
    """
    text = glossary.read_text(encoding="utf-8")
    body = re.search(r"^```\{glossary\}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [entry(block) for block in body[1].strip("\n").split("\n\n")]


def entry(block: str) -> Term:
    lines = block.splitlines()
    names = [line.partition(" : ")[0] for line in lines if not line.startswith(" ")]
    definition = "".join(line.strip() for line in lines if line.startswith(" "))
    canonical, english, *aliases = names if len(names) > 1 else names * 2
    return Term(canonical, english, tuple(aliases), definition)


def link_terms(app: Sphinx, doctree: nodes.document) -> None:
    """Make a quiet link of the first mention of each term of a lesson."""
    if lesson_of(doctree) is None:
        return
    page = app.srcdir / f"{PAGE}.md"
    app.env.note_dependency(page)
    # One character is part of too many words: 环 is in 循环, 根 in 根据.
    known = {term.canonical: term for term in terms(page) if len(term.canonical) > 1}
    longest_first = sorted(known, key=len, reverse=True)
    word = re.compile("|".join(map(as_word, longest_first)))
    seen = set()
    for text in running_text(doctree):
        first = []
        for match in word.finditer(text):
            if match.group() not in seen:
                seen.add(match.group())
                first.append((*match.span(), link_to(known[match.group()], app)))
        if first:
            put_links(text, first)


def as_word(term: str) -> str:
    """A pattern for a term; Latin letters are not found inside longer words."""
    return rf"\b{re.escape(term)}\b" if LATIN.match(term) else re.escape(term)


def link_to(term: Term, app: Sphinx) -> pending_xref:
    return pending_xref(
        "",
        refdomain="",
        reftype="glossary",
        refdoc=app.env.current_document.docname,
        reftarget=term.canonical,
        explanation=f"{term.english}：{term.definition.partition('。')[0]}。",
        refwarn=True,
    )


def lead_to_entry(
    app: Sphinx, env: BuildEnvironment, link: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Resolve a link that `link_terms` made."""
    if link["reftype"] != "glossary":
        return None
    place = env.domains.standard_domain.objects["term", link["reftarget"]]
    reference = make_refnode(
        app.builder, link["refdoc"], *place, content, link["explanation"]
    )
    reference["classes"].append("term")
    return reference


def setup(app: Sphinx) -> dict[str, bool]:
    # After the references: 式 4.2 is not to be cut by a term.
    app.connect("doctree-read", link_terms, priority=600)
    app.connect("missing-reference", lead_to_entry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
