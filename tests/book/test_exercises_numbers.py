"""What counts as a number, and which mistake a wrong one comes of."""

from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
import torch
from test_exercises import QUESTIONS, RIGHT

from dlsys_code.book.check import EXERCISES, check, hint
from dlsys_code.book.exercises_numbers import is_number, is_whole


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float32, Fraction])
def test_numbers_of_all_kinds_are_numbers(kind):
    assert is_number(kind(336)) and is_whole(kind(336))
    assert check("server_gigabytes", kind(336)).right
    assert "偏小" in str(check("server_gigabytes", kind(1)))
    assert "这是一份；" in str(check("server_gigabytes", kind(14)))


@pytest.mark.parametrize(
    "answer", [None, True, np.True_, nan, "3", 1j, [3], torch.ones(()), np.array(3.0)]
)
def test_what_is_no_number_is_none(answer):
    assert not is_number(answer) and not is_whole(answer)
    assert "要一个数（GB），不是" in str(check("server_gigabytes", answer))


@pytest.mark.parametrize("scalar", [torch.tensor(336.0), np.array(336.0)])
def test_a_number_in_a_tensor_is_to_be_taken_out(scalar):
    assert "加 .item() 就是一个数" in str(check("server_gigabytes", scalar))
    verdict = check("busiest_rank", lambda serves, workers: scalar)
    assert "返回了 " in str(verdict) and "加 .item()" in str(verdict)


def test_a_function_is_no_number():
    verdict = check("server_gigabytes", RIGHT["deal_keys"])
    assert str(verdict) == "不对：要一个数（GB），不是 deal_keys 这个函数"


@pytest.mark.parametrize("number", [0.5, inf, -inf])
def test_a_part_is_not_whole(number):
    assert is_number(number) and not is_whole(number)


def test_a_count_may_be_a_float_that_is_whole():
    def fewest_servers(w: int, n: int, compute_s: float, bandwidth: float) -> float:
        room = compute_s * bandwidth
        return max(1, -(-w * n // room)) if n <= room else 0

    assert check("fewest_servers", fewest_servers).right
    assert not check("fewest_servers", lambda *case: fewest_servers(*case) + 0.5).right


def test_a_count_may_be_numpys():
    right = RIGHT["busiest_rank"]
    assert check("busiest_rank", lambda *case: np.int64(right(*case))).right
    assert check("busiest_rank", lambda *case: np.float32(right(*case))).right


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_number_too_large_for_a_float_is_too_large(name):
    assert "偏大" in str(check(name, 10**400))
    assert "偏小" in str(check(name, -(10**400)))
    assert "偏大" in str(check(name, inf))


def test_a_count_too_large_for_a_float_is_too_large():
    assert "偏大" in str(check("busiest_rank", lambda *case: 10**400))


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        ("save_every", 19.3, "还是 16,384 块卡的"),
        ("save_every", 6.8, "根号里还有一个 2"),
        ("save_every", 9.6, "9.6 分钟，偏小"),
        ("save_every", 19.6, "19.6 分钟，偏大"),
        ("cables_crossed", 8664, "8,664 根次，偏大"),
        ("fastest_layout", 169, "169 毫秒：取整太早"),
        ("fastest_layout", 168, "168 毫秒，偏小"),
        ("fastest_layout", 4, "4 毫秒：这是 t；"),
        ("most_buckets", 180.57, "桶数要整数，向下取"),
        ("tensor_sends", 14, "14 GB：这是 GiB"),
        ("ring_megabytes", 480, "480 MB：这是 MiB"),
        ("roce_goodput", 46.4, "46.4 GB/s，偏大"),
    ],
)
def test_a_wrong_number_is_told_the_mistake_next_to_it(name, number, said):
    assert said in str(check(name, number))


def test_a_near_miss_gives_way_to_a_nearer_one():
    for name in QUESTIONS:
        question = EXERCISES[name]
        for wrong, said in question.near.items():
            gap = min(
                abs(wrong - v) for v in (question.value, *question.near) if v != wrong
            )
            assert said in str(check(name, wrong + min(0.4 * gap, 0.009 * wrong)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("save_evry", "没有习题 save_evry；最像的是 save_every"),
        ("ring", "最像的是 on_rings、"),
        ("?", "没有习题 ?；名字写在题号后面"),
        (3, "没有习题 3；名字写在题号后面"),
    ],
)
def test_a_name_that_is_none_hears_of_those_like_it(name, said):
    for call in (hint, lambda name: check(name, 3)):
        with pytest.raises(ValueError) as error:
            call(name)
        assert said in str(error.value)
        assert str(error.value).count("、") <= 2


@pytest.mark.parametrize("name", EXERCISES)
@pytest.mark.parametrize("answer", [None, "3", [3]])
def test_what_is_no_answer_hears_what_is_asked_for(name, answer):
    asked = "要一个数（" if name in QUESTIONS else f"{name} 要一个函数，不是"
    assert asked in str(check(name, answer))
