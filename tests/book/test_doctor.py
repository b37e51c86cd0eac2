"""The doctor's findings: on this machine, and on machines with something missing."""

import subprocess
import sys
from collections import namedtuple

import pytest
import torch

from dlsys_code.__main__ import main as command
from dlsys_code.book import doctor
from dlsys_code.world import RankError
from dlsys_code.world.failure import Failure

Usage = namedtuple("Usage", "total used free")


def texts(findings) -> str:
    return "\n".join(f"{f.text} | {f.cure}" for f in findings)


def test_the_command_finds_this_machine_fit():
    run = subprocess.run(
        [sys.executable, "-m", "dlsys_code", "doctor"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"torch {torch.__version__}" in run.stdout
    assert "两个 rank 完成了 all-reduce" in run.stdout


def test_an_unknown_command_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["dlsys_code", "docter"])
    with pytest.raises(SystemExit) as refused:
        command()
    assert refused.value.code == 2
    assert "docter" in capsys.readouterr().err


def test_a_gpu_that_torch_cannot_use_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "CPU 版" in list(doctor.gpus())[-1].cure
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    assert "CUDA 12.6" in list(doctor.gpus())[-1].cure


def test_a_gpu_hidden_on_purpose_is_no_problem(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not any(f.cure for f in doctor.gpus())


def test_gpus_are_counted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert "4 块 GPU" in texts(doctor.gpus())


def test_a_closed_loopback_is_fatal(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("not permitted")

    monkeypatch.setattr(doctor.socket, "create_server", refuse)
    (finding,) = doctor.ports()
    assert finding.fatal and "not permitted" in finding.text


def test_ranks_that_cannot_talk_are_fatal(monkeypatch):
    class Broken:
        def __init__(self, *_: object, **__: object):
            failure = Failure(rank=0, kind="raised", cause="no interface")
            raise RankError("rank 0 of 2 failed: no interface", failure)

    monkeypatch.setattr(doctor, "World", Broken)
    (finding,) = doctor.ranks()
    assert finding.fatal and "no interface" in finding.text
    assert "GLOO_SOCKET_IFNAME" in finding.cure


def test_little_memory_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "free_memory", lambda: 20 * 2**20)
    assert "关掉别的程序" in list(doctor.ranks())[-1].cure


@pytest.mark.parametrize(("free", "problem"), [(64 * 2**20, True), (2**31, False)])
def test_a_small_shared_memory_is_a_problem(monkeypatch, tmp_path, free, problem):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage(free, 0, free))
    (finding,) = doctor.shared_memory(tmp_path)
    assert bool(finding.cure) == problem


def test_forbidden_namespaces_are_a_problem_and_a_missing_system_is_none(monkeypatch):
    monkeypatch.setattr(doctor, "why_not", lambda: "unshare: not permitted")
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    (finding,) = doctor.namespaces()
    assert "not permitted" in finding.text and "root" in finding.cure
    monkeypatch.setattr(doctor.sys, "platform", "darwin")
    (finding,) = doctor.namespaces()
    assert "存档" in finding.text and not finding.cure
    monkeypatch.setattr(doctor, "why_not", lambda: None)
    (finding,) = doctor.namespaces()
    assert not finding.cure
