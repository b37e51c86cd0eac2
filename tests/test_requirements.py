"""What the files import is what the requirements name, each pinned exactly."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dlsys_code"
sys.path.insert(0, str(ROOT / "_ext"))

from slides.needs import PACKAGES as OF_AUTHORS  # noqa: E402

PIN = re.compile(r"([A-Za-z0-9._-]+)(\[[a-z,]+\])?==[0-9][0-9a-z.]*")


def canonical(name: str) -> str:
    """The spelling that all spellings of a distribution's name share."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(name: str) -> Iterator[str]:
    """The requirements of a file and of those that it includes."""
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            yield from lines(line.removeprefix("-r ").strip())
        elif line:
            yield line


def names(name: str) -> set[str]:
    return {canonical(PIN.match(line).group(1)) for line in lines(name)}


def brought_by_extras(name: str) -> set[str]:
    """What `pin[extra]` installs beside `pin`, as its own metadata says."""
    brought = set()
    for pin, extras in (PIN.match(line).groups() for line in lines(name)):
        for extra in (extras or "").strip("[]").split(","):
            for need in requires(pin) or []:
                if re.search(rf"""extra == ['"]{extra}['"]""", need):
                    brought.add(canonical(re.match(r"[\w.-]+", need).group()))
    return brought


def declared_by_package() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    return {canonical(re.match(r"[\w.-]+", line).group()) for line in wanted}


def imports(path: Path) -> set[str]:
    """The first parts of the names that a file imports, at any depth in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    froms = [n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module]
    return {name.split(".")[0] for name in plain + froms}


def third_party(paths: list[Path]) -> dict[str, set[str]]:
    """Map each imported name that is neither Python's nor ours to its distributions.

    Readers do not install what authors need: it is known by the list of its maker.
    """
    ours = {path.stem for path in python_files()} | {"dlsys_code", "slides"}
    known = {name: [package] for name, package in OF_AUTHORS.items()}
    known |= packages_distributions()
    used = set().union(*(imports(path) for path in paths))
    return {
        name: {canonical(distribution) for distribution in known.get(name, [])}
        for name in used - ours - sys.stdlib_module_names
    }


def python_files() -> list[Path]:
    folders = [ROOT / "dlsys_code", ROOT / "tests", ROOT / "_ext"]
    return [ROOT / "conf.py", *(p for folder in folders for p in folder.rglob("*.py"))]


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-docs.txt", "requirements-slides.txt"]
)
def test_every_requirement_is_pinned_once(name):
    assert [line for line in lines(name) if not PIN.fullmatch(line)] == []
    assert len(names(name)) == len(list(lines(name)))


def test_rendering_needs_a_part_of_what_testing_needs_and_no_torch():
    assert set(lines("requirements-docs.txt")) < set(lines("requirements.txt"))
    assert "torch" not in names("requirements-docs.txt")


def test_every_import_is_required():
    required = names("requirements.txt") | brought_by_extras("requirements.txt")
    required |= names("requirements-slides.txt")
    found = third_party(python_files())
    assert {"torch", "pytest"} <= found.keys()
    missing = {name for name, providers in found.items() if not providers & required}
    assert missing == set()


def test_the_installed_package_asks_for_what_it_imports():
    found = third_party(list(PACKAGE.rglob("*.py")))
    declared = declared_by_package()
    missing = {name for name, providers in found.items() if not providers & declared}
    assert missing == set()
    assert declared <= names("requirements.txt")


def test_what_the_package_asks_allows_what_is_pinned():
    """torch with a local build or a pre-release of 2.13 will do, not only the pin."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "torch>=2.13.0a0" in project["dependencies"]
    assert "torch==2.13.0" in lines("requirements.txt")
