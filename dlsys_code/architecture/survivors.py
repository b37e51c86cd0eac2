"""Training that goes on when a server or a worker is killed.

Every worker is a process too, with samples of its own::

    worker    pull    forward    backward    push    report the loss to the parent

With all processes alive the run is `synchronous.train` with one server.  A killed
server changes no number of it, as long as there is a second.  A killed worker's samples
are missing from then on, and the mean is over those of the others.  Here the survivors
go on alone; a real system starts a new process in place of the lost one.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014, sections 4.4 to 4.6.
"""

from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from torch import Tensor

from dlsys_code.architecture.client import Client, hear, say
from dlsys_code.architecture.keys import parameter_keys
from dlsys_code.architecture.parameter_server import MakeOptimizer
from dlsys_code.architecture.replicas import Watch
from dlsys_code.architecture.server_processes import (
    WatchAll,
    ignore,
    processes,
    start_servers,
)
from dlsys_code.architecture.synchronous import (
    gradients_of,
    weights_of,
    write_,
)
from dlsys_code.architecture.worker_step import loss_and_backward
from dlsys_code.introduction import serial
from dlsys_code.introduction.average_gradients import samples_each


def train(
    recipe: serial.Recipe,
    text: Tensor,
    *,
    workers: int,
    steps: int,
    make_optimizer: MakeOptimizer,
    replicas: int = 2,
    watch: WatchAll = ignore,
) -> list[list[float]]:
    """Return the losses of each worker, up to its death, in the workers' order.

    watch: is also told "computed" of "worker 0" and so on.
    Errors: ConnectionError when all servers are lost; see `start_servers`.
    """
    if workers < 1:
        raise ValueError(f"a server needs at least 1 worker, not {workers}")
    each = samples_each(recipe, workers)
    model = serial.fresh_model(recipe)
    weights = weights_of(model, parameter_keys(model))
    reports = []
    with processes() as start:
        clients, _ = start_servers(
            start,
            weights,
            make_optimizer,
            clients=workers,
            replicas=replicas,
            watch=watch,
        )
        for n, client in enumerate(clients):
            report, its_report = Pipe(duplex=False)
            samples = range(n * each, (n + 1) * each)
            settings = (recipe, text, samples, steps, partial(watch, f"worker {n}"))
            start(work, settings, client, its_report)
            reports.append(report)
        return collect(reports)


def work(
    recipe: serial.Recipe,
    text: Tensor,
    samples: range,
    steps: int,
    watch: Watch,
    client: Client,
    report: Connection,
) -> None:
    """Train on some samples of every step, and report each loss, or an error."""
    try:
        model = serial.fresh_model(recipe)
        keys = parameter_keys(model)
        for step in range(steps):
            write_(model, client.pull(), keys)
            value = loss_and_backward(model, recipe, text, step, samples)
            watch("computed", step)
            client.push(step, gradients_of(model, keys))
            model.zero_grad()
            say(report, value)
    except Exception as error:
        say(report, error)


def collect(reports: list[Connection]) -> list[list[float]]:
    """Return what each worker reports until its pipe ends.

    Errors: the first that a worker reports.
    """
    losses = {report: [] for report in reports}
    living = list(reports)
    while living:
        for report in wait(living):
            value = hear(report)
            if isinstance(value, Exception):
                raise value
            if value is None:
                living.remove(report)
            else:
                losses[report].append(value)
    return list(losses.values())
