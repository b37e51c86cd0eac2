"""An edited module takes effect at the next call."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dlsys_code
from dlsys_code.world import RankError, World


@pytest.fixture
def pair():
    with World(2, device="cpu", timeout_s=30) as world:
        yield world


@pytest.mark.usefixtures("turn")
def test_an_edited_module_beside_the_script_is_read_again(pair, tmp_path, monkeypatch):
    module = tmp_path / "edited_module.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "edited_module", raising=False)
    module.write_text("def answer():\n    return 1\n")
    program = importlib.import_module("edited_module").answer
    for number in (1, 2, 3):
        module.write_text(f"def answer():\n    return {number}\n")
        assert pair(program) == [number, number]


def test_a_file_written_after_the_first_call_is_found(pair, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def import_late():
        return importlib.import_module("written_late").number

    with pytest.raises(RankError, match="No module named 'written_late'"):
        pair(import_late)
    (tmp_path / "written_late.py").write_text("number = 4\n")
    assert pair(import_late) == [4, 4]


def test_the_error_shows_the_edited_line(pair, tmp_path, monkeypatch):
    module = tmp_path / "faulty_module.py"
    monkeypatch.syspath_prepend(tmp_path)
    module.write_text("def fail():\n    raise ValueError(1)\n")
    program = importlib.import_module("faulty_module").fail
    for number in (1, 22):
        module.write_text(f"def fail():\n    raise ValueError({number})\n")
        with pytest.raises(RankError) as caught:
            pair(program)
        assert str(caught.value).endswith(f"raise ValueError({number})")
    sys.modules.pop("faulty_module")


SCRIPT = """
from pathlib import Path
from dlsys_code.probe import answer
from dlsys_code.world import World

world = World(2, device="cpu")
print(world(answer))
source = Path({probe!r})
source.write_text(source.read_text().replace("1", "2"))
print(world(answer))
"""


def test_an_edited_file_of_the_package_is_read_again(tmp_path):
    copy = tmp_path / "dlsys_code"
    shutil.copytree(Path(dlsys_code.__file__).parent, copy)
    probe = copy / "probe.py"
    probe.write_text("def answer():\n    return 1\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(probe=str(probe)))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100
    )
    assert done.stdout.splitlines() == ["[1, 1]", "[2, 2]"], done.stderr
