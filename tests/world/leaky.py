"""Programs that leave something behind, and one that looks for it."""

import logging
import os
import random
import subprocess
import sys
import threading
import warnings

import numpy as np
import torch
import torch.distributed as dist


def look() -> dict:
    """What a program may see of the programs before it."""
    module = torch.nn.Linear(2, 2)
    return {
        "random": [random.random(), torch.rand(3).tolist(), np.random.rand(3).tolist()],
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "made": torch.ones(1).device,
        "gradients": torch.is_grad_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "text": [str(torch.tensor([1 / 3])), str(np.array([1 / 3]))],
        "variables": dict(os.environ),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "filters": list(warnings.filters),
        "logging": (len(logging.root.handlers), logging.root.level),
        "streams": (type(sys.stdout).__name__, type(sys.stderr).__name__),
        "running": threading.active_count(),
        "groups": len(dist.distributed_c10d._world.pg_map),
        "forward": module(torch.ones(2)).shape,
    }


def spill():
    """Change all that can be put back."""
    random.seed(5)
    torch.manual_seed(5)
    np.random.seed(5)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("medium")
    torch.set_printoptions(precision=1)
    np.set_printoptions(precision=1)
    os.environ["LEAK"] = "1"
    os.environ.pop("HOME", None)
    os.chdir("/")
    sys.path.insert(0, "/leak")
    warnings.simplefilter("error")
    logging.basicConfig(level=logging.DEBUG, force=True)
    sys.stdout = sys.stderr = None
    torch.nn.modules.module.register_module_forward_hook(lambda *_: 1 / 0)
    dist.new_group([0])
    dist.new_group([0, 1])


def leave_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def leave_child():
    """A child that outlives the call."""
    subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def leave_no_world():
    dist.destroy_process_group()


def leave_pending_message():
    """Both ends of a message are posted, and nobody waits for them."""
    peer = 1 - dist.get_rank()
    dist.irecv(torch.empty(1), peer)
    dist.isend(torch.full((1,), 99.0), peer)


def exchange():
    """A right exchange: the number of the peer."""
    got, peer = torch.empty(1), 1 - dist.get_rank()
    sending = dist.isend(torch.tensor([float(dist.get_rank())]), peer)
    dist.recv(got, peer)
    sending.wait()
    return got.item()


def pid():
    return os.getpid()
