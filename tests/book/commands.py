"""How the tests call `python -m dlsys_code`, in this process and as a reader does."""

import os
import sys

import pytest

from dlsys_code.__main__ import main


def launch(name: str, *arguments: str, launcher: tuple[str, ...] = ()) -> dict:
    """What a subprocess needs: the command, no GPU, no variables of a launcher."""
    return {
        "args": [sys.executable, *launcher, "-m", "dlsys_code", name, *arguments],
        "env": os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        "text": True,
    }


def torchrun(ranks: int) -> tuple[str, ...]:
    """The launcher, for a job on this machine."""
    job = ("--standalone", "--nproc-per-node", str(ranks), "--max-restarts", "0")
    return ("-m", "torch.distributed.run", *job)


def call(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> int:
    """Run a command in this process."""
    monkeypatch.setattr(sys, "argv", ["dlsys_code", name, *arguments])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return main()


def assert_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    *command: str,
    complaint: str,
) -> None:
    """Bad arguments end a command with code 2 and one line, before anything runs."""
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, *command)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert complaint in said.err.splitlines()[-1]
    assert said.out == ""
