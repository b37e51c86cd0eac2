"""Write the inventories that let references to other libraries resolve offline.

An inventory tells Sphinx which page explains a name.  The libraries publish theirs on
their sites only, so this book carries small ones, for the names that it uses.  Where
Sphinx reports an unknown name of python, numpy or torch, add it to the library's table
in inventories/ and run this file.  tests/book/test_inventories.py checks that each
name exists.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TABLES = sorted((Path(__file__).parent / "inventories").glob("*.txt"))


class Entry(NamedTuple):
    """One name and the place, below the library's documentation, that explains it."""

    name: str
    kind: str  # of Sphinx's Python domain: class, function, module, ...
    place: str


def entries(table: Path) -> Iterator[Entry]:
    """Yield the names of one table.

    A line is "kind page parent names"; * in the page stands for the full name.
    """
    for line in table.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        kind, page, parent, *names = line.split()
        for short_name in names:
            name = short_name if parent == "-" else f"{parent}.{short_name}"
            anchor = f"module-{name}" if kind == "module" else name
            place = page if "#" in page else f"{page.replace('*', name)}#{anchor}"
            yield Entry(name, kind, place)


def inventory(table: Path) -> bytes:
    """Return the names of one table in Sphinx's inventory format, version 2."""
    header = (
        "# Sphinx inventory version 2\n"
        f"# Project: {table.stem}\n"
        "# Version: \n"
        "# The remainder of this file is compressed using zlib.\n"
    )
    lines = [f"{name} py:{kind} 1 {place} -\n" for name, kind, place in entries(table)]
    return header.encode() + zlib.compress("".join(lines).encode())


def main() -> None:
    for table in TABLES:
        table.with_suffix(".inv").write_bytes(inventory(table))


if __name__ == "__main__":
    main()
