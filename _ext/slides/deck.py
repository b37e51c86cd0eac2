"""Read the Markdown source of a lesson's slides, without pandoc.

The maker, the tests and the page of the narration all read it here, so that they agree
on what a slide is: a second-level heading, what is shown, and what is said.

A chapter with parts has one deck of several sources: slides/05.system.md and those in
the folder slides/05.system, in order.  Each begins with a title slide of its own.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from alt_text import words_in
from stored_outputs import is_compared

TOOLS = [
    *("deck.py", "finish.py", "formulas.py", "layout.py", "look.py", "make.py"),
    *("measure.py", "needs.py", "office.py", "package.py", "pieces.py", "place.py"),
    *("reference.py", "tables.py", "vectors.py"),
]
FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
NOTES = re.compile(r"^::: notes\n(.*?)^:::[ \t]*$\n?", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"\(figure:(\d+(?:\.\d+)?)\.(\d+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
MARK = "\N{WORD JOINER}"  # what the maker adds for pandoc and takes away again
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)


class DeckError(ValueError):
    """What is wrong with the source of a deck: file, slide and reason."""


@dataclass(frozen=True, kw_only=True)
class Slide:
    """One slide.  body: Markdown that is shown.  notes: Markdown that is said.

    source, notebook: where it is written, and what it is about.  opens: it is the title
    slide of its source.
    """

    title: str
    body: str
    notes: str
    source: Path
    notebook: Path
    opens: bool = False

    def formulas(self) -> list[str]:
        """Return the formulas of the slide, dollars included."""
        return FORMULA.findall(CODE.sub("", f"{self.title}\n{self.body}"))

    def words(self) -> list[str]:
        """Return what stands between spaces, code and formulas of the body.

        Letters that count the items of a list are left out: programs draw them.
        """
        body = FORMULA.sub(" ", CODE.sub(" ", self.body))
        words = replace(self, title="", body=body).plain_text()[1:].split()
        return [word for word in words if not re.fullmatch(r"\(?\w[.)]", word)]

    def plain_text(self) -> str:
        """Return title and body without markup, for who cannot see the picture."""
        lines = []
        for line in self.body.splitlines():
            line = re.sub(r"!\[(.*?)\]\(.*?\)(\{.*?\})?", r"\1", line)
            line = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", line)
            line = re.sub(r"^\s*(:{3,}.*|```\w*|\|?[-:| ]+\|?)$", "", line)
            line = re.sub(r"^\s*([-*>]|\d+\.)\s+|\*\*|`|\$", "", line)
            lines.append(re.sub(r"\s*\|\s*", " ", line).strip())
        return "：".join([self.title, " ".join(filter(None, lines))]).rstrip("：")


@dataclass(frozen=True, kw_only=True)
class Deck:
    """The slides of one chapter; the title slide is the first of `slides`."""

    path: Path
    title: str
    subtitle: str
    notebook: Path
    slides: tuple[Slide, ...]

    def sources(self) -> list[Path]:
        """Return the files that the deck is written in, in the order of the slides."""
        return list(dict.fromkeys(slide.source for slide in self.slides))

    def numbered(self, *, source: Path | None = None) -> list[tuple[int, Slide]]:
        """Return the slides, or those of one source, with their numbers from 1."""
        every = enumerate(self.slides, start=1)
        return [(n, slide) for n, slide in every if source in (None, slide.source)]

    def fingerprint(self) -> str:
        """Return what names this source, its figures and the tools that draw it.

        A measured figure is another in every run: of such a one only the words count.
        """
        figures = self.figures(measured=False)
        parts = [source.read_bytes() for source in self.sources()]
        parts += [figure.encode() for _, figure in sorted(figures.items())]
        parts += [(Path(__file__).parent / name).read_bytes() for name in TOOLS]
        digests = "".join(hashlib.sha256(part).hexdigest() for part in parts)
        return hashlib.sha256(digests.encode()).hexdigest()

    def output(self, suffix: str) -> Path:
        """Return where the finished deck lies: beside its notebook."""
        return self.path.parent.parent / f"{self.path.stem}{suffix}"

    def figures(self, *, measured: bool = True) -> dict[str, str]:
        """Return name -> SVG of the figures that the slides show.

        measured: False gives only the words of a figure that no two runs draw alike.
        Errors: DeckError for a number that the notebook does not have.
        """
        notebooks = dict.fromkeys(slide.notebook for slide in self.slides)
        stored = {
            number_of(path): stored_figures(path, measured=measured)
            for path in notebooks
        }
        used = {}
        for slide in self.slides:
            for of, number in FIGURE.findall(slide.body):
                if not 1 <= int(number) <= len(stored.get(of, [])):
                    there = "; ".join(
                        f"{path.name} has figures {n}.1 to {n}.{len(stored[n])}"
                        for path, n in zip(notebooks, stored, strict=True)
                    )
                    raise DeckError(
                        f"{slide.source.name}: slide {slide.title!r} shows figure "
                        f"{of}.{number}; {there}"
                    )
                used[f"{of}.{number}"] = stored[of][int(number) - 1]
        return used


def number_of(notebook: Path) -> str:
    """Return the number of a lesson: 5.1 for 05.system/01.data_parallel.ipynb."""
    places = (notebook.parent.name, notebook.name)
    numbers = [re.match(r"(\d\d)\.", place) for place in places]
    return ".".join(str(int(number[1])) for number in numbers if number)


def stored_figures(notebook: Path, *, measured: bool = True) -> list[str]:
    """Return the SVG pictures among the stored outputs of a notebook, in order.

    measured: False puts its words in the place of a picture that is not compared.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found = []
    for cell in cells:
        as_drawn = measured or is_compared(cell)
        for output in cell.get("outputs", []):
            if svg := "".join(output.get("data", {}).get("image/svg+xml", "")):
                found.append(svg if as_drawn else words_in(svg))
    return found


def deck_of(source: Path) -> Path:
    """Return the main source of the deck to which a source belongs."""
    folder = source.parent
    return source if folder.name == "slides" else folder.with_name(f"{folder.name}.md")


def read_deck(path: Path) -> Deck:
    """Return the deck that a source describes, with what the folder of its name holds.

    Errors: DeckError for a source without front matter, for a slide without notes and
    for a first-level heading.
    """
    first, *parts = [path, *sorted(path.with_suffix("").glob("*.md"))]
    slides = [slide for each in (first, *parts) for slide in _slides(each)]
    return Deck(
        path=path,
        title=slides[0].title,
        subtitle=slides[0].body,
        notebook=slides[0].notebook,
        slides=tuple(slides),
    )


def _slides(path: Path) -> Iterator[Slide]:
    """Yield the slides of one source, the title slide first."""
    text = path.read_text(encoding="utf-8")
    front = FRONT.match(text)
    if not front:
        raise DeckError(f"{path.name}: does not begin with --- title: ... ---")
    meta = dict(re.findall(r"^(\w+):[ \t]*(.*)$", front[1], re.MULTILINE))
    for key in ("title", "subtitle", "notebook"):
        if not meta.get(key):
            raise DeckError(f"{path.name}: {key} is missing between the ---")
    notebook = (path.parent / meta["notebook"]).resolve()
    if not notebook.is_file():
        raise DeckError(f"{path.name}: there is no notebook {meta['notebook']}")
    before, *parts = _parts(text[front.end() :], path)
    about = {"source": path, "notebook": notebook}
    body, notes = _shown_and_said(path, meta["title"], before)
    if body:
        raise DeckError(f"{path.name}: text before the first slide: {body[:40]!r}")
    title, subtitle = meta["title"], meta["subtitle"]
    yield Slide(title=title, body=subtitle, notes=notes, opens=True, **about)
    for part in parts:
        heading, _, text = part.partition("\n")
        title = heading.removeprefix("##").strip()
        body, notes = _shown_and_said(path, title, text)
        yield Slide(title=title, body=body, notes=notes, **about)


def _parts(text: str, path: Path) -> list[str]:
    """Cut a source at its second-level headings; a # in code is a comment."""
    parts, fenced = [""], False
    for line in text.splitlines(keepends=True):
        fenced ^= line.startswith("```")
        if not fenced and re.match(r"#\s", line):
            raise DeckError(f"{path.name}: a slide begins with ##, not {line.strip()}")
        if not fenced and re.match(r"##\s", line):
            parts.append("")
        parts[-1] += line
    return parts


def _shown_and_said(path: Path, title: str, text: str) -> tuple[str, str]:
    notes = NOTES.findall(text)
    if len(notes) != 1 or not notes[0].strip():
        raise DeckError(f"{path.name}: slide {title!r} needs one ::: notes block")
    return NOTES.sub("", text).strip(), notes[0].strip()
