"""The book built once, without torch, and served to a headless browser."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numbered
import pytest
import specimen
import whole_part
from playwright.sync_api import Browser, BrowserContext, sync_playwright

ROOT = Path(__file__).parents[2]
SOURCES = ["conf.py", "index.rst", "_ext", "_static", "_templates", "appendix"]
SOURCES += ["dlsys_code", "tests"]
LESSONS = "04_AICluster"
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"

sys.path.insert(0, str(ROOT / "_ext"))

# Python imports a module of this name when it starts: here, to hide what the readers
# of a freshly cloned book have not installed.
HIDE_TORCH = """\
import sys

for name in ("torch", "numpy", "matplotlib", "cloudpickle", "dlsys_code"):
    sys.modules[name] = None
sys.modules["rfc3987_syntax"] = None  # JupyterLab's; jsonschema is slow to load it
"""


@pytest.fixture(scope="session")
def without_torch(tmp_path_factory) -> dict[str, str]:
    """An environment whose Python cannot import torch, nor anything that needs it."""
    folder = tmp_path_factory.mktemp("without_torch")
    (folder / "sitecustomize.py").write_text(HIDE_TORCH)
    return os.environ | {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="session", autouse=True)
def build(request, tmp_path_factory, without_torch) -> Iterator[subprocess.Popen]:
    """Sphinx at work on the book with two chapters of samples added to its lessons.

    It begins with the first test of this folder, so that most of it is done before the
    tests of the site; where none of those is to run, it does not begin.
    """
    if not any("site" in item.fixturenames for item in request.session.items):
        yield None
        return
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    if (ROOT / LESSONS).exists():
        shutil.copytree(ROOT / LESSONS, source / LESSONS)
    specimen.write(source)
    whole_part.save(source)
    list_in_index(source, specimen.NAME)
    numbered.save(source, numbered.lesson())
    numbered.save(source, numbered.part(), numbered.PART_NAME)
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going"]
    with (source / "said.txt").open("w") as said:
        sphinx = subprocess.Popen(
            [*command, "-n", "-q", str(source), str(built)],
            env=without_torch,
            stdout=said,
            stderr=said,
        )
    yield sphinx
    sphinx.kill()
    sphinx.wait()


def list_in_index(source: Path, page: str) -> None:
    """Add a page to the chapters of the book's first page, as the last of them."""
    index = source / "index.rst"
    *before, last = re.split(r"(?<=\n)(?=   04_AICluster)", index.read_text("utf-8"))
    last = last.replace("\n", f"\n   {page}\n", 1)
    index.write_text("".join([*before, last]), encoding="utf-8")


@pytest.fixture(scope="session")
def site(build) -> Path:
    """The folder of the built book."""
    source, built = map(Path, build.args[-2:])
    status = build.wait()
    assert status == 0, (source / "said.txt").read_text().replace(str(source), "")
    return built


@pytest.fixture(scope="session")
def pages(site) -> list[str]:
    """Every page of the book, as a path below the site."""
    found = [page.relative_to(site) for page in site.rglob("*.html")]
    return sorted(str(page) for page in found if page.parts[0] != "_static")


@pytest.fixture(scope="session")
def address(site) -> Iterator[str]:
    """The URL at which the site is served, on loopback."""
    from serve import open_server

    with open_server(site, preferred_port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium; its absence is a failure under CI and a skip elsewhere."""
    paths = [path for path in map(shutil.which, BROWSERS) if path]
    if not paths:
        missing = "no browser: install the Debian package chromium"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=paths[0], args=[LOOPBACK_ONLY]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def tabs(browser, address) -> Iterator[BrowserContext]:
    """A fresh browser profile in which paths are relative to the book."""
    context = browser.new_context(base_url=address)
    context.set_default_timeout(10_000)
    yield context
    context.close()
