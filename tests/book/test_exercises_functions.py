"""A reader's function may use up its arguments, never end, or be the book's own."""

import signal
import sys
from contextlib import suppress
from threading import Thread

import pytest
from test_exercises import RIGHT

from dlsys_code.architecture.search import disjoint_rings
from dlsys_code.architecture.staleness import may_begin
from dlsys_code.book.check import EXERCISES, check
from dlsys_code.book.exercises import Puzzle

PUZZLES = {n: each for n, each in EXERCISES.items() if isinstance(each, Puzzle)}
SHORT_S = 0.2


def for_ever(*given: object) -> None:
    while True:
        pass


def catches_errors(*given: object) -> None:
    with suppress(Exception):
        for_ever()


def catches_all_twice(*given: object) -> None:
    for _ in range(2):
        with suppress(BaseException):
            for_ever()
    for_ever()


def answers_never_end(*given: object) -> object:
    while True:
        yield 0


@pytest.mark.parametrize("name", [n for n, each in PUZZLES.items() if each.copied])
def test_a_function_may_use_up_its_arguments(name):
    def mine(*given: object) -> object:
        answer = RIGHT[name](*given)
        for each in given:
            getattr(each, "clear", int)()
        return answer

    assert check(name, mine).right


def test_some_function_does_use_them_up():
    def mine(links: object) -> list:
        found = RIGHT["rings_side_by_side"](links)
        for a, b in links.edges:
            links.edges[a, b]["cables"] = 0
        return found

    assert check("rings_side_by_side", mine).right


@pytest.mark.parametrize("mine", [for_ever, catches_errors, catches_all_twice])
def test_a_function_that_does_not_return_is_ended(mine):
    verdict = check("deal_keys", mine, limit_s=SHORT_S)
    assert "\n函数 0.2 秒还没返回，停在第 " in str(verdict)
    assert str(verdict).endswith(("行：pass", "行：while True:"))


def test_where_there_is_no_text_the_line_is_told():
    names: dict = {}
    exec("def mine(*given):\n    while True:\n        len(given)", names)
    verdict = check("deal_keys", names["mine"], limit_s=SHORT_S)
    assert str(verdict).endswith(("停在第 2 行", "停在第 3 行"))


def test_an_answer_that_does_not_end_is_ended():
    verdict = check("deal_keys", answers_never_end, limit_s=SHORT_S)
    assert "函数 0.2 秒还没返回" in str(verdict)


@pytest.mark.parametrize("mine", [for_ever, RIGHT["deal_keys"]])
def test_the_alarm_is_off_after_a_verdict(mine):
    left_s, again_s = signal.getitimer(signal.ITIMER_REAL)  # of who runs the tests
    before = signal.getsignal(signal.SIGALRM)
    check("deal_keys", mine, limit_s=SHORT_S)
    assert signal.getsignal(signal.SIGALRM) == before
    after_s, then_s = signal.getitimer(signal.ITIMER_REAL)
    assert then_s == again_s and bool(after_s) == bool(left_s)


def test_a_function_is_judged_in_a_thread_too():
    verdicts = []
    thread = Thread(target=lambda: verdicts.append(check("who_begins", mine)))

    def mine(clocks: tuple, bound: float) -> list[int]:
        return RIGHT["who_begins"](clocks, bound)

    thread.start()
    thread.join()
    assert verdicts[0].right


def test_a_function_that_leaves_python_is_told_so():
    assert "抛出异常 SystemExit: 3" in str(check("deal_keys", lambda *_: sys.exit(3)))


@pytest.mark.parametrize("limit_s", [0, -1, "5"])
def test_no_limit_is_refused(limit_s):
    with pytest.raises(ValueError, match="must be a number of seconds"):
        check("deal_keys", RIGHT["deal_keys"], limit_s=limit_s)


@pytest.mark.parametrize(
    ("name", "mine"),
    [("rings_side_by_side", disjoint_rings), ("who_begins", may_begin)],
)
def test_a_function_of_the_book_is_no_answer(name, mine):
    verdict = check(name, mine)
    assert not verdict.right
    assert f"{mine.__name__} 是书里的，在 {mine.__module__}；请自己写" in str(verdict)
