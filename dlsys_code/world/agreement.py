"""What the ranks must agree on when they make a call together.

A note says what one rank is about to do; `compare` holds it against the notes of the
others.  Aspects that must be equal::

    message      dtype, shape, and the label where both sides give one
    collective   op, dtype, shape, root, reduction; in an all-to-all, that what r sends
                 to q is what q expects of r; and the line of the program or the label

The last aspect finds two like collectives in swapped order, which torch takes for one.
A receive from any rank is not compared: nobody knows yet with whom.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor

from dlsys_code.world import journal
from dlsys_code.world.board import Board, Note

ASPECTS = ["op", "dtype", "shape", "root", "reduction", "lengths", "segments", "label"]
ROOTED = {"broadcast", "reduce", "gather", "scatter"}


class Disagreement(RuntimeError):
    """The ranks do not make a call together.  odd, line: where to look first."""

    odd: int
    line: str = ""


class Missing(Disagreement):
    """A rank has not made a call in time.  note: of a rank that has."""

    def __init__(self, rank: int, note: Note, limit_s: float):
        self.odd = rank
        super().__init__(
            f"rank {rank} has not called {note['op']} within {limit_s:g} s; "
            f"others wait for it at {note['at']}"
        )


class Mismatch(Disagreement):
    """The ranks make different calls; str() lists what each of them does.

    odd: the rank that disagrees with most others, the highest of equals.
    line: where that rank makes the call.
    """

    def __init__(self, notes: dict[int, Note]):
        ranks = sorted(notes)
        against = {
            a: [b for b in ranks if difference(notes[a], notes[b], a, b)] for a in ranks
        }
        self.odd = max(ranks, key=lambda rank: (len(against[rank]), rank))
        self.line = str(notes[self.odd]["at"])
        other = against[self.odd][0]
        aspect = difference(notes[self.odd], notes[other], self.odd, other)
        lines = [f"rank {r}: {notes[r]['text']} at {notes[r]['at']}" for r in ranks]
        super().__init__("\n  ".join([f"{aspect} differs", *lines]))


def compare(board: Board, key: str, note: Note, members: Sequence[int]) -> None:
    """Pin up `note`, then raise `Mismatch` if a member's note for `key` disagrees.

    members: ranks of the whole world that take part in the call, this one among them.
    """
    board.pin(key, note)
    for other in members:
        theirs = board.note(key, other) if other != board.rank else None
        if theirs is not None and difference(note, theirs, board.rank, other):
            raise Mismatch(board.wait_for(key, {board.rank, *members}))


def difference(mine: Note, theirs: Note, me: int, other: int) -> str | None:
    """Return the first aspect in which two notes of one call disagree, or None.

    Lines of the program are compared only where neither side has a label, and only
    for calls that every rank makes from the same line (a root may stand in a branch).
    """
    for aspect in ASPECTS:
        if aspect in mine and aspect in theirs and mine[aspect] != theirs[aspect]:
            return aspect
    if "sends" in mine and "sends" in theirs:
        out = mine["sends"].get(str(other)), theirs["expects"].get(str(me))
        back = theirs["sends"].get(str(me)), mine["expects"].get(str(other))
        if out[0] != out[1] or back[0] != back[1]:
            return "split"
    unlabelled = "label" not in mine and "label" not in theirs
    if unlabelled and mine.get("line") != theirs.get("line"):
        return "line"
    return None


def tensors_in(value: object) -> Iterator[Tensor]:
    """Yield the tensors in nested lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def dtype_name(x: Tensor) -> str:
    """Return "float32" for torch.float32."""
    return str(x.dtype).removeprefix("torch.")


def describe_message(kind: str, tensors: list[Tensor], site: str) -> Note:
    """Return the note for one end of a message; both ends must agree on it.

    kind: "send" or "recv".  site: the line of the program that makes the call.
    """
    (x,) = tensors
    note: Note = {"dtype": dtype_name(x), "shape": list(x.shape)} | labelled()
    return note | {"text": f"{kind} {words(note)}", "at": site}


def describe_collective(
    op: str, alike: int | None, args: Sequence, members: tuple[int, ...], site: str
) -> Note:
    """Return the note for a collective; every rank must agree on it.

    op: its name.  alike: which of `args`, the arguments of the process group's method,
    every rank fills alike, if any.  members: ranks of the group, as ranks of the world.
    """
    note: Note = {"op": op}
    if alike is not None:
        tensors = list(tensors_in(args[alike]))
        note["dtype"] = ", ".join(dtype_name(x) for x in tensors)
        note["shape"] = [list(x.shape) for x in tensors]
    elif op == "all_to_all":
        note["dtype"] = dtype_name(next(tensors_in(args)))
        note["sends"], note["expects"] = splits(args, members)
    options = next((a for a in args if hasattr(a, "timeout")), None)
    if op in ROOTED:
        note["root"] = members[options.rootRank]
    else:
        note["line"] = site
    if hasattr(options, "reduceOp"):
        note["reduction"] = options.reduceOp.op.name
    note |= labelled()
    return note | {"text": f"{op} {words(note)}".strip(), "at": site}


def splits(
    args: Sequence, members: tuple[int, ...]
) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many elements go to, and are expected from, each member.

    args: of alltoall (lists of tensors) or alltoall_base (tensors and their rows).
    """
    received, sent, *rows = args
    if isinstance(received, Tensor):
        to = _elements(sent, rows[1], len(members))
        expected = _elements(received, rows[0], len(members))
    else:
        to, expected = [x.numel() for x in sent], [x.numel() for x in received]
    keys = [str(member) for member in members]
    return dict(zip(keys, to, strict=True)), dict(zip(keys, expected, strict=True))


def _elements(x: Tensor, rows: list[int], p: int) -> list[int]:
    """Return the elements in each part of `x`; no rows given means equal parts."""
    each = x.numel() // x.shape[0] if x.ndim and x.shape[0] else 0
    return [n * each for n in rows] if rows else [x.numel() // p] * p


def labelled() -> Note:
    """Return the part of a note that says the label in force, if there is one."""
    labels = journal.current().labels
    return {"label": "/".join(labels)} if labels else {}


def words(note: Note) -> str:
    """Return what a reader is shown of a note, for example "float32 (3,) SUM"."""
    shapes = note.get("shape", [])
    each = shapes if shapes and isinstance(shapes[0], list) else [shapes]
    shown = [
        str(note.get("dtype", "")),
        *(str(tuple(x)) for x in each if "shape" in note),
    ]
    shown += [str(note["reduction"])] if "reduction" in note else []
    named = ("root", "lengths", "segments", "label")
    shown += [f"{key} {note[key]}" for key in named if key in note]
    for key in ("sends", "expects"):
        shown += [f"{key} {list(note[key].values())}"] if key in note else []
    return " ".join(filter(None, shown))
