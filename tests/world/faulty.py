"""Programs that fail on one rank while the others wait for it."""

import ctypes
import importlib
import os
import re
import signal
import sys
import threading
import time

import torch
import torch.distributed as dist


def in_all_reduce():
    dist.all_reduce(torch.ones(4))


def in_recv():
    dist.recv(torch.ones(4), (dist.get_rank() + 1) % dist.get_world_size())


def in_barrier():
    dist.barrier()


def in_async_work():
    dist.all_reduce(torch.ones(4), async_op=True).wait()


WAITS = [in_all_reduce, in_recv, in_barrier, in_async_work]


def fail(rank, fault, wait=in_all_reduce):
    """Run `fault` on one rank while the others wait."""
    if dist.get_rank() == rank:
        return fault()
    wait()


def raise_value_error():
    raise ValueError("bad shape")


def exit_politely():
    sys.exit(3)


def exit_at_once():
    os._exit(3)


def segfault():
    ctypes.string_at(0)


def send_sigkill():
    os.kill(os.getpid(), signal.SIGKILL)


def send_sigterm():
    os.kill(os.getpid(), signal.SIGTERM)


def send_sigstop():
    os.kill(os.getpid(), signal.SIGSTOP)


def loop():
    while True:
        pass


def loop_in_c():
    re.match(r"(a+)+$", "a" * 40 + "b")


def loop_deep(depth=150):
    if depth:
        loop_deep(depth - 1)
    loop()


def sleep():
    time.sleep(1000)


def recurse():
    recurse()


def return_lock():
    in_all_reduce()
    return threading.Lock()


class Unloadable:
    """Its pickle calls int("x")."""

    def __reduce__(self):
        return int, ("x",)


def return_unloadable():
    in_all_reduce()
    return Unloadable()


class Unprintable(Exception):
    """An exception without a text."""

    def __str__(self):
        raise RuntimeError("no text")


def raise_unprintable():
    raise Unprintable


def raise_from_another():
    try:
        {}["weights"]
    except KeyError as error:
        raise RuntimeError("cannot load") from error


def raise_while_handling():
    try:
        {}["weights"]
    except KeyError:
        raise_value_error()


def run_out_of_memory():
    bytearray(1 << 60)


def import_broken_module():
    importlib.import_module("broken")


def multiply_odd_shapes():
    torch.ones(3) @ torch.ones(4)


def send_head_on():
    peer = dist.get_rank() ^ 1
    dist.send(torch.ones(4), peer)
    dist.recv(torch.ones(4), peer)


def all_but(rank):
    if dist.get_rank() != rank:
        dist.all_reduce(torch.ones(4))


def rank_of():
    return dist.get_rank()


def in_nothing():
    """Waits for nobody."""
