"""The exercises of section 05.1: right answers pass, wrong ones hear what is wrong."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noted import noting
from torch.utils.data import DistributedSampler

from dlsys_code.book import exercises_system_data as exercises
from dlsys_code.book.exercises import Question, Verdict
from dlsys_code.book.exercises_functions import judge_function
from dlsys_code.book.exercises_numbers import judge_number
from dlsys_code.book.exercises_system_data import EXERCISES
from dlsys_code.book.exercises_system_data_checks import fault_of_launches

SAID = []
wrong = noting(SAID)
NUMBERS = {
    "step_gigabytes": 24.5,
    "most_buckets": (0.12 - 2 * 7 / 8 * 496e6 / 12.5e9) // (14 * 20e-6),
    "read_twice": 16,
}


def judged(name: str, answer: object) -> Verdict:
    if isinstance(EXERCISES[name], Question):
        return judge_number(EXERCISES[name], answer)
    return judge_function(EXERCISES[name], answer, limit_s=5.0)


def fill_buckets(sizes: Sequence[int], first: int, limit: int) -> list[list[int]]:
    buckets, bucket, held, room = [], [], 0, first
    for i in reversed(range(len(sizes))):
        bucket.append(i)
        held += sizes[i]
        if held >= room:
            buckets.append(bucket)
            bucket, held, room = [], 0, limit
    return buckets + [bucket] * bool(bucket)


def exposed_after(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    there, end_s = 0, 0.0
    for n in sizes:
        there += n
        end_s = max(end_s, backward_s * there / sum(sizes)) + price(n)
    return end_s - backward_s


def launches(arrivals: Sequence[int], buckets: Sequence) -> list[int]:
    turns, turn = [], 0
    for bucket in buckets:
        turn = max(turn, *(arrivals.index(number) + 1 for number in bucket))
        turns.append(turn)
    return turns


def loss_weights(counts: Sequence[int]) -> list[float]:
    return [own * len(counts) / sum(counts) for own in counts]


RIGHT = [fill_buckets, exposed_after, launches, loss_weights]


@pytest.mark.parametrize("mine", RIGHT, ids=lambda mine: mine.__name__)
def test_right_functions_are_right(mine):
    assert judged(mine.__name__, mine).right


@pytest.mark.parametrize(("name", "value"), NUMBERS.items())
def test_right_numbers_are_right(name, value):
    assert judged(name, value).right


def test_every_exercise_has_a_right_answer_here():
    assert {*NUMBERS, *(mine.__name__ for mine in RIGHT)} == {*EXERCISES}


@pytest.mark.parametrize("name", NUMBERS)
def test_likely_numbers_hear_what_was_overlooked(name):
    for value, said in EXERCISES[name].near.items():
        verdict = judged(name, value)
        assert not verdict.right and said in str(verdict)


def test_torchs_sampler_reads_so_many_twice():
    samples, p = exercises.SAMPLES, exercises.SHARING
    sampler = DistributedSampler(range(samples), num_replicas=p, rank=0)
    assert p * len(sampler) - samples == exercises.REPEATED


@wrong("fill_buckets", "顺序反了")
def from_the_front(sizes: Sequence[int], first: int, limit: int) -> list:
    turned = fill_buckets(sizes[::-1], first, limit)
    return [[len(sizes) - 1 - i for i in bucket] for bucket in turned]


@wrong("fill_buckets", "第一个桶的上限是 first")
def without_first(sizes: Sequence[int], first: int, limit: int) -> list:
    return fill_buckets(sizes, limit, limit)


@wrong("fill_buckets", "只有第一个桶的上限是 first")
def always_first(sizes: Sequence[int], first: int, limit: int) -> list:
    return fill_buckets(sizes, first, first)


@wrong("fill_buckets", "每个参数都要在一个桶里")
def without_the_last(sizes: Sequence[int], first: int, limit: int) -> list:
    return fill_buckets(sizes, first, limit)[:-1]


@wrong("fill_buckets", "应当是 [[4, 3], [2, 1, 0]]", "够了上限")
def never_above(sizes: Sequence[int], first: int, limit: int) -> list:
    buckets, room = [[]], first
    for i in reversed(range(len(sizes))):
        if buckets[-1] and sum(sizes[j] for j in buckets[-1]) + sizes[i] > room:
            buckets.append([])
            room = limit
        buckets[-1].append(i)
    return buckets


@wrong("fill_buckets", "要一列桶")
def no_buckets(sizes: Sequence[int], first: int, limit: int) -> int:
    return 3


@wrong("exposed_after", "还要减去反向的时间")
def with_backward(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return exposed_after(sizes, backward_s, price) + backward_s


@wrong("exposed_after", "可能还有别的桶在排队")
def the_last_alone(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return price(sizes[-1])


@wrong("exposed_after", "这是全部通信")
def nothing_hidden(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return sum(map(price, sizes))


@wrong("exposed_after", "第一个桶要先装满")
def all_hidden(sizes: Sequence[int], backward_s: float, price: Callable) -> float:
    return sum(map(price, sizes)) - backward_s


@wrong("launches", "前面的桶还没发")
def as_soon_as_full(arrivals: Sequence[int], buckets: Sequence) -> list[int]:
    return [max(arrivals.index(i) + 1 for i in bucket) for bucket in buckets]


@wrong("launches", "等到了全部梯度")
def at_the_end(arrivals: Sequence[int], buckets: Sequence) -> list[int]:
    return [len(arrivals)] * len(buckets)


@wrong("launches", "从 1 数起")
def from_zero(arrivals: Sequence[int], buckets: Sequence) -> list[int]:
    return [turn - 1 for turn in launches(arrivals, buckets)]


@wrong("launches", "要 2 个数")
def one_number(arrivals: Sequence[int], buckets: Sequence) -> int:
    return 4


@wrong("loss_weights", "counts = (4, 3)\nrank 0 的权是 1：一样的权")
def all_alike(counts: Sequence[int]) -> list[float]:
    return [1.0] * len(counts)


@wrong("loss_weights", "少乘了 rank 数")
def shares(counts: Sequence[int]) -> list[float]:
    return [own / sum(counts) for own in counts]


@wrong("loss_weights", "除以整批的")
def the_counts(counts: Sequence[int]) -> list[float]:
    return list(map(float, counts))


@pytest.mark.parametrize("case", SAID, ids=lambda case: case.mine.__name__)
def test_wrong_functions_hear_what_is_wrong(case):
    verdict = judged(case.exercise, case.mine)
    assert not verdict.right
    for said in case.said:
        assert said in str(verdict)


@settings(derandomize=True, deadline=None)
@given(order=st.permutations(range(6)), cuts=st.sets(st.integers(1, 5)))
def test_buckets_leave_as_data_parallel_sends_them(order, cuts):
    edges = [0, *sorted(cuts), 6]
    buckets = [tuple(range(a, b)) for a, b in zip(edges, edges[1:], strict=False)]
    missing, sent, waiting = [set(b) for b in buckets], [], 0
    for turn, number in enumerate(order, 1):
        for bucket in missing:
            bucket.discard(number)
        while waiting < len(buckets) and not missing[waiting]:
            sent.append(turn)
            waiting += 1
    assert fault_of_launches(sent, order, buckets) == ""
