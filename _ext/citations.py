"""Show the references by author and year, and lead citations to them.

A citation in a lesson is a plain link, which reads well in Jupyter and on GitHub:
[Chan 等，2007](../appendix/references.md#chan2007).  The site leads it to the entry
with that key, and shows the entry when the pointer rests on it.
"""

import re
from collections.abc import Iterator
from functools import cache

from docutils import nodes
from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style import FormattedEntry
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

PAGE = "appendix/references"
logger = logging.getLogger(__name__)


def surnames(entry: Entry) -> list[str]:
    authors = entry.persons["author"]
    return [" ".join([*a.prelast_names, *a.last_names]).strip("{}") for a in authors]


def label(entry: Entry) -> str:
    """Return "Hockney，1994", "Patarasuk 和 Yuan，2009" or "Chan 等，2007"."""
    first, *others = surnames(entry)
    names = f"{first} 等" if len(others) > 1 else " 和 ".join([first, *others])
    return "，".join(filter(None, [names, entry.fields.get("year")]))


class AuthorYearLabels(BaseLabelStyle):
    def format_labels(self, sorted_entries: list[Entry]) -> Iterator[str]:
        return map(label, sorted_entries)


class AuthorYear(Style):
    """The plain style, with labels that say who and when."""

    default_label_style = AuthorYearLabels


def mark_citations(app: Sphinx, doctree: nodes.document) -> None:
    """Tell links to an entry of the references from other links."""
    for link in doctree.findall(pending_xref):
        if link["reftarget"] == PAGE and link.get("reftargetid"):
            link["refdomain"], link["reftype"] = "", "citation"


def fits(text: str, entry: Entry) -> bool:
    """Tell whether a citation names the entry's first author and its year, if any."""
    year, first = entry.fields.get("year"), surnames(entry)[0]
    # The name goes first: it may have digits of its own, as those of accounts have.
    years = re.findall(r"\d{4}", text.replace(first, ""))
    return year is None or first in text and years == [year]


def lead_to_entry(
    app: Sphinx, env: BuildEnvironment, link: pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Resolve a citation; warn where the entry is missing or is another."""
    if link["reftype"] != "citation":
        return None
    entries = {found.key: found for found in env.get_domain("cite").citations}
    found = entries.get(link["reftargetid"])
    text = content.astext()
    if not found or not fits(text, found.entry):
        what = f"is {label(found.entry)}" if found else "does not exist"
        message = f"citation {text}: entry {link['reftargetid']} {what}"
        logger.warning(message, location=link, type="book", subtype="citation")
        return content
    reference = make_refnode(
        app.builder,
        link["refdoc"],
        PAGE,
        found.citation_id,
        content,
        spelled_out(found.formatted_entry),
    )
    reference["classes"].append("citation")
    return reference


@cache
def spelled_out(entry: FormattedEntry) -> str:
    """Return an entry of the references as plain text."""
    return entry.text.render_as("text")


def setup(app: Sphinx) -> dict[str, bool]:
    register_plugin("pybtex.style.formatting", "author_year", AuthorYear)
    app.connect("doctree-read", mark_citations)
    app.connect("missing-reference", lead_to_entry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
