"""LibreOffice, which turns a deck into a PDF and leaves nothing behind."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

LIMIT_S = 180
OPTIONS = {
    "UseTaggedPDF": {"type": "boolean", "value": "true"},
    "ReduceImageResolution": {"type": "boolean", "value": "false"},
    "UseLosslessCompression": {"type": "boolean", "value": "true"},
}
DATE = re.compile(rb"/(?:CreationDate|ModDate) ?\(D:(\d{14})")
RANDOM = re.compile(
    rb"/ID ?\[ ?<([0-9A-F]+)>\s*<([0-9A-F]+)>|/DocChecksum /([0-9A-F]+)"
)


def to_pdf(deck: bytes) -> bytes:
    """Return a .pptx as PDF, fonts embedded, without clock or random marks.

    Errors: RuntimeError with LibreOffice's own words when it makes no PDF in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "deck.pptx")
        source.write_bytes(deck)
        command = [
            *("soffice", f"-env:UserInstallation={Path(folder, 'profile').as_uri()}"),
            *("--headless", "--norestore", "--nolockcheck", "--convert-to"),
            f"pdf:impress_pdf_Export:{json.dumps(OPTIONS)}",
            *("--outdir", folder, str(source)),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"soffice took more than {LIMIT_S} s") from error
        pdf = source.with_suffix(".pdf")
        if not pdf.exists():
            raise RuntimeError(f"soffice made no PDF: {done.stdout}{done.stderr}")
        return without_marks(pdf.read_bytes())


def without_marks(pdf: bytes) -> bytes:
    """Overwrite dates and random identifiers, length kept: offsets stay right."""
    marked = bytearray(pdf)
    for pattern, filler in ((DATE, b"20000101000000"), (RANDOM, b"0")):
        for match in pattern.finditer(pdf):
            for start, end in match.regs[1:]:
                if start >= 0:
                    marked[start:end] = (filler * (end - start))[: end - start]
    return bytes(marked)
