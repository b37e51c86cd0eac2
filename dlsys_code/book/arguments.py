"""How the commands of the book refuse bad arguments: before any rank, and once.

Under torchrun every rank reads the same arguments and finds the same fault; one of them
says so, and all end with code 2.
"""

import argparse
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr

from dlsys_code.world.device import running_job


def first_rank() -> bool:
    """Return whether this process is the one that prints."""
    job = running_job()
    return job is None or job.rank == 0


@contextmanager
def refusing(
    parser: argparse.ArgumentParser, *faults: type[Exception]
) -> Iterator[None]:
    """End the command with code 2 where the block raises one of these exceptions."""
    with ExitStack() as quiet:
        if not first_rank():
            quiet.enter_context(redirect_stderr(io.StringIO()))
        try:
            yield
        except faults as error:
            parser.error(str(error))
