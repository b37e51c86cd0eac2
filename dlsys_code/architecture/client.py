"""A worker's side of servers that may be lost, and what goes through its pipes.

A group of ranks ends with the first rank that is lost.  Here every process has a pipe
to each process that it speaks with and nothing else in common; where a pipe ends, the
other side is gone::

    pull    ->  Answer(weights)
    Push    ->  Answer(), or Answer(complaint) and the server lives on
    silence ->  the pipe has ended: the same request goes to the next server

Each costs a message of n bytes and a short one.  A request that comes again must not
count twice, so a push carries the number of its step.

Source: M. Li et al., "Scaling distributed machine learning with the parameter server",
OSDI 2014, section 4.4.
"""

from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from dlsys_code.architecture.keys import Values
from dlsys_code.world.parcel import pack, unpack


class Push(NamedTuple):
    """Gradients for the update of a step, of one worker or the mean of all."""

    step: int
    gradients: Values


class Answer(NamedTuple):
    """What a server says: weights if they were asked for, or what was wrong."""

    weights: Values | None = None
    complaint: str = ""


PULL, DONE = "pull", Answer()


def say(pipe: Connection, what: object) -> None:
    """Send something to a process; if that is gone, the next `hear` will tell."""
    with suppress(OSError):
        pipe.send_bytes(pack(what))


def hear(pipe: Connection) -> object | None:
    """Return what comes next from a process; None when it is gone."""
    try:
        return unpack(pipe.recv_bytes())
    except (EOFError, OSError):
        return None


class Client:
    """A worker's way to servers that hold the same keys.

    servers: a pipe to each, the primary's first.  patience_s: how long an answer may
    take [s]; it covers the slowest worker's step.
    """

    def __init__(self, servers: Sequence[Connection], *, patience_s: float = 60.0):
        self.living, self.patience_s = list(servers), patience_s
        self.known = len(servers)

    def pull(self) -> Values:
        """Return the weights of all keys.  Errors: see `push`."""
        return self._ask(PULL).weights

    def push(self, step: int, gradients: Values) -> None:
        """Hand in the gradients of a step; return when all living servers have them.

        Errors: ValueError for gradients or a step that do not fit, the server lives on;
        ConnectionError when all servers are lost; TimeoutError when one is silent: all
        are let go of then, for its late answer would be taken for that to the next.
        """
        self._ask(Push(step, gradients))

    def close(self) -> None:
        """Let go of the pipes."""
        for pipe in self.living:
            pipe.close()

    def _ask(self, request: object) -> Answer:
        while self.living:
            say(self.living[0], request)
            if not self.living[0].poll(self.patience_s):
                self.close()
                self.living = []
                raise TimeoutError(f"no server answered in {self.patience_s:g} s")
            answer = hear(self.living[0])
            if answer is None:
                self.living.pop(0).close()
            elif answer.complaint:
                raise ValueError(answer.complaint)
            else:
                return answer
        raise ConnectionError(f"all servers are lost, {self.known} of {self.known}")
