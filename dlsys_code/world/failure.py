"""What went wrong in a parallel call: one rank, one line, one cause.

When a rank fails its peers fall over after it, each with a message of its own.  The
reader needs the first cause and not the crowd, so a call raises one `RankError` whose
text is the same on every run: no process numbers, no ports, no temporary paths.

The kinds of failure::

    raised        the program raised an exception on that rank
    died          the process ended: a signal, os._exit, an abort in C++
    stuck         time ran out; the text says where each rank was
    unpicklable   the result cannot be sent back
    unmatched     a message was sent and not received, or the reverse
    mismatched    ranks disagree about a call (World(n, checked=True) only)
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What one rank, or the process that watches it, reports."""

    rank: int
    kind: str  # one of the table above
    cause: str  # one line, for example "ValueError: bad shape"
    line: str = ""  # where, for example "<cell> line 5"
    text: str = ""  # the lines shown below the headline
    follows_another: bool = False  # it lost the connection to, or waits for, a rank


class RankError(RuntimeError):
    """A parallel call failed.  str() is constant text; the attributes are data.

    rank: the rank that failed first.  kind, line, cause: see `Failure`.
    others: the failures of the other ranks, in rank order.
    """

    def __init__(self, message: str, failure: Failure, others: Sequence[Failure] = ()):
        super().__init__(message)
        self.rank, self.kind = failure.rank, failure.kind
        self.line, self.cause = failure.line, failure.cause
        self.others = tuple(others)

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines in place of the frames of the pool."""
        return [f"RankError: {self}"]


@dataclass
class Diagnosis:
    """The failures of one call, and the error to raise for them."""

    program: str
    ranks: int
    timeout_s: float
    failures: dict[int, Failure] = field(default_factory=dict)
    returned: set[int] = field(default_factory=set)

    def error(self) -> RankError:
        """Blame the rank that failed first, and say so in one block of text.

        Which report arrives first is chance, so the order of arrival does not count: a
        dead process goes before an exception, a rank that lost a connection or waits
        goes last, and the lowest rank of equal ones is named.
        """
        first = min(self.failures.values(), key=lambda f: (*self._order(f), f.rank))
        others = [f for _, f in sorted(self.failures.items()) if f is not first]
        return RankError(self._describe(first), first, others)

    @staticmethod
    def _order(failure: Failure) -> tuple[bool, int]:
        kinds = ("mismatched", "died", "raised", "unpicklable", "unmatched", "stuck")
        return failure.follows_another, kinds.index(failure.kind)

    def _describe(self, first: Failure) -> str:
        who = f"rank {first.rank} of {self.ranks}"
        where = f"in {self.program}()"
        if first.kind == "stuck":
            stuck = [f for f in self.failures.values() if f.kind == "stuck"]
            lines = {f.rank: f.text for f in stuck}
            lines |= {r: f"rank {r} has returned" for r in self.returned}
            head = f"{self.program}() did not finish in {self.timeout_s:g} s"
            return "\n".join([head, *(lines[r] for r in sorted(lines))])
        headline = {
            "raised": f"{who} failed {where}: {first.cause}",
            "died": f"{who} died {where}: {first.cause}",
            "unpicklable": f"{who} cannot send back its result {where}: {first.cause}",
            "unmatched": f"calls do not match {where}: {first.cause}",
            "mismatched": f"{who} disagrees with the others {where}: {first.cause}",
        }[first.kind]
        return "\n".join(part for part in (headline, first.text) if part)
