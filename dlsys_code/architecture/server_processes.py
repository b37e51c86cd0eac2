r"""Servers in processes of their own, whose death the others survive.

A World is made so that all its ranks end together.  What is to go on without one of its
parts shares nothing with it but pipes::

    client 0  client 1  ...
       |  \    /  |
       |    \/    |                a pipe from every client to every server
       |  /    \  |
    server 0 --- server 1          primary, backup

A pipe ends when one side does, and no other process holds its ends.  So a server ends
by itself when it has no clients any more, also when they were killed: nothing is left
behind.  One server is a primary whose backup has never been there.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014, sections 4.4 and 4.5.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

from dlsys_code.architecture.client import Client
from dlsys_code.architecture.keys import Values
from dlsys_code.architecture.parameter_server import MakeOptimizer, Shard
from dlsys_code.architecture.replicas import Replica, Watch, follow, lead
from dlsys_code.world.guard import leave_session
from dlsys_code.world.parcel import pack, unpack
from dlsys_code.world.starting import starting

WatchAll = Callable[[str, str, int], None]  # who, what has just happened, which step
Start = Callable[..., BaseProcess]


def ignore(who: str, event: str, step: int) -> None:
    """Watch nothing."""


def kill_at(doomed: str, event: str, step: int) -> WatchAll:
    """Return a watch that kills a process at an event, as if by power failure."""

    def watch(*what: object) -> None:
        if what == (doomed, event, step):
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


@contextmanager
def processes() -> Iterator[Start]:
    """Give a function that starts processes; end all of them with the block.

    `start(program, settings, *ends)` runs `program(*settings, *ends)` in a new process,
    and lets go of the ends of pipes here, so that they end with the process.
    """
    started: list[BaseProcess] = []

    def start(program: Callable, settings: tuple, *ends: object) -> BaseProcess:
        with starting() as context:
            args = (pack((program, settings)), *ends)
            process = context.Process(target=begin, args=args, daemon=True)
            process.start()
        started.append(process)
        for end in ends:
            end.close()
        return process

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.join()
            process.close()


def begin(body: bytes, *ends: object) -> None:
    """Run a program in a new process."""
    leave_session()
    torch.set_num_threads(1)
    program, settings = unpack(body)
    program(*settings, *ends)


def start_servers(
    start: Start,
    weights: Values,
    make_optimizer: MakeOptimizer,
    *,
    clients: int,
    replicas: int = 2,
    watch: WatchAll = ignore,
) -> tuple[list[Client], list[BaseProcess]]:
    """Start one server or two that hold the same keys; return clients and processes.

    watch: is told "pushed", "updated", "copied", "acknowledged" of "server 0" and 1.
    Errors: ValueError for another number of replicas, less than 1 client, or no key.
    """
    if replicas not in (1, 2) or clients < 1:
        raise ValueError(
            f"1 or 2 servers have at least 1 client, not {replicas} and {clients}"
        )
    if not weights:
        raise ValueError("servers hold at least 1 key, not 0")
    pipes = [[Pipe() for _ in range(clients)] for _ in range(replicas)]
    between = Pipe()
    servers = []
    for r, serve in enumerate((serve_as_primary, serve_as_backup)[:replicas]):
        settings = (weights, make_optimizer, partial(watch, f"server {r}"))
        its_ends = [its_end for _, its_end in pipes[r]]
        servers.append(start(serve, settings, between[r], *its_ends))
    between[-1].close()  # where there is no backup, it is gone before it is asked
    return [Client([row[c][0] for row in pipes]) for c in range(clients)], servers


def serve_as_primary(
    weights: Values,
    make_optimizer: MakeOptimizer,
    watch: Watch,
    backup: Connection,
    *workers: Connection,
) -> None:
    """Be the server that the workers ask first."""
    replica = Replica(Shard(weights, make_optimizer), watch)
    lead(replica, dict(enumerate(workers)), backup)


def serve_as_backup(
    weights: Values,
    make_optimizer: MakeOptimizer,
    watch: Watch,
    primary: Connection,
    *workers: Connection,
) -> None:
    """Follow the primary; when it is gone, take its place without a backup."""
    replica = Replica(Shard(weights, make_optimizer), watch)
    follow(replica, primary)
    lead(replica, dict(enumerate(workers)), primary)
