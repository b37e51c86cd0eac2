"""Tables that others printed, against which this chapter's formulas are held.

A number is kept as it was printed: "41.3" says that a digit was rounded away, 41.25
does not.

Sources: each table names its entry in the references.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Table:
    """A printed table.  key: its work in the references.  where: in that work."""

    key: str
    where: str
    rows: list[dict[str, Any]]


def load(name: str) -> Any:
    """Return the contents of a data file of this package, "devices" for one."""
    path = files("dlsys_code") / "data" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def table(name: str) -> Table:
    """Return one published table.

    Errors: ValueError when there is none of that name.
    """
    tables = load("published")
    if name not in tables:
        raise ValueError(f"there is no table {name!r}, but {', '.join(tables)}")
    found = tables[name]
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    return Table(key=found["key"], where=found["where"], rows=rows)
