"""The zip file around a deck: mended, and the same bytes on every run."""

import io
import re
import zipfile
from collections.abc import Callable

LONG_AGO = (2000, 1, 1, 0, 0, 0)
SLIDE = re.compile(r"ppt/slides/slide\d+\.xml")
URIS = {  # of the prefixes that python-pptx does not know
    "a14": "http://schemas.microsoft.com/office/drawing/2010/main",
    "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
}
NAMESPACES = "".join(f'xmlns:{name}="{URIS[name]}" ' for name in ("a14", "mc")).encode()


def rewrite(package: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """Return the package with `change(name, content)` applied to every file in it."""
    old, new = zipfile.ZipFile(io.BytesIO(package)), io.BytesIO()
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as written:
        for name in old.namelist():
            if name.endswith("/"):
                continue
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            written.writestr(entry, change(name, old.read(name)))
    return new.getvalue()


def declare_namespaces(package: bytes) -> bytes:
    """Mend pandoc's slides: a formula in a table uses a prefix that is not declared."""

    def change(name: str, content: bytes) -> bytes:
        if SLIDE.fullmatch(name) and b"a14:m" in content:
            return content.replace(b"<p:sld ", b"<p:sld " + NAMESPACES, 1)
        return content

    return rewrite(package, change)


def without_dates(package: bytes) -> bytes:
    """Return the package with the same date on every file in it."""
    return rewrite(package, lambda _, content: content)
