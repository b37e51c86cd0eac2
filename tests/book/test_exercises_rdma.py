"""The exercises on RDMA: right answers pass, wrong ones hear what was overlooked."""

import pytest

from dlsys_code.book.exercises import judge_function, judge_number
from dlsys_code.book.exercises_rdma import EXERCISES, shortened


def slow_down(line, events, *, order="right"):
    """The page's answer; order: one line written wrongly."""
    current = target = line
    congestion = 1.0
    for event in events:
        if event == "cnp":
            before = current
            if order == "estimate first":
                congestion = congestion * 255 / 256 + 1 / 256
            part = congestion if order == "whole" else congestion / 2
            current *= 1 - (0.5 if order == "half" else part)
            if order != "target kept":
                target = current if order == "target cut" else before
            if order == "calms":
                congestion *= 255 / 256
            elif order != "estimate first":
                congestion = congestion * 255 / 256 + 1 / 256
        elif event == "silence":
            congestion *= 255 / 256
        else:
            current = target if order == "jumps" else (current + target) / 2
    return current


def test_the_right_answer_passes():
    verdict = judge_function(EXERCISES["slow_down"], slow_down)
    assert verdict.right, verdict


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("whole", "减掉的是拥塞估计的一半"),
        ("half", "不是每次都减一半"),
        ("target kept", "每个 CNP 都重记"),
        ("target cut", "不是减速之后的"),
        ("calms", "不能只衰减"),
        ("jumps", "只走一半的路"),
        ("estimate first", "用的是改之前的"),
    ],
)
def test_each_wrong_line_is_named(order, said):
    verdict = judge_function(
        EXERCISES["slow_down"], lambda *case: slow_down(*case, order=order)
    )
    assert not verdict.right
    assert said in verdict.lines[1]


@pytest.mark.parametrize("answer", [None, "40", True])
def test_no_number_is_no_rate(answer):
    verdict = judge_function(EXERCISES["slow_down"], lambda *case: answer)
    assert "要当前速率" in verdict.lines[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("roce_goodput", 50 * 1024 / (1024 + 82)), ("copied_gibibytes", 8)],
)
def test_numbers_by_hand(name, value):
    assert judge_number(EXERCISES[name], value).right


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("roce_goodput", 50 * 1024 / (1024 + 62), "前导码 8 字节"),
        ("roce_goodput", 50 * 1024 / (1024 + 94), "RoCE v1"),
        ("roce_goodput", 50.0, "包头"),
        ("copied_gibibytes", 4, "读一遍、写一遍"),
        ("copied_gibibytes", 2, "还有两次"),
    ],
)
def test_what_was_overlooked_is_said(name, value, said):
    verdict = judge_number(EXERCISES[name], value)
    assert not verdict.right
    assert said in verdict.lines[0]


def test_runs_of_events_are_counted():
    assert shortened(["cnp", "turn", "turn", "cnp"]) == "cnp、turn × 2、cnp"
