"""The exercises of chapter 5 that ask for a number.

The layout is the fastest of all that fit, found by trying them, as a reader may.
"""

from dlsys_code.book.exercises import Question
from dlsys_code.communication.cost import ring_all_reduce
from dlsys_code.introduction.units import GB, ms

STAGES = (2, 3, 3, 4)  # ms forward of each stage; backward takes twice as long
FORWARD = sum(STAGES)
BUSY = 100 * max(STAGES) / FORWARD  # percent

DEVICES, ON_A_HOST = 16, 8
LAYERS, WIDTH, COUNT = 32, 4096, 7 * 10**9
SEQUENCES, LENGTH = 16, 4096
ROOM, STATE = 60 * GB, 16  # bytes of a device; bytes of each weight's states
INSIDE, ACROSS = 400 * GB, 50 * GB  # bytes/s
WAYS = (1, 2, 4, 8)  # degrees of tensor parallelism inside a host


def tensor_ms(t: int, *, calls: int = 4) -> float:
    """Return the time of the all-reduces of activations [ms], `calls` in a layer."""
    elements = SEQUENCES // (DEVICES // t) * LENGTH * WIDTH
    sent = calls * LAYERS * ring_all_reduce(t, elements, 2).bytes_sent
    return sent / INSIDE / ms


def data_ms(t: int) -> float:
    """Return the time of the all-reduce of gradients [ms], of 2 bytes each."""
    sent = ring_all_reduce(DEVICES // t, COUNT // t, 2).bytes_sent
    return sent / ACROSS / ms


def total_ms(t: int, *, calls: int = 4) -> float:
    """Return the time of a step's communication [ms]."""
    return tensor_ms(t, calls=calls) + data_ms(t)


FITS = [t for t in WAYS if COUNT * STATE / t <= ROOM]
BEST = min(FITS, key=total_ms)
FASTEST = total_ms(BEST)

NUMBERS = {
    "busy_share": Question(
        value=BUSY,
        unit="%",
        near={
            BUSY / 100: "单位是 %：乘 100",
            100 / len(STAGES): "这是四个 rank 的平均；要最忙的一个",
            100 * min(STAGES) / FORWARD: "这是最闲的一个",
            BUSY / 3: "它反向也在算",
            BUSY * 2 / 3: "它正向也在算",
            100 * FORWARD / (FORWARD + 2 * max(STAGES)): "反向也要走过四段",
            100: "没有第二批接在后面：别的段在算时它在等",
        },
        hints=[
            "一步有多长？正向走过四段，反向再走过四段，同一时刻只有一段在算。",
            "最忙的一段算 `4 + 8` 毫秒，一步是 `3 * (2 + 3 + 3 + 4)` 毫秒。",
        ],
    ),
    "fastest_layout": Question(
        value=FASTEST,
        unit="毫秒",
        near={
            **{
                total_ms(t): f"这是 t = {t}：放得下，可是还有更快的"
                for t in FITS
                if t != BEST
            },
            total_ms(1): "这是 t = 1：112 GB 的状态，一块卡放不下",
            tensor_ms(BEST): "这只是张量并行的，还有梯度的全归约",
            data_ms(BEST): "这只是梯度的，还有激活值的全归约",
            FASTEST / 2: "全归约要发 2(p-1)/p 份，少乘了 2",
            min(total_ms(t, calls=2) for t in FITS): "每层四次：反向也有两次",
            FASTEST / 1000: "单位是毫秒",
            **dict.fromkeys(WAYS, "这是 t；要的是毫秒"),
        },
        hints=[
            "先看 t 是几才放得下：`7e9 * 16 / t` 字节不超过 `60e9`。",
            "t 越大，一个副本的样本越多，激活值的全归约越大；梯度的全归约越小。",
            "激活值：`4 * 32` 次，每次 `16 / (16 / t) * 4096 * 4096 * 2` 字节，"
            "乘 `2 * (t - 1) / t`，除以 `400e9`。",
            "梯度：D = 16 / t，`2 * (D - 1) / D * 7e9 * 2 / t` 字节，除以 `50e9`。",
        ],
    ),
}
