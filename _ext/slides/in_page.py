"""Show the slides of a lesson on its page, and what is said as a page of its own.

A paragraph that links to NN.name.pptx becomes the bar of the lesson: its links stay as
they are, and a closed fold below them holds the slides about this page.  Each source of
a deck becomes a page of the narration, to be read.  Pictures come from the committed
PDF, so that building needs neither pandoc nor LibreOffice.
"""

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path

from docutils import nodes
from markdown_it import MarkdownIt
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from video_on_click import VIDEO

from slides.deck import Deck, DeckError, deck_of, read_deck
from slides.pictures import FOLDER, HEIGHT, WIDTH, draw_pages, picture_name

VIEWER = """\
<details class="slides"><summary>在页内看幻灯片（{count} 页）</summary>
<div class="slides-viewer" tabindex="0" role="group" aria-label="幻灯片：{title}">
<div class="slides-bar" hidden>
<button type="button" data-step="-1">上一页</button>
<output>1 / {count}</output>
<button type="button" data-step="1">下一页</button>
<button type="button" data-full>全屏</button>
</div>
{figures}
</div></details>
"""


def deck_at(source: Path) -> Deck:
    """Return the deck of a source file.

    Errors: ExtensionError, which ends the build with one message.
    """
    try:
        return read_deck(source)
    except DeckError as error:
        raise ExtensionError(str(error)) from error


def is_deck(app: Sphinx, page: str) -> bool:
    """Return whether a page of the book is a source of a deck."""
    inside = "slides" in [folder.name for folder in Path(page).parents]
    return inside and app.env.doc2path(page).suffix == ".md"


def depend(app: Sphinx, page: str, deck: Deck) -> None:
    """Read a page anew when the slides on it may have changed, or their numbers."""
    for path in (*deck.sources(), deck.output(".pdf")):
        app.env.note_dependency(str(path), docname=page)


def picture(app: Sphinx, page: str, deck: Deck, number: int) -> str:
    """Return the <img> of a slide for a page; number: from 1."""
    up = "../" * page.count("/")
    words = escape(f"第 {number} 页：{deck.slides[number - 1].plain_text()}")
    return (
        f'<img src="{up}{FOLDER}/{deck.path.stem}/{picture_name(number)}" '
        f'alt="{words}" width="{WIDTH}" height="{HEIGHT}" loading="lazy">'
    )


def narration(app: Sphinx, page: str, content: list[str]) -> None:
    """Replace the source of a deck by what is said, with the slide above it."""
    if not is_deck(app, page):
        return
    source = Path(app.env.doc2path(page))
    deck = deck_at(deck_of(source))
    slides = deck.numbered(source=source)
    shown = deck.output(".pdf").is_file()
    depend(app, page, deck)
    first = slides[0][1]
    lesson = Path(os.path.relpath(first.notebook, source.parent)).as_posix()
    parts = [
        f"---\norphan: true\n---\n\n# 讲稿：{first.title}",
        f"逐页的讲稿，共 {len(slides)} 页。正文在[这一课的页面]({lesson})。",
        *(f"- [讲稿：{title}]({path})" for title, path in others(deck, source)),
    ]
    for number, slide in slides:
        parts.append(f"## {number}　{slide.title}")
        if shown:
            image = picture(app, page, deck, number)
            parts.append(f'<figure class="slide">{image}</figure>')
        parts.append(slide.notes)
    content[0] = "\n\n".join(parts) + "\n"


def others(deck: Deck, source: Path) -> Iterator[tuple[str, str]]:
    """Yield title and address of the narrations that the main one leads to."""
    for slide in deck.slides:
        if slide.opens and slide.source != source == deck.path:
            yield slide.title, f"{source.stem}/{slide.source.name}"


def viewer(app: Sphinx, page: str, deck: Deck) -> nodes.raw | None:
    """Return the fold with the slides of a page, which works without scripts too.

    None where the PDF is not made yet, or the deck has no slides about this page.
    """
    say = MarkdownIt("commonmark").render
    lesson = Path(app.env.doc2path(page))
    slides = [pair for pair in deck.numbered() if pair[1].notebook == lesson]
    if not slides or not deck.output(".pdf").is_file():
        return None
    figures = "\n".join(
        f'<figure class="slide">{picture(app, page, deck, number)}'
        f"<figcaption>{say(slide.notes)}</figcaption></figure>"
        for number, slide in slides
    )
    title = escape(slides[0][1].title)
    html = VIEWER.format(count=len(slides), title=title, figures=figures)
    return nodes.raw("", html, format="html")


def add_viewers(app: Sphinx, doctree: nodes.document) -> None:
    """Turn the paragraphs that link to a .pptx into the bars of their lessons.

    A link in a table or a list, as on the first page, is only a download.
    """
    page = app.env.current_document.docname
    paragraphs = list(doctree.findall(nodes.paragraph))
    for paragraph in (p for p in paragraphs if isinstance(p.parent, nodes.section)):
        for link in paragraph.findall(download_reference):
            folder = Path(app.env.doc2path(page)).parent
            target = (folder / link["reftarget"]).resolve()
            source = target.parent / "slides" / f"{target.stem}.md"
            if target.suffix == ".pptx" and source.is_file():
                mark_bar(paragraph)
                deck = deck_at(source)
                depend(app, page, deck)
                if fold := viewer(app, page, deck):
                    place = paragraph.parent.index(paragraph) + 1
                    paragraph.parent.insert(place, fold)


def mark_bar(paragraph: nodes.paragraph) -> None:
    """Let style sheet and script know the bar and the video in it."""
    paragraph["classes"].append("lesson-bar")
    for link in paragraph.findall(nodes.reference):
        if VIDEO.match(link.get("refuri", "")):
            link["classes"].append("video")


def leave_out_of_search(
    app: Sphinx, page: str, template: str, context: dict, tree: nodes.document | None
) -> None:
    """Let a search find a word in its lesson, not in what is said about it."""
    if tree is not None and is_deck(app, page):
        context["body"] = f'<div class="narration">{context["body"]}</div>'


def draw_slides(app: Sphinx, exception: Exception | None) -> None:
    """Draw the pages of every deck into the site, unless they are there already."""
    if exception or app.builder.format != "html":
        return
    for page in app.env.found_docs:
        source = Path(app.env.doc2path(page))
        if is_deck(app, page) and source == deck_of(source):
            pdf = deck_at(source).output(".pdf")
            if pdf.is_file():
                draw_pages(pdf, app.outdir / FOLDER / pdf.stem)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", narration)
    app.connect("doctree-read", add_viewers)
    app.connect("html-page-context", leave_out_of_search)
    app.connect("build-finished", draw_slides)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
