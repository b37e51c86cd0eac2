"""Chapter 3 on RDMA: bytes on the wire, bytes copied, a sender that slows down.

A rate is wrong by the headers that were forgotten, a sender by the formula of one line.
"""

from collections.abc import Callable, Sequence
from functools import reduce

from dlsys_code.book.exercises import Exercise, Puzzle, Question, close
from dlsys_code.communication import datapath, dcqcn, framing
from dlsys_code.communication.dcqcn import Rate
from dlsys_code.introduction.units import GB, Gbit, GiB

GAIN, PORT = 1 / 256, 400 * Gbit / GB  # GB/s
WIRE = {each.name: each.overhead for each in framing.framings()}
COPIES = datapath.count(datapath.paths()["TCP, GPU, pageable"]).cpu_bytes(GiB) / GiB
Case = tuple[float, Sequence[str]]
Change = Callable[[Rate], Rate]


def goodput(overhead: int, payload: int = 1024) -> float:
    """Return the payload that the port carries in a second [GB]."""
    return PORT * payload / (payload + overhead)


def cases() -> list[Case]:
    """Return the rate of the line [Gbit/s] and what happens to a sender, one by one."""
    return [
        (40.0, ["cnp"]),
        (40.0, ["silence", "cnp"]),
        (40.0, ["cnp", "turn", "turn"]),
        (40.0, ["cnp", "cnp", "turn", "turn"]),
        (100.0, ["silence"] * 200 + ["cnp", "silence", "turn", "cnp", "turn"]),
    ]


def shown(line: float, events: Sequence[str]) -> str:
    """Return a case for the reader."""
    return f"线速 {line:g} Gbit/s，依次：{shortened(events)}"


def shortened(events: Sequence[str]) -> str:
    """Return the events, with runs of the same one counted."""
    runs: list[list] = []
    for event in events:
        if runs and runs[-1][0] == event:
            runs[-1][1] += 1
        else:
            runs.append([event, 1])
    return "、".join(name if n == 1 else f"{name} × {n}" for name, n in runs)


def halfway(rate: Rate) -> Rate:
    """Return the rate after a turn of fast recovery."""
    return rate._replace(current=(rate.current + rate.target) / 2)


def cut(rate: Rate) -> Rate:
    """Return the rate after a CNP."""
    return dcqcn.after_cnp(rate, GAIN)


def rate_after(
    line: float, events: Sequence[str], cnp: Change = cut, turn: Change = halfway
) -> float:
    """Return R_C after all events [Gbit/s].  cnp, turn: what these two do."""
    changes = {
        "cnp": cnp,
        "turn": turn,
        "silence": lambda rate: dcqcn.after_silence(rate, GAIN),
    }
    start = Rate(current=line, target=line)
    return reduce(lambda rate, event: changes[event](rate), events, start).current


def fault_of_rate(answer: object, line: float, events: Sequence[str]) -> str:
    """Say which line of the three was likely written wrongly; "" for the right rate."""
    right = rate_after(line, events)
    if not isinstance(answer, int | float) or isinstance(answer, bool):
        return f"返回了 {answer!r}，要当前速率，单位 Gbit/s"
    if close(answer, right):
        return ""
    for said, cnp, turn in MISTAKES:
        if close(answer, rate_after(line, events, cnp, turn)):
            return f"{answer:.4g}：{said}"
    side = "小" if answer < right else "大"
    return f"{answer:.4g} 偏{side}，应当是 {right:.4g}"


MISTAKES: list[tuple[str, Change, Change]] = [
    (
        "减掉的是拥塞估计的一半，不是全部",
        lambda rate: cut(rate)._replace(current=rate.current * (1 - rate.congestion)),
        halfway,
    ),
    (
        "拥塞估计会变，不是每次都减一半",
        lambda rate: cut(rate)._replace(current=rate.current / 2),
        halfway,
    ),
    (
        "目标要先记成减速之前的速率，每个 CNP 都重记",
        lambda rate: cut(rate)._replace(target=rate.target),
        halfway,
    ),
    (
        "目标是减速之前的速率，不是减速之后的",
        lambda rate: cut(rate)._replace(target=cut(rate).current),
        halfway,
    ),
    (
        "收到 CNP，拥塞估计要加上 1/256，不能只衰减",
        lambda rate: cut(rate)._replace(congestion=(1 - GAIN) * rate.congestion),
        halfway,
    ),
    (
        "减速用的是改之前的拥塞估计",
        lambda rate: cut(rate)._replace(
            current=rate.current * (1 - cut(rate).congestion / 2)
        ),
        halfway,
    ),
    (
        "恢复一次只走一半的路",
        cut,
        lambda rate: rate._replace(current=rate.target),
    ),
]

EXERCISES: dict[str, Exercise] = {
    "roce_goodput": Question(
        value=goodput(WIRE["RoCE v2"]),
        unit="GB/s",
        near={
            PORT: "包头、前导码和帧间隔也占线",
            goodput(WIRE["RoCE v2"] - 20): "前导码 8 字节和帧间隔 12 字节也占线",
            goodput(WIRE["RoCE v2"] - 38): "还有以太网的 38 字节",
            goodput(WIRE["RoCE v1"]): "这是 RoCE v1：v2 没有 GRH，有 IPv4 和 UDP",
            goodput(WIRE["TCP"]): "这是 TCP 的头",
            goodput(WIRE["RoCE v2"]) * 8: "单位是 GB/s，不是 Gbit/s",
        },
        hints=[
            "一个包在线上占多少字节？载荷、头、前导码、帧间隔都算。",
            "头一共 38 + 20 + 8 + 12 + 4 字节；再乘 400 / 8 GB/s。",
        ],
    ),
    "copied_gibibytes": Question(
        value=COPIES,
        unit="GiB",
        near={
            COPIES / 2: "一次拷贝读一遍、写一遍",
            4 / 2: "数一数拷贝：锁页与不锁页之间还有两次",
            12.0: "DMA 搬的字节不经过 CPU",
        },
        hints=[
            "从 GPU 显存开始，一步一步写：谁在搬？",
            "每一端有两次 CPU 拷贝：锁页 ↔ 程序，程序 ↔ 套接字；每次读 n、写 n。",
        ],
    ),
    "slow_down": Puzzle(
        cases=cases,
        fault=fault_of_rate,
        shown=shown,
        hints=[
            "记住三个数：当前速率、目标速率、拥塞估计，起初是线速、线速和 1。",
            "`cnp`：先记目标，再减速，最后改拥塞估计；减速用的是改之前的估计。",
            "`silence` 只让拥塞估计乘 255/256；`turn` 只让当前速率走到目标的半路。",
        ],
    ),
}
