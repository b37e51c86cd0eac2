"""Make the .pptx and the .pdf of the decks: `make slides`.

pandoc reads the Markdown and writes native text, tables and formulas; place.py puts
them where they can be read; LibreOffice prints a copy whose pictures are vectors.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from slides.deck import FIGURE, MARK, Deck, DeckError, deck_of, read_deck
from slides.needs import missing

ROOT = Path(__file__).parents[2]
COLUMN = re.compile(
    r"^(:{3,} ?column\n)(.*?)(?=^:{3,}[ \t]*$)", re.DOTALL | re.MULTILINE
)
FROM = "markdown-smart-tex_math_single_backslash"


def default_reference() -> bytes:
    """Return the reference deck that pandoc brings."""
    return run_pandoc(["--print-default-data-file", "reference.pptx"])


def run_pandoc(arguments: list[str], text: str = "") -> bytes:
    """Return what pandoc writes; its warnings are errors here.

    Errors: DeckError with pandoc's own words.
    """
    import pypandoc

    command = [pypandoc.get_pandoc_path(), *arguments]
    done = subprocess.run(command, input=text.encode(), capture_output=True)
    if done.returncode or done.stderr:
        raise DeckError(done.stderr.decode())
    return done.stdout


def from_pandoc(deck: Deck, figures: dict[str, bytes], folder: Path) -> bytes:
    """Return the deck as pandoc lays it out.  figures: name -> PNG."""
    from slides.look import CODE
    from slides.reference import write_reference

    for name, png in figures.items():
        (folder / f"{name}.png").write_bytes(png)
    reference, meta = folder / "reference.pptx", folder / "meta.json"
    write_reference(default_reference(), reference, deck.subtitle)
    first, *rest = deck.slides
    words = {"title": deck.title, "subtitle": deck.subtitle, "notes": first.notes}
    meta.write_text(json.dumps(words), encoding="utf-8")
    text = "\n\n".join(
        f"## {slide.title}\n\n{led_in(slide.body)}\n\n::: notes\n{slide.notes}\n:::"
        for slide in rest
    )
    text = FIGURE.sub(lambda m: f"({(folder / f'{m[1]}.{m[2]}.png').as_posix()})", text)
    options = {
        "--from": FROM,
        "--to": "pptx",
        "--reference-doc": str(reference),
        "--metadata-file": str(meta),
        "--slide-level": "2",
        "--syntax-highlighting": "kate",
        "--variable": f"monofont={CODE}",
    }
    arguments = [f"{option}={value}" for option, value in options.items()]
    return run_pandoc([*arguments, "--output=-"], text)


def led_in(body: str) -> str:
    """Put a mark before a table or picture that begins a column and is not all of it.

    What follows it there, pandoc would drop.
    """

    def column(match: re.Match) -> str:
        begins = match[2].lstrip()[:1] in ("|", "!")
        more = len(re.split(r"\n\s*\n", match[2].strip())) > 1
        return f"{match[1]}{MARK}\n\n{match[2]}" if begins and more else match[0]

    return COLUMN.sub(column, body)


def make(deck: Deck) -> tuple[bytes, bytes]:
    """Return the .pptx and the .pdf of a deck.

    Errors: DeckError for a deck that cannot be shown as it is written.
    """
    from slides.finish import finish, for_print
    from slides.office import to_pdf
    from slides.vectors import png_of

    figures = deck.figures()
    pngs = {name: png_of(svg) for name, svg in figures.items()}
    with tempfile.TemporaryDirectory() as folder:
        drafted = from_pandoc(deck, pngs, Path(folder))
    finished = finish(deck, drafted, figures)
    return finished, to_pdf(for_print(finished))


def main(names: list[str]) -> None:
    lacking = missing()
    if lacking:
        sys.exit("\n".join(lacking))
    paths = [Path(name) for name in names]
    for path in paths or sorted(ROOT.glob("04_AICluster/slides/*.md")):
        try:
            deck = read_deck(deck_of(path.resolve()))
            made = make(deck)
        except (DeckError, RuntimeError) as error:
            sys.exit(f"{path.name}：{error}")
        for suffix, content in zip((".pptx", ".pdf"), made, strict=True):
            deck.output(suffix).write_bytes(content)
        print(f"{path.stem}：{len(deck.slides)} 页，{deck.output('.pptx').name} 与 PDF")


if __name__ == "__main__":
    main(sys.argv[1:])
