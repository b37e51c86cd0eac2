"""What chapter 3 asks a reader of one link: bundles, and alpha and beta from times.

A wrong answer is compared with what the usual mistakes give, so that the verdict can
name the mistake.
"""

from collections.abc import Callable, Sequence
from itertools import product
from math import ceil

import numpy as np

from dlsys_code.book.exercises_numbers import close, is_whole, no_number
from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.introduction.units import GB, KiB, ms, show_bytes, show_time, us

SIZES = tuple(8 * 8**i for i in range(8))  # 8 B to 16 MiB
LINKS = (
    Link(latency_s=50 * us, bandwidth=4 * GB),
    Link(latency_s=5 * us, bandwidth=25 * GB),
    Link(latency_s=1 * ms, bandwidth=0.1 * GB),
)
NEAR = 0.1  # how far a fit may be off
SHARE = 0.1  # of the time that latency may take
Estimate = Callable[[np.ndarray, np.ndarray], Sequence[float]]
Timed = tuple[int, float]  # rounds, and the time of all of them [s]


def samples() -> list[tuple[list[int], list[float]]]:
    """Return sizes [bytes] and times [s], each off by up to 1 %, one of them by far."""
    cases = []
    for (number, link), odd in product(enumerate(LINKS), (None, 0, 4, 7)):
        noise = np.random.default_rng(number).uniform(0.99, 1.01, len(SIZES))
        times = [
            transfer_time_s(n, link) * e for n, e in zip(SIZES, noise, strict=True)
        ]
        if odd is not None:
            times[odd] *= 15
        cases.append((list(SIZES), times))
    return cases


def plain(n: np.ndarray, t: np.ndarray) -> Sequence[float]:
    """Least squares of the errors in seconds."""
    beta, alpha = np.polyfit(n, t, 1)
    return alpha, beta


def relative(n: np.ndarray, t: np.ndarray) -> Sequence[float]:
    """Least squares of the relative errors: a time that is too long weighs little."""
    rows = np.stack([1 / t, n / t], axis=1)
    return np.linalg.lstsq(rows, np.ones(len(n)), rcond=None)[0]


MISTAKES: dict[str, Estimate] = {
    "这是普通最小二乘：它只顾最大的消息，误差要除以时间": plain,
    "次序反了，要 (alpha, beta)": lambda n, t: relative(n, t)[::-1],
    "第二个是带宽，要的是每字节的时间 beta": lambda n, t: (
        relative(n, t)[0],
        1 / relative(n, t)[1],
    ),
}


def fault_of_estimate(
    answer: object, sizes: Sequence[int], times: Sequence[float]
) -> str:
    """Say what is wrong with (alpha, beta) for measured times; "" if nothing is."""
    try:
        alpha, beta = (float(part) for part in answer)
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要 (alpha, beta) 两个数，单位秒和秒每字节"
    n, t = np.array(sizes, dtype=float), np.array(times)
    right = relative(n, t)
    if np.allclose((alpha, beta), right, rtol=NEAR, atol=0):
        return ""
    for said, mistake in MISTAKES.items():
        if np.allclose((alpha, beta), mistake(n, t), rtol=1e-3, atol=0):
            return said
    return (
        f"得到 {alpha:.3g} s 和 {beta:.3g} s/B，"
        f"应当接近 {right[0]:.3g} s 和 {right[1]:.3g} s/B"
    )


def shown_samples(sizes: Sequence[int], times: Sequence[float]) -> str:
    """Return the times of a case, for the reader."""
    pairs = zip(sizes, times, strict=True)
    return "、".join(f"{show_bytes(n)} {show_time(t)}" for n, t in pairs)


def bundles() -> list[tuple[int, Link]]:
    """Return n [bytes] and the link of each case of `bundle`."""
    return list(product((104, KiB, 60 * KiB, 3_000_000), LINKS))


def fault_of_bundle(answer: object, n: int, link: Link) -> str:
    """Say what is wrong with a number of messages to send as one; "" if nothing is."""
    right = max(1, ceil((1 / SHARE - 1) * link.half_bandwidth_bytes / n))
    if not is_whole(answer):
        return no_number(answer, "一个整数：几条合成一条")
    if answer == right:
        return ""
    if answer < 1:
        return f"{answer} 条不是消息，至少要有 1 条"
    share = link.latency_s / transfer_time_s(answer * n, link)
    if answer < right:
        return f"{answer} 条合成一条，时延还占 {share:.1%}"
    return f"{answer} 条合成一条，时延占 {share:.1%}，够了；更少的条数也够"


def shown_bundle(n: int, link: Link) -> str:
    """Return the arguments of one case of `bundle`, for the reader."""
    return (
        f"每条 {show_bytes(n)}，时延 {show_time(link.latency_s)}，"
        f"带宽 {link.bandwidth / GB:g} GB/s"
    )


def layouts() -> list[tuple[int, Timed, Timed]]:
    """Return serial bytes, and (rounds, seconds) of two layouts, of each case."""
    return [
        (n, *((rounds, rounds * k.latency_s + n / k.bandwidth) for rounds in pair))
        for n, k, pair in [
            (3_084_800, LINKS[0], (76, 2)),
            (3_084_800, LINKS[2], (76, 2)),
            (60 * KiB, LINKS[1], (14, 6)),
        ]
    ]


def fault_of_layouts(answer: object, n: int, many: Timed, few: Timed) -> str:
    """Say what is wrong with (alpha, beta) of two layouts with the same bytes."""
    try:
        alpha, beta = (float(part) for part in answer)
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要 (alpha, beta) 两个数，单位秒和秒每字节"
    (more, longer), (less, shorter) = many, few
    a = (longer - shorter) / (more - less)
    b = (shorter - less * a) / n
    near = [
        ((a, b), ""),
        ((b, a), "次序反了，要 (alpha, beta)"),
        ((a, 1 / b), "第二个是带宽，要的是每字节的时间 beta"),
        ((longer / more, b), "一轮的用时里还有字节的，要看两种走法之差"),
        (((longer - shorter) / more, b), "多出来的时间要除以多出来的轮数"),
        ((a, shorter / n), "轮数少的走法也付时延，先减掉再除以字节"),
        ((a, longer / n), "轮数多的走法时延更多，先减掉再除以字节"),
    ]
    for (an_alpha, a_beta), said in near:
        if close(alpha, an_alpha) and close(beta, a_beta):
            return said
    return (
        f"得到 {alpha:.4g} s 和 {beta:.4g} s/B，代回去，{more} 轮是 "
        f"{show_time(more * alpha + n * beta)}，{less} 轮是 "
        f"{show_time(less * alpha + n * beta)}"
    )


def shown_layouts(n: int, many: Timed, few: Timed) -> str:
    """Return the arguments of one case of `two_layouts`, for the reader."""
    pair = "、".join(f"{rounds} 轮 {show_time(s)}" for rounds, s in (many, few))
    return f"{n:,} 字节：{pair}"
