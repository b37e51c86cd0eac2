"""A reader's function: call it for every case, then say what is wrong with the answers.

Each call gets copies of its arguments, so that it may use them up.  A call that does
not come back is ended by an alarm, which rings again and again, for a bare `except`
may catch it.  There are alarms in the main thread alone, and not on every system;
elsewhere, and while C code runs, a call takes its time.
"""

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import FrameType

from dlsys_code.book.exercises import Puzzle, Verdict

AGAIN_S = 0.1  # from alarm to alarm
OUT_OF_RANGE = "math range error"  # what is raised for exp(1000)


class OutOfTime(BaseException):
    """Raised in a call that takes too long; `except Exception` lets it pass.

    frame: what was being run.
    """

    def __init__(self, frame: FrameType | None) -> None:
        super().__init__()
        self.frame = frame


def judge_function(puzzle: Puzzle, mine: Callable, *, limit_s: float) -> Verdict:
    """Call a reader's function for every case, until one goes wrong.

    limit_s: of one call [s].
    """
    if said := of_the_book(mine):
        return Verdict(False, [said])
    cases = puzzle.cases()
    for case in cases:
        if fault := fault_of_call(puzzle, mine, case, limit_s):
            return Verdict(False, [puzzle.shown(*case), fault])
    return Verdict(True, [f"试了 {len(cases)} 组参数，都对"])


def of_the_book(mine: Callable) -> str:
    """Say that a function is the book's own; "" for a reader's."""
    module = getattr(mine, "__module__", None) or ""
    if not module.startswith("dlsys_code."):
        return ""
    name = getattr(mine, "__qualname__", type(mine).__name__)
    return f"{name} 是书里的，在 {module}；请自己写一个"


def fault_of_call(puzzle: Puzzle, mine: Callable, case: tuple, limit_s: float) -> str:
    """Say what is wrong with the answer to one case; "" for a right one."""
    try:
        with ended_after(limit_s):
            given = deepcopy(case) if puzzle.copied else case
            return puzzle.fault(mine(*given), *case)
    except OutOfTime as late:
        return f"函数 {limit_s:g} 秒还没返回{line_of(mine, late.frame)}"
    except (Exception, SystemExit) as error:  # whatever a reader's code may raise
        raised = f"抛出异常 {type(error).__name__}: {error}"
        return raised + "；exp 溢出了，先减去最大的再取" * (OUT_OF_RANGE in str(error))


@contextmanager
def ended_after(limit_s: float) -> Iterator[None]:
    """Raise `OutOfTime` in what runs for longer than that."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime(frame)

    kept = signal.signal(signal.SIGALRM, ring)
    before = signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # the alarm may have rung in the line above, before it was off
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept or signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, *before)


def line_of(mine: Callable, frame: FrameType | None) -> str:
    """Return the innermost line of the reader's own that was being run, "" if none."""
    file = getattr(getattr(mine, "__code__", None), "co_filename", None)
    own = [line for line in traceback.extract_stack(frame) if line.filename == file]
    if not own:
        return ""
    text = f"：{own[-1].line}" if own[-1].line else ""
    return f"，停在第 {own[-1].lineno} 行{text}"
