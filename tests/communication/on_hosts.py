"""Programs that the tests run on the ranks of an emulated cluster."""

import os
import subprocess
from pathlib import Path

import torch
import torch.distributed as dist

from dlsys_code.primitive import ring
from dlsys_code.world import receive, send


def whereabouts() -> tuple[int, str, dict[str, str]]:
    """The network of this rank, the addresses in it, and what it was told."""
    inode = os.stat("/proc/self/ns/net").st_ino
    addresses = Path("/proc/self/net/fib_trie").read_text()
    names = ("GLOO_SOCKET_IFNAME", "GROUP_RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return inode, addresses, {name: os.environ[name] for name in names}


def sums(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ring's sum and gloo's."""
    x = torch.arange(float(count)) + dist.get_rank()
    theirs = x.clone()
    dist.all_reduce(theirs)
    return ring.all_reduce(x, dist.group.WORLD), theirs


def ring_of_ones(count: int) -> float:
    return ring.all_reduce(torch.ones(count), dist.group.WORLD)[0].item()


def one_way(source: int, destination: int, size: int) -> None:
    """One message; gloo's own handshake comes back."""
    x, everyone = torch.zeros(size, dtype=torch.uint8), dist.group.WORLD
    if dist.get_rank() == source:
        send(x, everyone, to=destination)
    elif dist.get_rank() == destination:
        receive(x, everyone, source=source)


def fail_on_three() -> None:
    if dist.get_rank() == 3:
        raise ValueError("no")
    dist.barrier()


def networks() -> set[int]:
    """Every network that a process lives in, by its number."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add((process / "ns/net").stat().st_ino)
        except OSError:
            continue
    return found


def devices() -> str:
    """The devices of the network that this process lives in."""
    return subprocess.run(
        ["ip", "-brief", "link"], capture_output=True, text=True
    ).stdout
