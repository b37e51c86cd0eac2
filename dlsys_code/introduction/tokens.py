"""A stream of training samples that depends on (seed, step, sample), never on the rank.

A sample is T + 1 bytes from anywhere in a text: the first T are the input, the last T,
shifted by one, what the model is to predict.  Where it starts is a function of three
numbers alone::

    start = hash(seed, step, sample) mod (length of the text - T)

So however many ranks share a step, sample 5 of step 7 is the same text, and a run that
resumes at step 7 reads on where the first one would have.

The built-in text is the documentation of Python's language that `help()` shows: about
0.47 MB of English and code that every CPython ships.  Its words differ a little from
one version of Python to the next, so losses do too.
"""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor


def documentation() -> Tensor:
    """Return the text of Python's own documentation, as bytes: (length,) of uint8."""
    from pydoc_data import topics

    return as_tokens("\n".join(topics.topics.values()).encode())


def read(files: Sequence[str | Path]) -> Tensor:
    """Return the bytes of some files, one after the other: (length,) of uint8.

    Errors: ValueError when no file is given or all are empty; OSError when one cannot
    be read.
    """
    text = b"".join(Path(file).read_bytes() for file in files)
    if not text:
        raise ValueError(f"there is no text in {[str(file) for file in files]}")
    return as_tokens(text)


def as_tokens(text: bytes) -> Tensor:
    """Return a text as tokens, one per byte: (length,) of uint8."""
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def places(text: Tensor, T: int) -> int:
    """Return at how many places of the text a sample of T + 1 bytes can start.

    Errors: ValueError when the text is shorter than one sample.
    """
    if len(text) < T + 1:
        raise ValueError(
            f"a sample has {T} + 1 bytes, but the text has only {len(text)}"
        )
    return len(text) - T


def start(text: Tensor, T: int, *, seed: int, step: int, sample: int) -> int:
    """Return where a sample of T + 1 bytes starts in the text.

    Errors: ValueError when the text is shorter than one sample.
    """
    # Random hashes a string by SHA-512: alike on every machine and in every process.
    return random.Random(f"{seed}/{step}/{sample}").randrange(places(text, T))


def batch(
    text: Tensor, T: int, *, seed: int, step: int, samples: Iterable[int]
) -> tuple[Tensor, Tensor]:
    """Return inputs and targets of the given samples of one step, (b, T) of int64 each.

    samples: their numbers in the step; a rank asks for its own.
    Errors: ValueError when the text is shorter than one sample.
    """
    starts = [start(text, T, seed=seed, step=step, sample=s) for s in samples]
    rows = [text[at : at + T + 1] for at in starts]
    rows = torch.stack(rows).long() if rows else torch.empty(0, T + 1).long()
    return rows[:, :-1], rows[:, 1:]  # (b, T), (b, T)
