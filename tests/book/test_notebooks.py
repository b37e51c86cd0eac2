"""The committed notebooks keep the book's rules; the tool that stores them works."""

import sys
from pathlib import Path

import nbformat
import pytest
from arithmetic import NUMBER
from claims import shown
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from rules import faults, phrases, typography
from words import aliases_in

from dlsys_code.book import notebooks as tool
from dlsys_code.book.fingerprint import ROOT, changes, fingerprint
from dlsys_code.book.outputs import normalised

COMMITTED = tool.notebooks()


def name(path: Path) -> str:
    return path.relative_to(tool.CHAPTERS).as_posix()


def test_the_book_has_notebooks():
    assert COMMITTED


@pytest.mark.parametrize("path", COMMITTED, ids=name)
def test_a_notebook_keeps_the_rules(path):
    assert faults(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("path", COMMITTED, ids=name)
def test_a_notebook_is_valid_and_stored_in_one_form(path):
    """No trace of an editor, a machine or a clock.  `make refresh` puts it right."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    stored = path.read_text(encoding="utf-8")
    assert stored == nbformat.writes(normalised(notebook)) + "\n"


@pytest.mark.parametrize("path", COMMITTED, ids=name)
def test_stored_outputs_come_from_todays_code(path):
    notebook = nbformat.read(path, as_version=4)
    changed = changes(notebook.metadata.get("dlsys", {}), fingerprint(notebook))
    assert changed == [], f"{path.name} is stale: run make refresh"


DECKS = sorted(ROOT.glob("04_AICluster/slides/**/*.md"))
TEXTS = [ROOT / "README.md", *DECKS, *sorted(ROOT.glob("appendix/*.md"))]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_a_text_keeps_the_rules_of_prose(path):
    text = path.read_text(encoding="utf-8")
    aliases = () if path.name == "glossary.md" else aliases_in(text)
    assert [*phrases(text), *typography(text), *aliases] == []


@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.name)
def test_a_deck_has_its_numbers_from_its_chapter(path):
    """Those of two digits and more, which are not there by chance."""
    deck = {m[0] for m in NUMBER.finditer(path.read_text(encoding="utf-8"))}
    chapter = tool.CHAPTERS / path.relative_to(tool.CHAPTERS / "slides")
    cells = nbformat.read(chapter.with_suffix(".ipynb"), as_version=4).cells
    texts = [
        text for c in cells for text in (c.source, *map(shown, c.get("outputs", [])))
    ]
    known = {m[0] for text in texts for m in NUMBER.finditer(text)}
    assert len(deck) > (20 if path.parent.name == "slides" else 10)
    assert {number for number in deck - known if len(number) > 1} == set()


# ---------------------------------------------------------------- the rules

GOOD = [
    new_markdown_cell("先猜：和是多少"),
    new_code_cell("6 * 7", execution_count=1),
    new_markdown_cell("看 `C++！`：代码里的字不管"),
    new_code_cell(
        "t = 1", execution_count=2, metadata={"tags": ["nbval-ignore-output"]}
    ),
    new_code_cell("assert t > 0", execution_count=3),
]


def error_at(path: str):
    trace = [f"File {path}dlsys_code/world/pool.py:3", "RankError: rank 1"]
    return new_output("error", ename="RankError", evalue="rank 1", traceback=trace)


def code(source="1", **more):
    return new_code_cell(source, **{"execution_count": 1} | more)


def printed(lines: int):
    return new_output("stream", name="stdout", text="x\n" * lines)


def listing(lines: int):
    text = "x\n" * lines
    return new_output("display_data", {"text/plain": text, "text/markdown": text})


def test_a_good_notebook_has_no_faults():
    assert faults(new_notebook(cells=GOOD)) == []
    long_but_fits = code("1\n" * 15, outputs=[printed(20), listing(40)])
    assert faults(new_notebook(cells=[long_but_fits])) == []


@pytest.mark.parametrize(
    "cells, fault",
    [
        ([new_markdown_cell("好\n:::{note}")], "directive"),
        ([new_markdown_cell("```{figure} a.png\n```")], "directive"),
        ([new_markdown_cell("见 {numref}`figure-1`")], "role"),
        ([code("1\n" * 16)], "16 lines of code"),
        ([code(outputs=[printed(12), printed(9)])], "21 lines of output"),
        ([code(outputs=[listing(41)])], "listing of 41 lines"),
        ([code(execution_count=None)], "not run in order"),
        ([code(execution_count=2)], "not run in order"),
        ([code(), code(execution_count=2)], "no text between [1]"),
        ([code(metadata={"tags": ["nbval-skip"]})], "hides from nbval"),
        ([code("# NBVAL_SKIP\n1")], "hides from nbval"),
        ([code(metadata={"tags": ["nbval-ignore-output"]})], "asserts nothing"),
        ([new_markdown_cell("随着模型规模的发展，集群变大")], "随着模型规模的发展"),
        ([new_markdown_cell("环很快！")], "！"),
        ([new_markdown_cell("延迟很小")], "延迟 is called 时延"),
        ([new_markdown_cell("每个rank 发一次")], "每个 rank 发一次"),
        ([new_markdown_cell("发一次,收一次。")], "发一次，收一次"),
        ([code(outputs=[error_at("/srv/book/")])], "path of a machine"),
    ],
)
def test_each_rule_finds_its_fault(cells, fault):
    (found,) = faults(new_notebook(cells=cells))
    assert fault in found


# ---------------------------------------------------------------- the tool


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """chapter(*sources) is the path of a notebook in a book of its own."""
    monkeypatch.setattr(tool, "CHAPTERS", tmp_path)
    monkeypatch.setattr(tool, "EXECUTED", tmp_path / "_build")
    monkeypatch.setattr(tool, "refuse_to_store", lambda: None)

    def write(*cells, name: str = "01.sample") -> Path:
        cells = [new_code_cell(c) if isinstance(c, str) else c for c in cells]
        path = tmp_path / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(new_notebook(cells=cells), path)
        return path

    return write


def outputs(path: Path) -> list:
    return [c.outputs for c in nbformat.read(path, as_version=4).cells]


def test_execute_leaves_the_stored_run_alone_and_tells_what_differs(chapter, capsys):
    path = chapter("import sys; sys.executable", "print(6 * 7)")
    before = path.read_bytes()
    assert tool.main(["execute"]) == 0
    assert path.read_bytes() == before
    said = capsys.readouterr().out
    assert "+42" in said and "2 格与存档不同" in said
    copied = outputs(tool.EXECUTED / path.name)
    assert copied[0][0].data["text/plain"] == repr(sys.executable)
    assert copied[1][0].text == "42\n"


def test_parts_run_behind_their_chapter_each_in_its_folder(chapter, capsys):
    where = "from pathlib import Path; print(Path.cwd().name)"
    names = ["01.sample", "01.sample/01.a", "01.sample/10.b", "02.other"]
    paths = [chapter(where, name=name) for name in reversed(names)]
    assert tool.notebooks() == paths[::-1]
    assert tool.main(["execute", "--store"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.endswith(".ipynb")] == [
        f"{name}.ipynb" for name in names
    ]
    for path in paths:
        assert outputs(path)[0][0].text == f"{path.parent.name}\n"
    assert (tool.EXECUTED / "01.sample/10.b.ipynb").is_file()


def test_the_kernel_starts_in_the_folder_of_the_notebook(chapter):
    path = chapter("from pathlib import Path; print(Path.cwd())")
    assert tool.run(path).cells[0].outputs[0].text == f"{path.parent}\n"


def test_storing_makes_the_next_run_agree_and_the_notebook_fit_to_commit(
    chapter, capsys
):
    path = chapter("from dlsys_code.book import source", "print(6 * 7)")
    assert tool.main(["execute", "--store", str(path)]) == 0
    stored = nbformat.read(path, as_version=4)
    assert path.read_text() == nbformat.writes(normalised(stored)) + "\n"
    assert changes(stored.metadata["dlsys"], fingerprint(stored)) == []
    capsys.readouterr()
    assert tool.main(["execute", str(path)]) == 0
    assert "与存档相同" in capsys.readouterr().out


def test_refresh_runs_only_what_has_changed(chapter, capsys):
    path = chapter("print(1)")
    assert tool.main(["refresh"]) == 0
    first = path.read_bytes()
    capsys.readouterr()

    assert tool.main(["refresh"]) == 0
    assert "代码未变" in capsys.readouterr().out
    assert path.read_bytes() == first

    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "print(2)"
    nbformat.write(notebook, path)
    assert tool.main(["refresh"]) == 0
    said = capsys.readouterr().out
    assert "有改动：cells" in said and "-1\n" in said and "+2\n" in said
    assert outputs(path)[0][0].text == "2\n"


def test_refresh_tidies_what_an_editor_left(chapter):
    path = chapter("1 + 1")
    tool.main(["refresh"])
    tidy = path.read_bytes()
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata["execution"] = {"iopub.status.busy": "2026-01-01"}
    notebook.metadata["widgets"] = {}
    nbformat.write(notebook, path)
    tool.main(["refresh"])
    assert path.read_bytes() == tidy


@pytest.mark.parametrize("command", [["execute"], ["refresh"]])
def test_a_cell_error_ends_the_run_and_stores_nothing(chapter, capsys, command):
    path = chapter("x = 1", "x / 0", "print('never')")
    before = path.read_bytes()
    assert tool.main(command) == 1
    said = capsys.readouterr().out
    assert "01.sample.ipynb [2] x / 0: ZeroDivisionError: division by zero" in said
    assert "never" not in said
    assert path.read_bytes() == before


def test_a_cell_that_kills_its_kernel_is_named(chapter, capsys):
    chapter("import os, signal", "os.kill(os.getpid(), signal.SIGKILL)")
    assert tool.main(["execute"]) == 1
    assert "[2] os.kill" in capsys.readouterr().out.splitlines()[-1]


def test_a_shown_failure_is_stored_and_has_to_fail(chapter, capsys):
    shown = {"tags": ["raises-exception"]}
    path = chapter(new_code_cell("1 / 0", metadata=shown), "print('goes on')")
    assert tool.main(["execute", "--store"]) == 0
    assert outputs(path)[0][0].ename == "ZeroDivisionError"
    chapter(new_code_cell("1 / 1", metadata=shown))
    assert tool.main(["execute"]) == 1
    assert "[1] 1 / 1: raised no exception" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["execute", "--store"], ["refresh"]])
def test_a_run_that_could_see_a_gpu_is_not_stored(monkeypatch, capsys, command):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(tool, "run", lambda path: pytest.fail("must not run"))
    with pytest.raises(SystemExit) as stopped:
        tool.main(command)
    assert stopped.value.code != 0
    assert "CUDA_VISIBLE_DEVICES=" in capsys.readouterr().err


def test_another_torch_than_the_pinned_one_is_not_stored(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(tool, "version", lambda name: "2.12.1+cpu")
    assert "2.12.1" in tool.refuse_to_store()
    pinned = tool.pinned_torch()
    monkeypatch.setattr(tool, "version", lambda name: f"{pinned}+cpu")
    assert tool.refuse_to_store() is None
