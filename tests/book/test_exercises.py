"""Right answers are called right, and each likely mistake is called by its name."""

import pytest
import solutions

from dlsys_code.book.check import EXERCISES, check, hint
from dlsys_code.book.exercises import Question, Task

TASKS = [name for name, exercise in EXERCISES.items() if isinstance(exercise, Task)]
QUESTIONS = [name for name in EXERCISES if name not in TASKS]
WRONG = {  # program: (exercise, what is said)
    solutions.head_on: ("swap", "程序停住了，5 秒还没完。每个 rank 等在哪里："),
    solutions.torchs_own: ("all_reduce", "用了 torch 的 all_reduce"),
    solutions.the_books: ("all_reduce", "用了书里的 dlsys_code/primitive/ring.py"),
    solutions.whole_arrays_round_the_ring: (
        "all_reduce",
        "最忙的 rank 发了 288 字节，要求不超过 144",
    ),
    solutions.averaged: ("all_reduce", "rank 0 每个数都除以了 2，像是求了平均"),
    solutions.added_twice: ("all_reduce", "rank 0 每个数都多了 2 倍，像是重复加了"),
    solutions.changed_input: ("all_reduce", "参数 x 被改写了"),
    solutions.nothing: ("all_reduce", "rank 0 返回了 NoneType，应当返回张量"),
    solutions.own_input: ("all_reduce", "rank 0 返回的还是自己的输入"),
    solutions.rounded_down: ("all_reduce", "5 个 rank、每个 7 个数"),
    solutions.one_element_wrong: (
        "all_reduce",
        "rank 1 的第 1 个数是 103，应当是 102",
    ),
    solutions.flat_for_rows: ("all_reduce", "应当是 (4,) torch.float64"),
    solutions.raising: ("all_reduce", "rank 0 抛出异常："),
    solutions.dying: ("all_reduce", "rank 1 的进程没了："),
    solutions.sent_too_much: ("all_reduce", "有一条消息只有一头："),
    solutions.unchunked_chain: (
        "broadcast_in_chunks",
        "依次走过 288 字节，要求不超过 144",
    ),
    solutions.broadcast: ("broadcast_in_chunks", "最忙的 rank 发了 192 字节"),
    solutions.all_reduce: ("all_reduce_six", "用了 10 轮，要求不超过 6"),
}


@pytest.mark.parametrize("name", TASKS)
def test_the_solution_is_right(name):
    verdict = check(name, getattr(solutions, name))
    assert verdict.right, verdict
    assert str(verdict).startswith("对：")


@pytest.mark.parametrize("mine", WRONG, ids=lambda mine: mine.__name__)
def test_a_likely_mistake_is_called_by_its_name(mine):
    name, said = WRONG[mine]
    verdict = check(name, mine)
    assert not verdict.right
    assert str(verdict).startswith("不对：")
    assert said in str(verdict)
    assert len(str(verdict).splitlines()) <= 20


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_number_is_right_wrong_or_nearly_so(name):
    question = EXERCISES[name]
    assert isinstance(question, Question)
    assert check(name, question.value).right
    assert not check(name, 1.01 * question.value).right
    assert "偏大" in str(check(name, 1e6 * question.value))
    assert "偏小" in str(check(name, -1))
    for wrong, said in question.near.items():
        verdict = check(name, wrong)
        assert not verdict.right and said in str(verdict)
    assert "要一个数" in str(check(name, "140 MB"))


def test_the_numbers_are_those_of_the_chapter():
    assert check("ring_bytes", 140e6).right
    assert check("tree_rounds", 10).right
    assert check("crossing", 100e3).right
    assert check("bus_bandwidth", 229.04).right


@pytest.mark.parametrize("name", EXERCISES)
def test_hints_come_in_steps(name):
    steps = len(EXERCISES[name].hints)
    assert steps >= 1
    assert hint(name).startswith(f"提示 1/{steps}：")
    assert hint(name, steps).startswith(f"提示 {steps}/{steps}：")
    with pytest.raises(ValueError, match=f"有 {steps} 步提示，没有第 {steps + 1} 步"):
        hint(name, steps + 1)


def test_what_is_no_exercise_and_no_program_is_refused():
    with pytest.raises(ValueError, match="没有习题 ring；有：swap、broadcast"):
        check("ring", solutions.all_reduce)
    with pytest.raises(
        TypeError, match=r"all_reduce 要一个函数 mine\(x, group\)，不是 3"
    ):
        check("all_reduce", 3)
