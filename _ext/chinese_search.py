"""Search with Pagefind, which segments Chinese; Sphinx's own search finds none of it.

The theme's search box (Ctrl+K) opens search.html, which _templates/search.html
and _static/search.js fill from the index that is written here.
"""

import re
import subprocess
from collections.abc import Iterator

import pagefind_bin_extended
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LEFT_OUT = ["a.headerlink", ".toctree-wrapper", ".math", ".narration", ".slides"]
HEADING = re.compile(r'(<section id="([^"]+)">\s*(?:<span [^>]+></span>)*<h[2-4])>')


def name_headings(app: Sphinx, page: str, template: str, context: dict, tree) -> None:
    """Give headings an id of their own: Pagefind links to those, not to sections."""
    if "body" in context:
        context["body"] = HEADING.sub(r'\1 id="\2-heading">', context["body"])


def switch_off_own_search(app: Sphinx) -> None:
    """Keep Sphinx from writing an index that nobody would read."""
    app.builder.search = False


def search_page(app: Sphinx) -> Iterator[tuple[str, dict, str]]:
    """Yield the page that the search box opens; it goes with Sphinx's own search."""
    if app.builder.format == "html":
        yield "search", {}, "search.html"


def index_pages(app: Sphinx, exception: Exception | None) -> None:
    """Index the text of all pages into the folder pagefind/ of the site."""
    if exception or app.builder.format != "html":
        return
    pagefind = str(pagefind_bin_extended.get_executable())
    options = {
        "--site": str(app.outdir),
        "--glob": "{*.html,[!_]*/**/*.html}",  # without the code in _code
        "--force-language": "zh-cn",
        "--root-selector": "article.bd-article",
        "--exclude-selectors": ", ".join(LEFT_OUT),
    }
    arguments = [word for option in options.items() for word in option]
    result = subprocess.run([pagefind, *arguments], capture_output=True, text=True)
    if result.returncode:
        raise ExtensionError(f"Pagefind failed:\n{result.stderr}")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", switch_off_own_search)
    app.connect("html-collect-pages", search_page)
    app.connect("html-page-context", name_headings)
    app.connect("build-finished", index_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
