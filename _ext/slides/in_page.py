"""Show the slides of a lesson on its page, and what is said as a page of its own.

A paragraph that links to NN.name.pptx becomes the bar of the lesson: its links stay as
they are, and a closed fold below them holds the slides.  The source of a deck becomes
the narration, to be read.  Pictures come from the committed PDF, so that building
needs neither pandoc nor LibreOffice.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from markdown_it import MarkdownIt
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from video_on_click import VIDEO

from slides.deck import Deck, DeckError, read_deck
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
    """Return whether a page of the book is the source of a deck."""
    return Path(page).parent.name == "slides" and app.env.doc2path(page).suffix == ".md"


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
    deck = deck_at(Path(app.env.doc2path(page)))
    shown = deck.output(".pdf").is_file()
    app.env.note_dependency(str(deck.output(".pdf")), docname=page)
    lesson = f"../{deck.notebook.name}"
    parts = [
        f"---\norphan: true\n---\n\n# 讲稿：{deck.title}",
        f"逐页的讲稿，共 {len(deck.slides)} 页。正文在[这一课的页面]({lesson})。",
    ]
    for number, slide in enumerate(deck.slides, start=1):
        parts.append(f"## {number}　{slide.title}")
        if shown:
            image = picture(app, page, deck, number)
            parts.append(f'<figure class="slide">{image}</figure>')
        parts.append(slide.notes)
    content[0] = "\n\n".join(parts) + "\n"


def viewer(app: Sphinx, page: str, deck: Deck) -> nodes.raw:
    """Return the fold with the slides, which works without scripts too."""
    say = MarkdownIt("commonmark").render
    figures = "\n".join(
        f'<figure class="slide">{picture(app, page, deck, number)}'
        f"<figcaption>{say(slide.notes)}</figcaption></figure>"
        for number, slide in enumerate(deck.slides, start=1)
    )
    html = VIEWER.format(
        count=len(deck.slides), title=escape(deck.title), figures=figures
    )
    return nodes.raw("", html, format="html")


def add_viewers(app: Sphinx, doctree: nodes.document) -> None:
    """Turn the paragraphs that link to a .pptx into the bars of their lessons.

    A link in a table or a list, as on the first page, is only a download.
    """
    page = app.env.current_document.docname
    paragraphs = list(doctree.findall(nodes.paragraph))
    for paragraph in (p for p in paragraphs if isinstance(p.parent, nodes.section)):
        for link in paragraph.findall(download_reference):
            target = Path(app.env.doc2path(page)).parent / link["reftarget"]
            source = target.parent / "slides" / f"{target.stem}.md"
            if target.suffix == ".pptx" and source.is_file():
                mark_bar(paragraph)
                deck = deck_at(source)
                for path in (source, deck.output(".pdf")):
                    app.env.note_dependency(str(path))
                if deck.output(".pdf").is_file():
                    place = paragraph.parent.index(paragraph) + 1
                    paragraph.parent.insert(place, viewer(app, page, deck))


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
        if is_deck(app, page):
            pdf = deck_at(Path(app.env.doc2path(page))).output(".pdf")
            if pdf.is_file():
                draw_pages(pdf, app.outdir / FOLDER / pdf.stem)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", narration)
    app.connect("doctree-read", add_viewers)
    app.connect("html-page-context", leave_out_of_search)
    app.connect("build-finished", draw_slides)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
