"""What chapter 3 asks a reader of hosts: slots, a sender that slows down, a choice.

A slot is wrong by its turn, a rate by the formula of one line, a choice of NCCL's by
the pair that would be faster.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product

from dlsys_code.book.exercises_numbers import close, is_number, is_whole, no_number
from dlsys_code.communication import dcqcn, nccl
from dlsys_code.communication.channels import Communicator, behind_nvswitch
from dlsys_code.communication.dcqcn import Rate
from dlsys_code.introduction.units import GB, KiB, show_bytes, show_time

TURNS = [(0, 0, 4), (3, 0, 4), (4, 0, 4), (4, 1, 4), (9, 7, 4), (12, 12, 5), (7, 6, 1)]
PAUSES = [(2, 1, 0), (2, 2, 0), (2, 1, 10), (3, 2, 10), (5, 5, 7), (4, 1, 100)]
PIECES = 1000
GAIN = 1 / 256
RAIL = {"ranks_per_node": 8, "channels": 8, "channel_bandwidth": 24 * GB}
CLOSE = 1.02  # guesses within two in a hundred are equally good
Case = tuple[float, Sequence[str]]
Change = Callable[[Rate], Rate]


def fault_of_slot(answer: object, puts: int, gets: int, slots: int) -> str:
    """Say what is wrong with (slot, room) after so many turns; "" if nothing is."""
    try:
        slot, room = answer
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要 (槽, 空槽数)"
    right = puts % slots, slots - (puts - gets)
    if (slot, room) == right:
        return ""
    if slot != right[0] and slot == gets % slots:
        return "这是下一片要取的槽，不是要放的"
    if slot != right[0] and slot == puts:
        return "槽的编号用完要从 0 再来：对 slots 取余"
    if slot != right[0]:
        return f"第 {puts + 1} 片放进槽 {right[0]}，不是 {slot!r}"
    if room == (gets - puts) % slots:
        return "放的和取的一样多是空，多 slots 片是满；取余之后分不清这两种"
    return f"有 {puts - gets} 片没取，空槽是 {right[1]} 个，不是 {room!r}"


def slots_needed(fill: int, empty: int, pause: int) -> int:
    """Return the most slots in use at once when the sender never waits."""
    ends: list[int] = []
    most, free_s = 0, pause
    for begin in range(0, PIECES * fill, fill):
        free_s = max(free_s, begin + fill) + empty
        ends = [end for end in ends if end > begin] + [free_s]
        most = max(most, len(ends))
    return most


def fault_of_pause(answer: object, fill: int, empty: int, pause: int) -> str:
    """Say whether so many slots are too few or too many; "" for just enough."""
    right = slots_needed(fill, empty, pause)
    if not is_whole(answer):
        return no_number(answer, "一个整数")
    if answer == right:
        return ""
    if answer == pause // fill:
        return "停的那一段里填好的要算，正在填、正在取的也各占一个槽"
    if answer == 2 < right:
        return "两个槽只盖得住短的停顿，这里发送方会等"
    return f"{answer} 个槽时{'发送方会等' if answer < right else '够了，少一些也够'}"


def senders() -> list[Case]:
    """Return the rate of the line [Gbit/s] and what happens to a sender, one by one."""
    return [
        (40.0, ["cnp"]),
        (40.0, ["silence", "cnp"]),
        (40.0, ["cnp", "turn", "turn"]),
        (40.0, ["cnp", "cnp", "turn", "turn"]),
        (100.0, ["silence"] * 200 + ["cnp", "silence", "turn", "cnp", "turn"]),
    ]


def shown_sender(line: float, events: Sequence[str]) -> str:
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
    if not is_number(answer):
        return no_number(answer, "当前速率，单位 Gbit/s")
    if close(answer, right):
        return ""
    for said, cnp, turn in MISTAKES:
        if close(answer, rate_after(line, events, cnp, turn)):
            return f"{answer:.4g}：{said}"
    side = "小" if answer < right else "大"
    return f"{answer:.4g}，偏{side}，应当是 {right:.4g}"


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


def calls() -> list[tuple[int, Communicator]]:
    """Return bytes and communicators: one node first, then several."""
    comms = [behind_nvswitch(p) for p in (2, 4, 8)]
    comms += [Communicator(nodes=nodes, **RAIL) for nodes in (2, 16, 128)]
    return [(n, comm) for comm, n in product(comms, (KiB * 8**i for i in range(8)))]


def fault_of_choice(answer: object, n: int, comm: Communicator) -> str:
    """Say by how much another pair is faster; "" for the least guess."""
    times = {guess[:2]: guess.time_s for guess in nccl.guesses(n, comm)}
    pairs = [pair for pair in times if pair == answer]
    if not pairs:
        return f"返回了 {answer!r}，要一对，例如 ('ring', 'LL')"
    best = min(times, key=times.__getitem__)
    if times[pairs[0]] <= CLOSE * times[best]:
        return ""
    mine, least = (show_time(times[pair]) for pair in (pairs[0], best))
    return f"{answer} 猜 {mine}，{best} 只猜 {least}"


def shown_call(n: int, comm: Communicator) -> str:
    """Return the bytes and the communicator of a case, for the reader."""
    return f"{comm.nodes} 台机器、每台 {comm.ranks_per_node} 张卡，n = {show_bytes(n)}"
