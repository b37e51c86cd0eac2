"""What chapter 3 asks a reader of printed rates: bytes of one direction, and tokens.

A wrong answer is compared with what the usual mistakes give.
"""

from math import ceil, floor

from dlsys_code.book.exercises_numbers import close, is_number, no_number
from dlsys_code.communication import hardware
from dlsys_code.introduction.devices import device
from dlsys_code.introduction.units import GB


def fault_of_one_way(answer: object, printed: str, directions: int) -> str:
    """Say which of the traps an answer fell into; "" for the right rate."""
    right = hardware.rate(printed) / directions
    if not is_number(answer):
        return no_number(answer, "一个数，单位 B/s")
    if close(answer, right):
        return ""
    near = {
        right * directions: f"这个数算了 {directions} 个方向，要一个方向的",
        right * 8: "印的是比特，8 比特才是 1 字节",
        right / 8: "GB/s 已经是字节，不用再除以 8",
        right / GB: "单位是 B/s，不是 GB/s",
        right / 1000: "TB 是 10 的 12 次方字节",
        right * (2**30 / 1e9): "GB 是 10 的 9 次方字节，不是 GiB",
    }
    for value, said in near.items():
        if close(answer, value):
            return said
    return f"{answer:.4g} 不对，应当是 {right:.4g} B/s"


def shown_rate(printed: str, directions: int) -> str:
    """Return a printed rate, for the reader."""
    return f"{printed!r}，算了 {directions} 个方向"


def steps_of_training() -> list[tuple[float, float, float]]:
    """Return peak [FLOP/s], bandwidth [bytes/s] and utilization of each case."""
    pairs = [
        ("H100", "NVLink 4"),
        ("H100", "InfiniBand NDR"),
        ("A100 80GB", "NVLink 3"),
        ("V100", "10 GbE"),
    ]
    return [
        (device(card).peak, hardware.link(name).bandwidth, utilization)
        for card, name in pairs
        for utilization in (0.4, 0.7)
    ]


def fault_of_tokens(
    answer: object, peak: float, bandwidth: float, utilization: float
) -> str:
    """Say what of the two times was left out; "" for the right number of tokens."""
    exact = 4 * peak * utilization / (6 * bandwidth)
    if not is_number(answer):
        return no_number(answer, "一个整数")
    if answer == ceil(exact):
        return ""
    if answer in (exact, floor(exact)):
        return f"{answer:,.6g} 个还差一点：词元是整数，向上取整"
    near = {
        exact / 2: "全归约每个 rank 发出近 2n 字节，不是 n",
        exact * 3: "6 次里正向 2 次、反向 4 次，不能只算正向",
        exact / utilization: "卡达不到峰值，还要乘利用率",
        exact * 2: "bf16 的梯度每个参数 2 字节，不是 4",
    }
    for value, said in near.items():
        if abs(answer - value) <= 1:
            return said
    return f"{answer:,.0f} 不对，应当是 {ceil(exact):,}"


def shown_step(peak: float, bandwidth: float, utilization: float) -> str:
    """Return the arguments of one case of `tokens_to_hide`, for the reader."""
    return f"峰值 {peak:.3g} FLOP/s，{bandwidth / GB:g} GB/s，利用率 {utilization:.0%}"
