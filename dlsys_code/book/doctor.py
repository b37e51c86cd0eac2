"""What this machine can do for the book, and what stands in the way.

`python -m dlsys_code doctor` prints one line for each finding, and under a problem one
line with its cure.  Every finding is tried, not guessed: ranks are started, a port is
opened, a namespace is made.
"""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from dlsys_code.communication.hosts import why_not
from dlsys_code.introduction.units import MiB, show_bytes
from dlsys_code.world import RankError, World

NEEDED_SHARED_MEMORY = 256 * MiB  # bytes; a container often gets 64 MiB
SPARE = 0.5  # of the free memory is left to everything else


@dataclass(frozen=True)
class Finding:
    """One line about the machine.  cure: what to do, where something is wrong.

    fatal: the book's programs cannot run before the cure.
    """

    text: str
    cure: str = ""
    fatal: bool = False


def main() -> int:
    """Print all findings; return 1 if one of them is fatal, else 0."""
    findings = [*software(), *gpus(), *ports(), *ranks(), *shared_memory()]
    findings += namespaces()
    for finding in findings:
        print(f"[{'问题' if finding.cure else '正常'}] {finding.text}")
        if finding.cure:
            print(f"       办法：{finding.cure}")
    return int(any(finding.fatal for finding in findings))


def software() -> Iterable[Finding]:
    """Say which Python, torch and system this is."""
    system = f"{platform.system()} {platform.machine()}"
    yield Finding(
        f"Python {platform.python_version()}，torch {torch.__version__}，{system}"
    )


def gpus() -> Iterable[Finding]:
    """Say which device and backend the ranks will use; find a GPU left unused."""
    count = torch.cuda.device_count()
    if count:
        yield Finding(
            f"{count} 块 GPU：rank 数不超过 {count} 时用 cuda 和 NCCL，"
            "超过时用 CPU 和 gloo"
        )
        return
    yield Finding("没有可用的 GPU：所有 rank 用 CPU 和 gloo，全书都能运行")
    if os.environ.get("CUDA_VISIBLE_DEVICES", "unset").strip() in ("", "-1"):
        return  # hidden on purpose
    if has_nvidia_driver():
        yield Finding("这台机器装了 NVIDIA 驱动，torch 却用不上 GPU", cure_for_gpu())


def has_nvidia_driver() -> bool:
    """Return whether the system shows an NVIDIA GPU to its users."""
    return Path("/proc/driver/nvidia/version").exists() or bool(
        shutil.which("nvidia-smi")
    )


def cure_for_gpu() -> str:
    """Return what to do about a GPU that torch does not see."""
    if torch.version.cuda is None:
        return "现在的 torch 是 CPU 版：用 make test TORCH_INDEX=… 换成 CUDA 版"
    return f"torch 要 CUDA {torch.version.cuda}：更新驱动，再看 nvidia-smi 是否列出 GPU"


def ports() -> Iterable[Finding]:
    """Open a port on loopback, as every rank does."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
            with socket.create_connection(address, timeout=5):
                yield Finding("本机端口：127.0.0.1 可以监听和连接")
    except OSError as error:
        cure = "检查防火墙和沙箱是否拦住了 127.0.0.1"
        yield Finding(f"本机端口打不开：{error}", cure, fatal=True)


def ranks() -> Iterable[Finding]:
    """Start two ranks, let them add, and work out how many would fit."""
    try:
        with World(2, device="cpu", timeout_s=60) as world:
            needed = max(world(memory_of_a_rank))
    except RankError as error:
        cure = "若提到 hostname 或 interface，先运行 export GLOO_SOCKET_IFNAME=lo"
        yield Finding(f"两个 rank 没能完成一次 all-reduce：{error}", cure, fatal=True)
        return
    cores, free = os.cpu_count(), free_memory()
    yield Finding(f"两个 rank 完成了 all-reduce；这台机器有 {cores} 个核")
    if free is None or needed is None:
        return
    fits = int(free * SPARE / needed)
    text = f"空闲内存 {show_bytes(free)}，一个 rank 占 {show_bytes(needed)}"
    cure = "" if fits >= 8 else "关掉别的程序：书中最多同时用 8 个 rank"
    yield Finding(f"{text}，留一半余量可开约 {fits} 个 rank", cure)


def memory_of_a_rank() -> int | None:
    """Add up ones over the ranks; return the bytes that only this rank uses."""
    total = torch.ones(1)
    dist.all_reduce(total)
    if total.item() != dist.get_world_size():
        raise RuntimeError(f"the sum of ones is {total.item()}")
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) * 1024 for line in lines if "Private" in line)


def free_memory() -> int | None:
    """Return the memory that programs can still take [bytes], None if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))


def shared_memory(folder: Path = Path("/dev/shm")) -> Iterable[Finding]:
    """Say how much memory ranks can share, where the system has a place for it."""
    if not folder.is_dir():
        return
    free = shutil.disk_usage(folder).free
    text = f"共享内存 {folder} 有 {show_bytes(free)}"
    few = free < NEEDED_SHARED_MEMORY
    yield Finding(text, "容器用 --shm-size=1g 启动" if few else "")


def namespaces() -> Iterable[Finding]:
    """Say whether a cluster can be emulated, and why not."""
    reason = why_not()
    if reason is None:
        yield Finding("可以建网络命名空间：能在一台机器上造一个集群")
        return
    text = f"不能在一台机器上造一个集群，第 03 章改用存档的一次运行：{reason}"
    linux = sys.platform == "linux"
    yield Finding(
        text, "装好 iproute2，用 root 运行或允许用户命名空间" if linux else ""
    )
