"""Read the Markdown source of a lesson's slides, without pandoc.

The maker, the tests and the page of the narration all read it here, so that they agree
on what a slide is: a second-level heading, what is shown, and what is said.
"""

import hashlib
import json
import re
from dataclasses import dataclass
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
FIGURE = re.compile(r"\(figure:(\d+)\.(\d+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)


class DeckError(ValueError):
    """What is wrong with the source of a deck: file, slide and reason."""


@dataclass(frozen=True, kw_only=True)
class Slide:
    """One slide.  body: Markdown that is shown.  notes: Markdown that is said."""

    title: str
    body: str
    notes: str

    def formulas(self) -> list[str]:
        """Return the formulas of the slide, dollars included."""
        return FORMULA.findall(CODE.sub("", f"{self.title}\n{self.body}"))

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
    """The slides of one lesson; the title slide is the first of `slides`."""

    path: Path
    title: str
    subtitle: str
    notebook: Path
    slides: tuple[Slide, ...]

    def fingerprint(self) -> str:
        """Return what names this source, its figures and the tools that draw it.

        A measured figure is another in every run: of such a one only the words count.
        """
        figures = self.figures(measured=False)
        parts = [self.path.read_bytes()]
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
        chapter = int(self.notebook.name.partition(".")[0])
        stored = stored_figures(self.notebook, measured=measured)
        used = {}
        for slide in self.slides:
            for match in FIGURE.finditer(slide.body):
                of, number = int(match[1]), int(match[2])
                if of != chapter or not 1 <= number <= len(stored):
                    raise DeckError(
                        f"{self.path.name}: slide {slide.title!r} shows figure "
                        f"{of}.{number}; {self.notebook.name} has figures "
                        f"{chapter}.1 to {chapter}.{len(stored)}"
                    )
                used[f"{of}.{number}"] = stored[number - 1]
        return used


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


def read_deck(path: Path) -> Deck:
    """Return the deck that a source describes.

    Errors: DeckError for a source without front matter, for a slide without notes and
    for a first-level heading.
    """
    text = path.read_text(encoding="utf-8")
    front = FRONT.match(text)
    if not front:
        raise DeckError(f"{path.name}: does not begin with --- title: ... ---")
    meta = dict(re.findall(r"^(\w+):[ \t]*(.*)$", front[1], re.MULTILINE))
    for key in ("title", "subtitle", "notebook"):
        if not meta.get(key):
            raise DeckError(f"{path.name}: {key} is missing between the ---")
    first, *rest = _parts(text[front.end() :], path)
    slides = [_slide(path, meta["title"], first, meta["subtitle"])]
    if slides[0].body != meta["subtitle"]:
        raise DeckError(f"{path.name}: text before the first slide: {first[:40]!r}")
    for part in rest:
        title, _, body = part.partition("\n")
        slides.append(_slide(path, title.removeprefix("##").strip(), body))
    notebook = (path.parent / meta["notebook"]).resolve()
    if not notebook.is_file():
        raise DeckError(f"{path.name}: there is no notebook {meta['notebook']}")
    return Deck(
        path=path,
        title=meta["title"],
        subtitle=meta["subtitle"],
        notebook=notebook,
        slides=tuple(slides),
    )


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


def _slide(path: Path, title: str, text: str, default: str = "") -> Slide:
    notes = NOTES.findall(text)
    if len(notes) != 1 or not notes[0].strip():
        raise DeckError(f"{path.name}: slide {title!r} needs one ::: notes block")
    body = NOTES.sub("", text).strip() or default
    return Slide(title=title, body=body, notes=notes[0].strip())
