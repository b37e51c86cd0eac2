"""Tables that others printed, against which this chapter's formulas are held.

A number is kept as it was printed: "41.3" says that a digit was rounded away, 41.25
does not.

Sources: each table names its entry in the references.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

Named = TypeVar("Named")


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


def named(what: str, rows: Mapping[str, Named], name: str) -> Named:
    """Return the row of that name.

    Errors: ValueError when there is none, with the names that there are; what: the rows
    are called so.
    """
    if name not in rows:
        raise ValueError(f"there is no {what} {name!r}, but {', '.join(rows)}")
    return rows[name]


@cache
def table(name: str) -> Table:
    """Return one published table.

    Errors: ValueError when there is none of that name.
    """
    found = named("table", load("published"), name)
    rows = [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]
    return Table(key=found["key"], where=found["where"], rows=rows)
