"""Pictures of the pages of a PDF, drawn once for each version of it."""

import hashlib
from pathlib import Path

import pypdfium2
from PIL.Image import Quantize

FOLDER = "_slides"  # in the site
WIDTH, HEIGHT = 1600, 900  # [pixel]
COLOURS = 128  # the slides have few: a third of the bytes
STAMP = "pdf.sha256"


def picture_name(number: int) -> str:
    """Return the file name of a page, counted from 1."""
    return f"{number:02d}.png"


def draw_pages(pdf: Path, folder: Path) -> None:
    """Draw every page of a PDF into a folder, unless this very PDF is drawn there."""
    digest = hashlib.sha256(pdf.read_bytes()).hexdigest()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == digest:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    with pypdfium2.PdfDocument(pdf) as document:
        for number, page in enumerate(document, start=1):
            image = page.render(scale=WIDTH / page.get_width()).to_pil()
            image = image.convert("RGB").resize((WIDTH, HEIGHT))
            image = image.quantize(COLOURS, Quantize.FASTOCTREE)
            image.save(folder / picture_name(number))
    stamp.write_text(digest)
