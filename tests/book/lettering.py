"""What is written in a drawing."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from dlsys_code.book.drawing import LOOK, Drawing


def words(monkeypatch: pytest.MonkeyPatch, paint: Callable[[], Drawing]) -> str:
    """All that is written in a chart: with letters instead of outlines."""
    monkeypatch.setitem(LOOK, "svg.fonttype", "none")
    return "\n".join(ElementTree.fromstring(paint().svg).itertext())
