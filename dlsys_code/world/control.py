"""Before a collective starts: do all ranks mean the same call?

Nobody asks in plain torch.  A rank with another shape may end in C++, another dtype of
equal size gives wrong numbers without a word, and a rank that does not come is waited
for half an hour.  So the collectives of this package first talk about the call, through
rank 0 of the group::

    rank r -> rank 0     what it is about to do
    rank 0 -> rank r     nothing to complain of, or the notes of all, for every rank
                         to raise

That is 2 (p - 1) small messages one after the other, a fair price while a program is
written; in a race, `with control.off():` leaves them out, alike on all ranks.  A trace
keeps them as events of the kind "control", apart from those of the algorithm.
Notes travel between CPUs: in a group without a backend for the CPU nobody is asked.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from itertools import combinations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.world import journal
from dlsys_code.world.agreement import (
    Mismatch,
    Missing,
    difference,
    dtype_name,
    labelled,
    words,
)
from dlsys_code.world.board import Note
from dlsys_code.world.point_to_point import start_receive_, start_send
from dlsys_code.world.sources import call_site

TAG = 1  # keeps notes apart from the messages of a program, which have tag 0
HEAD = 512  # bytes of a first message, enough for most notes
PATIENCE_S = 300.0

_patience_s: ContextVar[float | None] = ContextVar("patience_s", default=PATIENCE_S)


@contextmanager
def off() -> Iterator[None]:
    """Let the collectives inside start without asking; on all ranks or on none."""
    with _patience(None):
        yield


@contextmanager
def patience(limit_s: float) -> Iterator[None]:
    """Wait this long [s] for the other ranks to call; 300 s if nothing is said."""
    if limit_s <= 0:
        raise ValueError(f"patience lasts longer than 0 s, not {limit_s} s")
    with _patience(limit_s):
        yield


@contextmanager
def _patience(limit_s: float | None) -> Iterator[None]:
    before = _patience_s.set(limit_s)
    try:
        yield
    finally:
        _patience_s.reset(before)


def collective(describe: Callable[..., Note]) -> Callable[[Callable], Callable]:
    """Return a decorator: ask first, then run without recording gradients.

    describe: takes the arguments of the call and says what all ranks must agree on.
    Calls that the collective makes itself are not asked about again.
    Errors, on every rank: `Mismatch` with the line of each rank if they disagree;
    `Missing` if a rank does not call in time.
    """

    def decorate(function: Callable) -> Callable:
        signature = inspect.signature(function)
        name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"

        @wraps(function)
        def wrapper(*args, **kwargs):
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            limit_s, group = _patience_s.get(), call.arguments["group"]
            if limit_s is not None and group.size() > 1 and has_cpu(group):
                note = {"op": name} | describe(*call.args, **call.kwargs) | labelled()
                agree(note, group, limit_s=limit_s)
            with off(), torch.no_grad():
                return function(*args, **kwargs)

        return wrapper

    return decorate


def alike(x: Tensor, group: ProcessGroup, **options: int) -> Note:
    """Say that x has one shape and dtype everywhere, and so has every option."""
    return {"dtype": dtype_name(x), "shape": list(x.shape)} | options


def rows(
    x: Tensor, lengths: Sequence[int], group: ProcessGroup, *, root: int = 0
) -> Note:
    """Say that the rows of x are alike everywhere, their number is as in `lengths`."""
    row = {"dtype": dtype_name(x), "shape": list(x.shape[1:])}
    return row | {"root": root, "lengths": list(lengths)}


def nothing(*_: object, **__: object) -> Note:
    """Say nothing but the name of the call."""
    return {}


def has_cpu(group: ProcessGroup) -> bool:
    """Return whether the group can carry tensors of the CPU."""
    return torch.device("cpu") in group._device_types


def agree(note: Note, group: ProcessGroup, *, limit_s: float) -> None:
    """Return when every rank of the group has given the same note; see `collective`."""
    note = note | {"text": f"{note['op']} {words(note)}".strip(), "at": call_site()}
    desk = Desk(group, note, limit_s)
    with journal.control():
        complaint = desk.ask() if group.rank() else desk.answer()
    if complaint:
        raise Mismatch({int(rank): other for rank, other in complaint.items()})


@dataclass(frozen=True)
class Desk:
    """Where the ranks of a group hand in their notes: rank 0.

    mine: the note of this rank.  limit_s: how long to wait for another rank [s].
    """

    group: ProcessGroup
    mine: Note
    limit_s: float

    def ask(self) -> dict[str, Note]:
        """Hand in this rank's note; return all notes if they do not agree, else {}."""
        self.tell(self.mine, to=0)
        answer = self.expect(HEAD, source=0)
        return self.hear(answer, source=0, limit_s=2 * self.limit_s)  # 0 waits as well

    def answer(self) -> dict[str, Note]:
        """Compare the notes of all; hand out and return them if they do not agree."""
        members = dist.get_process_group_ranks(self.group)
        coming = {r: self.expect(HEAD, source=r) for r in range(1, len(members))}
        notes = [self.mine, *(self.hear(head, source=r) for r, head in coming.items())]
        by_rank = dict(zip(members, notes, strict=True))
        agreed = not any(
            difference(by_rank[a], by_rank[b], a, b)
            for a, b in combinations(members, 2)
        )
        complaint = (
            {} if agreed else {str(rank): note for rank, note in by_rank.items()}
        )
        for r in coming:
            self.tell(complaint, to=r)
        return complaint

    def tell(self, note: Note, *, to: int) -> None:
        """Send a note in one message; in two, its length first, if it is a long one."""
        text = json.dumps(note).encode()
        parts = [text] if len(text) <= HEAD else [b"%d" % len(text), text]
        for part in parts:
            x = torch.tensor(list(part.ljust(HEAD)), dtype=torch.uint8)
            work = start_send(x, self.group, to=to, tag=TAG)
            self.finish(work, to, self.limit_s)

    def expect(self, length: int, *, source: int) -> tuple[Tensor, dist.Work]:
        """Begin to receive a message of that many bytes."""
        x = torch.zeros(max(length, HEAD), dtype=torch.uint8)
        return x, start_receive_(x, self.group, source=source, tag=TAG)

    def hear(
        self,
        coming: tuple[Tensor, dist.Work],
        *,
        source: int,
        limit_s: float | None = None,
    ) -> Note:
        """Wait for the note of another rank, of which the head is coming already."""
        head, work = coming
        self.finish(work, source, limit_s or self.limit_s)
        said = json.loads(bytes(head.tolist()))
        if isinstance(said, int):  # the length of a long note
            return self.hear(self.expect(said, source=source), source=source)
        return said

    def finish(self, work: dist.Work, peer: int, limit_s: float) -> None:
        """Wait for the end of a message; errors: `Missing` if it does not come."""
        try:
            work.wait(timedelta(seconds=limit_s))
        except RuntimeError as error:
            if "Timed out" not in str(error):
                raise
            rank = dist.get_global_rank(self.group, peer)
            raise Missing(rank, self.mine, self.limit_s) from None
