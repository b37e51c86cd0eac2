"""Outputs are compared as nbval does, and stored without traces of a machine."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from dlsys_code.book.outputs import difference, merge_streams, normalised


def out(text: str):
    return new_output("stream", name="stdout", text=text)


def err(text: str):
    return new_output("stream", name="stderr", text=text)


def shown(**data: str):
    """shown(text_plain="1") is a result with that MIME type."""
    mimes = {mime.replace("_", "/"): text for mime, text in data.items()}
    return new_output("execute_result", mimes)


def error(value: str, trace: str = "line 1"):
    return new_output("error", ename="E", evalue=value, traceback=[trace])


def diff(stored: list, fresh: list, tags: tuple[str, ...] = ()) -> list[str]:
    metadata = {"tags": list(tags)}
    return difference(
        new_code_cell("1", outputs=stored, metadata=metadata),
        new_code_cell("1", outputs=fresh, metadata=metadata),
    )


@pytest.mark.parametrize(
    "stored, fresh",
    [
        ([], []),
        ([out("a\nb\n")], [out("a\n"), out("b\n")]),
        ([shown(text_plain="1")], [shown(text_plain="1")]),
        ([shown(image_png="old")], [shown(image_png="new")]),
        ([error("rank 1", "/here")], [error("rank 1", "/there")]),
    ],
)
def test_runs_that_agree(stored, fresh):
    assert diff(stored, fresh) == []


@pytest.mark.parametrize(
    "stored, fresh, line",
    [
        ([out("a\n")], [out("b\n")], "+b"),
        ([out("a\n")], [err("a\n")], "+[stderr]"),
        ([shown(text_plain="1")], [shown(text_plain="2")], "-1"),
        ([shown(**{"image_svg+xml": "a"})], [shown(**{"image_svg+xml": "b"})], "+b"),
        ([shown(image_png="x")], [], "-[image/png]"),
        ([error("rank 1")], [error("rank 2")], "+E: rank 2"),
        ([], [error("rank 2")], "+E: rank 2"),
    ],
)
def test_runs_that_differ(stored, fresh, line):
    assert line in diff(stored, fresh)


def test_a_cell_with_ignored_output_is_compared_by_kind():
    ignored = ("nbval-ignore-output",)
    assert diff([out("1.3 s")], [out("1.4 s")], ignored) == []
    assert diff([shown(text_plain="1")], [shown(text_plain="2")], ignored) == []
    assert "+[error]" in diff([out("1.3 s")], [error("rank 1")], ignored)


def test_only_neighbouring_pieces_of_one_stream_are_joined():
    merged = merge_streams(
        [out("a"), out("b"), err("c"), out("d"), shown(text_plain="")]
    )
    assert [piece.get("text") for piece in merged] == ["ab", "c", "d", None]


def test_what_is_stored_does_not_tell_the_machine():
    traces = [
        "File \x1b[39m\x1b[32m/srv/a book/dlsys_code/world/pool.py:7\x1b[39m, in call",
        "File ~/book/.venv/lib/python3.11/site-packages/torch/nn/a.py:1, in f",
        "File /usr/local/lib/python3.11/ast.py:2, in parse",
        r"File C:\Users\zhu\book\dlsys_code\world\pool.py:7, in call",
        "Cell In[3], line 1\n----> 1 a / b",
    ]
    cell = new_code_cell("1", outputs=[error("rank 1", trace) for trace in traces])
    cell.metadata.update(tags=["raises-exception"], vscode={}, collapsed=True)
    metadata = {
        "kernelspec": {"name": "my-env", "display_name": "my-env"},
        "language_info": {"name": "python", "version": "3.11.7"},
        "widgets": {},
        "dlsys": {"torch": "2.13.0"},
    }
    clean = normalised(new_notebook(cells=[cell], metadata=metadata))
    assert [output.traceback[0] for output in clean.cells[0].outputs] == [
        "File \x1b[39m\x1b[32mdlsys_code/world/pool.py:7\x1b[39m, in call",
        "File torch/nn/a.py:1, in f",
        "File ast.py:2, in parse",
        r"File dlsys_code\world\pool.py:7, in call",
        "Cell In[3], line 1\n----> 1 a / b",
    ]
    assert clean.cells[0].metadata == {"tags": ["raises-exception"]}
    assert clean.metadata.keys() == {"kernelspec", "language_info", "dlsys"}
    assert clean.metadata.kernelspec.name == "python3"
    assert "version" not in clean.metadata.language_info
    assert normalised(clean) == clean
