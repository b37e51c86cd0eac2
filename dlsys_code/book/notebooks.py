"""Run the chapters, report what differs from the stored run, and store a new one.

The two commands::

    python -m dlsys_code.book.notebooks execute [--store] [NOTEBOOK ...]
    python -m dlsys_code.book.notebooks refresh [NOTEBOOK ...]

`execute` runs every chapter, or those named, on the machine at hand and writes copies
to _build/executed; with --store it replaces the stored outputs.  `refresh` does so only
for chapters whose cells, imported files or pinned torch have changed since.  The book
stores runs on the CPU, which every reader can repeat, so storing refuses a GPU.
"""

import argparse
import time
from importlib.metadata import version
from pathlib import Path

import nbformat
import torch
from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets import default

from dlsys_code.book.fingerprint import ROOT, changes, fingerprint, pinned_torch
from dlsys_code.book.outputs import difference, normalised

CHAPTERS = ROOT / "04_AICluster"
EXECUTED = ROOT / "_build" / "executed"
CELL_LIMIT_S = 600.0
SHOWN_LINES, SHOWN_WIDTH = 20, 100  # of the difference in one cell


class ChapterError(Exception):
    """A chapter that did not run to its end: which one, which cell, why."""


def notebooks() -> list[Path]:
    """All chapters in reading order, each with its parts behind it."""
    paths = CHAPTERS.rglob("*.ipynb")
    found = [path for path in paths if ".ipynb_checkpoints" not in path.parts]
    return sorted(found, key=lambda path: path.with_suffix("").parts)


def run(path: Path) -> NotebookNode:
    """Return the notebook as a new kernel of this Python leaves it, telling each cell.

    The kernel starts in the notebook's folder, as in Jupyter and under nbval.
    Raises: ChapterError naming the first cell that fails, hangs or kills the kernel, or
    that is tagged raises-exception and raises nothing.
    """
    notebook = nbformat.read(path, as_version=4)
    progress = _Progress(notebook)
    client = NotebookClient(
        notebook,
        kernel_manager_class=_ThisPython,
        resources={"metadata": {"path": str(path.parent)}},
        timeout=CELL_LIMIT_S,
        record_timing=False,
        shutdown_kernel="immediate",  # asked politely, one in thirty takes 3 s to end
        on_cell_execute=progress.starts,
        on_cell_executed=progress.ends,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise ChapterError(f"{progress.where}: {error.ename}: {error.evalue}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise ChapterError(f"{progress.where}: {error}") from None
    for cell in notebook.cells:
        if "raises-exception" in cell.metadata.get("tags", []) and not any(
            output.output_type == "error" for output in cell.outputs
        ):
            where = f"[{cell.execution_count}] {_first_line(cell.source)}"
            raise ChapterError(f"{where}: raised no exception")
    return notebook


def report(stored: NotebookNode, fresh: NotebookNode) -> int:
    """Print what differs from the stored run, cell by cell; return how many do."""
    differing = 0
    for before, after in zip(stored.cells, fresh.cells, strict=True):
        if before.cell_type != "code" or not (lines := difference(before, after)):
            continue
        differing += 1
        print(f"  [{after.execution_count}] {_first_line(after.source)}")
        for line in lines[:SHOWN_LINES]:
            print(f"      {line[:SHOWN_WIDTH]}")
        if len(lines) > SHOWN_LINES:
            print(f"      …… 还有 {len(lines) - SHOWN_LINES} 行")
    print(f"  {differing} 格与存档不同" if differing else "  与存档相同")
    return differing


def execute(path: Path, *, store: bool) -> None:
    """Run one chapter, keep the copy, report, and replace the stored run if asked."""
    print(_place(path))
    stored = nbformat.read(path, as_version=4)
    code = fingerprint(stored)  # before the run: an edit meanwhile must not count
    fresh = run(path)
    report(stored, fresh)
    copy = EXECUTED / _place(path)
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(fresh, copy)
    if store:
        fresh.metadata["dlsys"] = code
        nbformat.write(normalised(fresh), path)
        print("  已存档")


def refresh(path: Path) -> None:
    """Store a new run of a chapter whose code has changed; tidy the others."""
    notebook = nbformat.read(path, as_version=4)
    changed = changes(notebook.metadata.get("dlsys", {}), fingerprint(notebook))
    if changed:
        print(f"有改动：{'、'.join(changed)}")
        execute(path, store=True)
    else:
        print(f"{_place(path)}\n  代码未变")
        nbformat.write(normalised(notebook), path)


def refuse_to_store() -> str | None:
    """Say why a run on this machine must not become the stored one, if so."""
    if torch.cuda.is_available():
        return "只存档 CPU 上的运行：设环境变量 CUDA_VISIBLE_DEVICES= 后再来"
    installed = version("torch").split("+")[0]
    if installed != pinned_torch():
        return f"只存档 torch {pinned_torch()} 的运行，这里是 {installed}"
    return None


class _ThisPython(AsyncKernelManager):
    """Starts this Python; a `python3` kernel of the user's own is not asked."""

    @default("kernel_spec_manager")
    def _only_this_python(self) -> KernelSpecManager:
        return _OneKernel()


class _OneKernel(KernelSpecManager):
    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        quiet = ["--log-level=ERROR"]  # else each start warns of unencrypted loopback
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict(quiet))


class _Progress:
    """Prints each code cell as it starts, and its time as it ends."""

    def __init__(self, notebook: NotebookNode) -> None:
        self.total = sum(cell.cell_type == "code" for cell in notebook.cells)
        self.number = 0
        self.where = "before the first cell"

    def starts(self, cell: NotebookNode, cell_index: int) -> None:
        if cell.cell_type != "code":
            return
        self.number += 1
        self.where = f"[{self.number}] {_first_line(cell.source)}"
        print(f"  {self.number:3d}/{self.total}", end=" ", flush=True)
        self.started_s = time.perf_counter()

    def ends(self, cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        taken_s = time.perf_counter() - self.started_s
        print(f"{taken_s:6.1f} s  {_first_line(cell.source)}", flush=True)


def _first_line(code: str) -> str:
    return next(iter(code.strip().splitlines()), "")[:SHOWN_WIDTH]


def _place(path: Path) -> Path:
    """How a notebook is called, and where its copy goes: a part is in a folder."""
    inside = path.resolve().is_relative_to(CHAPTERS)
    return path.resolve().relative_to(CHAPTERS) if inside else Path(path.name)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dlsys_code.book.notebooks")
    parser.add_argument("what", choices=["execute", "refresh"])
    parser.add_argument("notebook", nargs="*", type=Path, help="default: all chapters")
    parser.add_argument("--store", action="store_true", help="replace stored outputs")
    asked = parser.parse_intermixed_args(arguments)
    if missing := [str(path) for path in asked.notebook if not path.is_file()]:
        parser.error(f"找不到 {'、'.join(missing)}")
    storing = asked.store or asked.what == "refresh"
    if storing and (reason := refuse_to_store()):
        parser.error(reason)
    try:
        for path in asked.notebook or notebooks():
            if asked.what == "refresh":
                refresh(path)
            else:
                execute(path, store=asked.store)
    except ChapterError as error:
        print(f"\n{_place(path)} {error}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
