"""A fingerprint changes with the code behind the outputs, and with nothing else."""

from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from dlsys_code.book.fingerprint import ROOT, changes, fingerprint

FILES = {
    "requirements.txt": "# pins\ntorch==2.13.0\nnumpy==2.4.6\n",
    "dlsys_code/__init__.py": "",
    "dlsys_code/world/__init__.py": "from dlsys_code.world.pool import World\n",
    "dlsys_code/world/pool.py": "class World: ...\n",
    "dlsys_code/primitive/__init__.py": "",
    "dlsys_code/primitive/ring.py": "def f():\n    import dlsys_code.primitive.tree\n",
    "dlsys_code/primitive/tree.py": "from dlsys_code.primitive import ring\n",
    "dlsys_code/primitive/unused.py": "",
    "dlsys_code/primitive/priced.py": "TABLE = 'links.csv'\n",
    "dlsys_code/data/links.csv": "name,beta\n",
    "dlsys_code/data/unused.csv": "name,beta\n",
}


@pytest.fixture
def root(tmp_path) -> Path:
    """A repository with a small package."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def notebook(*sources: str):
    return new_notebook(cells=[new_code_cell(source) for source in sources])


RING = "from dlsys_code.primitive import ring"


@pytest.mark.parametrize(
    "cell, behind",
    [
        ("import torch", []),
        ("import dlsys_code", ["__init__"]),
        (RING, ["__init__", "primitive/__init__", "primitive/ring", "primitive/tree"]),
        (
            "%matplotlib inline\nfrom dlsys_code.world import World",
            ["__init__", "world/__init__", "world/pool"],
        ),
        (
            "def program():\n    import dlsys_code.world.pool as pool",
            ["__init__", "world/__init__", "world/pool"],
        ),
        ("if True print(1)", []),
    ],
)
def test_files_are_those_imported_directly_and_through_one_another(root, cell, behind):
    found = fingerprint(notebook(cell), root)["files"]
    assert list(found) == [f"dlsys_code/{name}.py" for name in behind]


def test_a_table_counts_where_a_file_names_it(root):
    found = fingerprint(notebook("import dlsys_code.primitive.priced"), root)["files"]
    assert "dlsys_code/data/links.csv" in found
    assert "dlsys_code/data/unused.csv" not in found


@pytest.mark.parametrize(
    "path",
    ["dlsys_code/primitive/ring.py", "dlsys_code/primitive/tree.py"],
)
def test_an_edit_of_a_file_behind_is_named(root, path):
    before = fingerprint(notebook(RING), root)
    with open(root / path, "a") as file:
        file.write("# one more line\n")
    assert changes(before, fingerprint(notebook(RING), root)) == [path]


def test_an_edit_of_another_file_changes_nothing(root):
    before = fingerprint(notebook(RING), root)
    (root / "dlsys_code/primitive/unused.py").write_text("x = 1\n")
    (root / "requirements.txt").write_text("torch==2.13.0\nnumpy==2.5.0\n")
    assert changes(before, fingerprint(notebook(RING), root)) == []


def test_another_pin_of_torch_is_named(root):
    before = fingerprint(notebook(RING), root)
    (root / "requirements.txt").write_text("torch==2.14.0\n")
    assert changes(before, fingerprint(notebook(RING), root)) == ["torch"]


def test_a_removed_file_is_named(root):
    before = fingerprint(notebook(RING), root)
    (root / "dlsys_code/primitive/tree.py").unlink()
    after = fingerprint(notebook(RING), root)
    assert changes(before, after) == ["dlsys_code/primitive/tree.py"]


def test_code_and_tags_count_but_prose_and_outputs_do_not(root):
    told = notebook("1 + 1")
    before = fingerprint(told, root)
    told.cells.insert(0, new_markdown_cell("说明"))
    told.cells[1].outputs = [new_output("stream", text="2")]
    told.cells[1].execution_count = 5
    assert changes(before, fingerprint(told, root)) == []
    assert changes(before, fingerprint(notebook("1 + 2"), root)) == ["cells"]
    told.cells[1].metadata["tags"] = ["raises-exception"]
    assert changes(before, fingerprint(told, root)) == ["cells"]


def test_a_notebook_that_was_never_stored_has_changed():
    now = fingerprint(notebook("1 + 1"), ROOT)
    assert changes({}, now) == ["cells", "torch"]
