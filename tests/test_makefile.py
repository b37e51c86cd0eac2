"""make tells a newcomer what is missing, and leaves the torch of others alone.

A stand-in for Python records what it is asked to run as a module (pip, pytest, sphinx)
and passes everything else on, so the recipes run whole without installing anything.
"""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NO_SUCH_GPU = "99"
NEEDED = ["Makefile", "requirements.txt", "requirements-docs.txt", "pyproject.toml"]
RECORDER = f"""#!/bin/sh
if [ "$1" = -m ]; then
    echo "CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES $*" >> asked.txt
else
    exec {sys.executable} "$@"
fi
"""


@pytest.fixture
def make(tmp_path):
    """make(*arguments, python=script) -> (exit status, what it said, what it ran)."""
    if not shutil.which("make"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("make is not installed")
    for name in NEEDED:
        shutil.copy(ROOT / name, tmp_path)
    inherited = {"VENV", "PYTHON", "TORCH_INDEX", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    environment = {k: v for k, v in os.environ.items() if k not in inherited}

    def run(*arguments: str, python: str = RECORDER) -> tuple[int, str, list[str]]:
        script = tmp_path / "python"
        script.write_text(python)
        script.chmod(0o755)
        done = subprocess.run(
            ["make", "--no-print-directory", f"PYTHON={script}", *arguments],
            cwd=tmp_path,
            env=environment | {"CUDA_VISIBLE_DEVICES": NO_SUCH_GPU},
            capture_output=True,
            text=True,
        )
        asked = tmp_path / "asked.txt"
        ran = asked.read_text().splitlines() if asked.exists() else []
        return done.returncode, done.stdout + done.stderr, ran

    return run


def made_venv(folder: Path) -> None:
    """A .venv whose Python is the recorder."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/made.stamp").touch()
    python = folder / ".venv/bin/python"
    python.write_text(RECORDER)
    python.chmod(0o755)


def test_make_alone_lists_every_target(make):
    status, said, ran = make()
    assert status == 0 and ran == []
    listed = {line.split()[1] for line in said.splitlines()}
    assert listed >= {
        *("html", "serve", "test", "test-slow", "test-gpu"),
        *("execute", "refresh", "slides", "clean"),
    }


@pytest.mark.parametrize(
    "python, told",
    [
        ('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 || exit 1\n', "3.9.2"),
        ('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n', "python3-venv"),
    ],
    ids=["too old", "without venv"],
)
def test_a_python_that_will_not_do_is_named_in_one_line(make, python, told):
    status, said, _ = make("html", python=python)
    assert status != 0
    assert told in said.splitlines()[0]


def test_a_missing_python_is_named(make):
    status, said, _ = make("html", "PYTHON=python3.nowhere")
    assert status != 0
    assert "python3.nowhere" in said.splitlines()[0]


def test_html_installs_no_torch_and_is_strict(make, tmp_path):
    made_venv(tmp_path)
    _, _, (pip, sphinx) = make("html")
    assert pip.endswith("-r requirements-docs.txt")
    assert " -W --keep-going -n " in sphinx


def test_warnings_are_not_forgotten_by_the_next_run(make, tmp_path):
    """Sphinx skips pages that it has read; after a failure it must read them again."""
    made_venv(tmp_path)
    assert make("html")[0] == 0
    read = tmp_path / "_build/doctrees/page.doctree"
    read.parent.mkdir()
    read.touch()
    assert make("html")[0] == 0
    assert read.exists()

    python = tmp_path / ".venv/bin/python"
    python.write_text("#!/bin/sh\nexit 1\n")
    assert make("html")[0] != 0
    python.write_text(RECORDER)
    assert make("html")[0] == 0
    assert not read.exists()


def test_a_second_run_installs_nothing(make, tmp_path):
    made_venv(tmp_path)
    _, _, first = make("test")
    _, _, both = make("test")
    assert [line for line in both[len(first) :] if " pip " in line] == []


def test_test_forces_the_cpu_and_compares_outputs(make, tmp_path):
    made_venv(tmp_path)
    _, _, (pip, pytest_) = make("test")
    assert pip.endswith("-r requirements.txt -e .")
    assert pytest_.startswith("CUDA_VISIBLE_DEVICES= ")
    assert "--nbval --nbval-current-env" in pytest_ and "lax" not in pytest_
    assert pytest_.endswith("tests 04_AICluster")


def test_a_chosen_build_comes_first_and_another_choice_replaces_it(make, tmp_path):
    made_venv(tmp_path)
    cpu, cuda = "https://example.org/whl/cpu", "https://example.org/whl/cu126/"
    _, _, ran = make("test", f"TORCH_INDEX={cpu}")
    assert f"--index-url {cpu}" in ran[0] and ran[0].endswith("torch==2.13.0")
    assert "-r requirements.txt" in ran[2] and "--index-url" not in ran[2]
    _, _, again = make("test", f"TORCH_INDEX={cpu}")
    assert len(again) == len(ran) + 1  # pytest only
    _, _, other = make("test", f"TORCH_INDEX={cuda}")
    assert f"--index-url {cuda} --force-reinstall" in other[len(again)]


def test_an_active_environment_keeps_its_torch(make, tmp_path):
    _, _, (pip, _pytest) = make("test", "VENV=")
    assert "-c _build/torch.txt" in pip and "-r requirements.txt" not in pip
    constraint = (tmp_path / "_build/torch.txt").read_text()
    assert constraint == f"torch=={version('torch')}\n"
    rest = (tmp_path / "_build/without-torch.txt").read_text()
    assert "torch==" not in rest and "numpy==" in rest
    assert not (tmp_path / ".venv").exists()


def test_an_active_environment_without_torch_is_told_so(make):
    bare = RECORDER.replace(sys.executable, f"{sys.executable} -S")
    status, said, ran = make("test", "VENV=", python=bare)
    assert status != 0 and ran == []
    assert "没有 torch" in said.splitlines()[0]


def test_an_active_environment_takes_no_other_torch(make):
    status, said, ran = make("test", "VENV=", "TORCH_INDEX=https://example.org/cpu")
    assert status != 0 and ran == []
    assert "TORCH_INDEX" in said


def test_gpu_tests_fail_where_there_is_no_gpu(make):
    status, said, ran = make("test-gpu", "VENV=")
    assert status != 0
    assert "make test-gpu 要 GPU" in said
    assert not any(" pytest " in line for line in ran)


@pytest.mark.parametrize(
    "arguments, command",
    [
        (["execute"], f"{NO_SUCH_GPU} execute"),
        (["execute", "STORE=1"], " execute --store"),
        (["execute", "NOTEBOOKS=a.ipynb"], f"{NO_SUCH_GPU} execute a.ipynb"),
        (["refresh"], " refresh"),
    ],
)
def test_only_what_is_stored_forces_the_cpu(make, arguments, command):
    _, _, ran = make("VENV=", *arguments)
    value, words = command.split(" ", 1)
    module = "-m dlsys_code.book.notebooks"
    assert ran[-1] == f"CUDA_VISIBLE_DEVICES={value} {module} {words}"


def test_slides_installs_what_only_authors_need(make, tmp_path):
    made_venv(tmp_path)
    _, _, ran = make("slides", "DECKS=a.md")
    assert ran[-2].endswith("-r requirements-slides.txt")
    assert ran[-1].endswith("-m slides.make a.md")
