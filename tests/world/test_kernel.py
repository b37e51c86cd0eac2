"""A World in a notebook: cells define what it runs, and the kernel can be stopped."""

import os
import signal

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """
import os, time
from dataclasses import dataclass
import torch, torch.distributed as dist
from dlsys_code.world import World
world = World(2, device="cpu")

@dataclass
class Report:
    rank: int
    total: torch.Tensor

    def doubled(self):
        return helper(self.total)

def helper(x):
    return 2 * x

def program():
    x = torch.tensor([float(dist.get_rank())])
    dist.all_reduce(x)
    print("rank", dist.get_rank(), "of", dist.get_world_size())
    return Report(dist.get_rank(), x)

class Lost(Exception):
    pass

def fail():
    if dist.get_rank() == 1:
        raise Lost("no way")
    dist.barrier()
"""


class Kernel:
    """A kernel that runs cells; `run` returns stdout, the result and the error."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3")
        self.process = psutil.Process(self.manager.provisioner.pid)

    def begin(self, code: str) -> str:
        return self.client.execute(code)

    def finish(self, request: str, on_print=lambda text: None) -> tuple:
        text, result, error = "", None, None
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                text += content["text"]
                on_print(content["text"])
            elif kind == "execute_result":
                result = content["data"]["text/plain"]
            elif kind == "error":
                error = content
            elif kind == "status" and content["execution_state"] == "idle":
                return text, result, error

    def run(self, code: str) -> tuple:
        return self.finish(self.begin(code))


@pytest.fixture
def kernel():
    started = Kernel()
    yield started
    started.client.stop_channels()
    started.manager.shutdown_kernel(now=True)


@pytest.mark.usefixtures("turn")
def test_a_notebook_from_its_first_cell_to_the_death_of_its_kernel(kernel):
    assert kernel.run(SETUP)[2] is None
    text, result, _ = kernel.run("[r.doubled().item() for r in world(program)]")
    assert text == "[rank 0] rank 0 of 2\n[rank 1] rank 1 of 2\n"
    assert result == "[2.0, 2.0]"
    assert kernel.run("isinstance(world(program)[1], Report)")[1] == "True"

    _, _, error = kernel.run("world(fail)")
    line = SETUP.strip().splitlines().index('        raise Lost("no way")') + 1
    assert error["ename"] == "RankError"
    assert error["evalue"].splitlines() == [
        "rank 1 of 2 failed in fail(): Lost: no way",
        f"  <cell> line {line}, in fail",
        '    raise Lost("no way")',
    ]
    assert error["traceback"] == [f"RankError: {error['evalue']}"]

    request = kernel.begin("print('begun'); world(lambda: time.sleep(1000))")

    def interrupt(text: str) -> None:
        if "begun" in text:
            os.killpg(kernel.process.pid, signal.SIGINT)

    assert kernel.finish(request, interrupt)[2]["ename"] == "KeyboardInterrupt"
    assert kernel.run("world(dist.get_rank)")[1] == "[0, 1]"

    request = kernel.begin("print('begun'); world(lambda: time.sleep(1000))")
    running = kernel.process.children(recursive=True)
    assert len(running) >= 4

    def kill(text: str) -> None:
        if "begun" in text:
            kernel.process.kill()
            raise StopIteration

    with pytest.raises(StopIteration):
        kernel.finish(request, kill)
    assert psutil.wait_procs(running, timeout=10)[1] == []
