"""The offline inventories list names that exist, and are what the script writes."""

import inspect
import pkgutil

import pytest
from sphinx.util.inventory import InventoryFile
from write_inventories import TABLES, Entry, entries, inventory

FITS = {
    "class": callable,  # typing.NamedTuple, documented as a class, is a function
    "data": lambda thing: True,
    "exception": lambda thing: issubclass(thing, BaseException),
    "function": callable,  # zip, documented as a function, is a class
    "module": inspect.ismodule,
}
ENTRIES = [entry for table in TABLES for entry in entries(table)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_name_exists_and_is_of_its_kind(entry: Entry):
    thing = pkgutil.resolve_name(
        entry.name if "." in entry.name else f"builtins.{entry.name}"
    )
    assert FITS[entry.kind](thing)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_the_committed_inventory_is_what_the_script_writes(table):
    committed = table.with_suffix(".inv").read_bytes()
    # Compared as read: another build of zlib may compress the same lines differently.
    assert InventoryFile.loads(committed, uri="").data == (
        InventoryFile.loads(inventory(table), uri="").data
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_no_name_is_listed_twice(table):
    names = [entry.name for entry in entries(table)]
    assert len(names) == len(set(names))
