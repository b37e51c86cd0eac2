"""The script in README.md prints what README.md says, however it is started."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
LAUNCHERS = {
    "python": [],
    "torchrun": ["-m", "torch.distributed.run", "--nproc-per-node", "4"],
}


def block(language: str) -> str:
    """The one block of README.md in that language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.M)
    return found


@pytest.mark.parametrize(
    "launcher", ["python", pytest.param("torchrun", marks=pytest.mark.slow)]
)
def test_the_script_prints_what_the_readme_says(tmp_path, launcher):
    script = tmp_path / "total.py"
    script.write_text(block("python"))
    done = subprocess.run(
        [sys.executable, *LAUNCHERS[launcher], str(script)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    assert done.stdout == block("text")


def test_every_target_that_the_readme_names_exists():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", README))
    assert {"html", "test"} <= named
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
