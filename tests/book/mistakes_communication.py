"""Likely wrong answers to the exercises of chapter 3, and what is said of each.

Where a part of a wrong answer is right, it is the page's.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from math import ceil, floor

import networkx as nx
import numpy as np
from exercises_on_the_page import ROOT, answers
from noted import noting

from dlsys_code.communication import nccl
from dlsys_code.communication.channels import Communicator
from dlsys_code.communication.hardware import rate
from dlsys_code.communication.link import Link

RIGHT = answers(ROOT / "04_AICluster" / "03.communication.ipynb")
SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ printed rates


@wrong("one_way", "算了 2 个方向，要一个方向的")
def both_ways(printed: str, directions: int) -> float:
    return rate(printed)


@wrong("one_way", "8 比特才是 1 字节")
def bits_for_bytes(printed: str, directions: int) -> float:
    return RIGHT["one_way"](printed, directions) * (8 if "bit" in printed else 1)


@wrong("one_way", "GB/s 已经是字节")
def bytes_for_bits(printed: str, directions: int) -> float:
    return RIGHT["one_way"](printed, directions) / (1 if "bit" in printed else 8)


@wrong("one_way", "单位是 B/s，不是 GB/s")
def in_gigabytes(printed: str, directions: int) -> float:
    return RIGHT["one_way"](printed, directions) / 1e9


@wrong("one_way", "不是 GiB")
def in_powers_of_two(printed: str, directions: int) -> float:
    return RIGHT["one_way"](printed, directions) / 1e9 * 2**30


@wrong("one_way", "要一个数，单位 B/s")
def still_a_text(printed: str, directions: int) -> str:
    return printed


@wrong("tokens_to_hide", "发出近 2n 字节，不是 n")
def bytes_once(peak: float, bandwidth: float, utilization: float) -> int:
    return ceil(peak * utilization / (3 * bandwidth))


@wrong("tokens_to_hide", "不能只算正向")
def forward_only(peak: float, bandwidth: float, utilization: float) -> int:
    return ceil(2 * peak * utilization / bandwidth)


@wrong("tokens_to_hide", "还要乘利用率")
def at_the_peak(peak: float, bandwidth: float, utilization: float) -> int:
    return RIGHT["tokens_to_hide"](peak, bandwidth, 1.0)


@wrong("tokens_to_hide", "每个参数 2 字节，不是 4")
def in_single_precision(peak: float, bandwidth: float, utilization: float) -> int:
    return ceil(4 * peak * utilization / (3 * bandwidth))


@wrong("tokens_to_hide", "1,000 不对，应当是 587")
def a_thousand(peak: float, bandwidth: float, utilization: float) -> int:
    return 1000


@wrong("tokens_to_hide", "词元是整数，向上取整")
def rounded_down(peak: float, bandwidth: float, utilization: float) -> int:
    return floor(4 * peak * utilization / (6 * bandwidth))


# ------------------------------------------------------------ alpha and beta


@wrong("bundle", "0 条不是消息，至少要有 1 条")
def no_message(n: int, link: Link) -> int:
    k = RIGHT["bundle"](n, link)
    return k if k > 1 else 0


@wrong("bundle", "要一个整数")
def not_rounded(n: int, link: Link) -> float:
    return max(1.0, 9 * link.half_bandwidth_bytes / n)


@wrong("bundle", "更少的条数也够")
def one_more(n: int, link: Link) -> int:
    return RIGHT["bundle"](n, link) + 1


@wrong("bundle", "时延还占 10.0%")
def one_less(n: int, link: Link) -> int:
    return max(1, RIGHT["bundle"](n, link) - 1)


@wrong("bundle", "时延还占 50.0%")
def half_of_the_bandwidth(n: int, link: Link) -> int:
    return max(1, ceil(link.half_bandwidth_bytes / n))


@wrong("estimate", "这是普通最小二乘")
def in_seconds(sizes: Sequence[int], times: Sequence[float]) -> Sequence[float]:
    return np.polyfit(sizes, times, 1)[::-1]


@wrong("estimate", "次序反了")
def the_other_order(sizes: Sequence[int], times: Sequence[float]) -> Sequence[float]:
    return RIGHT["estimate"](sizes, times)[::-1]


@wrong("estimate", "要的是每字节的时间 beta")
def bandwidth_for_beta(sizes: Sequence[int], times: Sequence[float]) -> tuple:
    alpha, beta = RIGHT["estimate"](sizes, times)
    return alpha, 1 / beta


@wrong("estimate", "应当接近")
def first_and_last(sizes: Sequence[int], times: Sequence[float]) -> tuple:
    return times[0], times[-1] / sizes[-1]


@wrong("estimate", "要 (alpha, beta) 两个数")
def forgot_to_return(sizes: Sequence[int], times: Sequence[float]) -> None:
    return None


@wrong("two_layouts", "要看两种走法之差")
def time_per_round(n: int, many: tuple, few: tuple) -> tuple:
    return many[1] / many[0], RIGHT["two_layouts"](n, many, few)[1]


@wrong("two_layouts", "除以多出来的轮数")
def over_all_rounds(n: int, many: tuple, few: tuple) -> tuple:
    return (many[1] - few[1]) / many[0], RIGHT["two_layouts"](n, many, few)[1]


@wrong("two_layouts", "轮数少的走法也付时延")
def few_rounds_are_free(n: int, many: tuple, few: tuple) -> tuple:
    return RIGHT["two_layouts"](n, many, few)[0], few[1] / n


@wrong("two_layouts", "轮数多的走法时延更多")
def many_rounds_are_free(n: int, many: tuple, few: tuple) -> tuple:
    return RIGHT["two_layouts"](n, many, few)[0], many[1] / n


@wrong("two_layouts", "要的是每字节的时间 beta")
def bandwidth_of_both(n: int, many: tuple, few: tuple) -> tuple:
    alpha, beta = RIGHT["two_layouts"](n, many, few)
    return alpha, 1 / beta


@wrong("two_layouts", "次序反了")
def beta_first(n: int, many: tuple, few: tuple) -> tuple:
    return RIGHT["two_layouts"](n, many, few)[::-1]


@wrong("two_layouts", "代回去，76 轮是 2 s，2 轮是 2 s")
def all_in_the_bytes(n: int, many: tuple, few: tuple) -> tuple:
    return 0.0, 2 / n


# ------------------------------------------------------------ the mailbox


@wrong("slot_of", "放了 4 片、取了 0 片、4 个槽", "对 slots 取余")
def never_around(puts: int, gets: int, slots: int) -> tuple:
    return puts, slots - (puts - gets)


@wrong("slot_of", "这是下一片要取的槽")
def slot_to_read(puts: int, gets: int, slots: int) -> tuple:
    return gets % slots, slots - (puts - gets)


@wrong("slot_of", "取余之后分不清这两种")
def full_looks_empty(puts: int, gets: int, slots: int) -> tuple:
    return puts % slots, (gets - puts) % slots


@wrong("slot_of", "有 3 片没取，空槽是 1 个，不是 3")
def full_slots(puts: int, gets: int, slots: int) -> tuple:
    return puts % slots, slots if puts == gets else puts - gets


@wrong("slot_of", "第 1 片放进槽 0，不是 1")
def counted_from_one(puts: int, gets: int, slots: int) -> tuple:
    return (puts + 1) % slots, slots - (puts - gets)


@wrong("slot_of", "要 (槽, 空槽数)")
def slot_only(puts: int, gets: int, slots: int) -> int:
    return puts % slots


@wrong("slots_for_a_pause", "正在填、正在取的也各占一个槽")
def pieces_of_the_pause(fill: int, empty: int, pause: int) -> int:
    return pause // fill if pause else 2


@wrong("slots_for_a_pause", "先停 10 秒", "两个槽只盖得住短的停顿")
def double_buffering(fill: int, empty: int, pause: int) -> int:
    return 2


@wrong("slots_for_a_pause", "1000 个槽时够了，少一些也够")
def a_slot_for_each_piece(fill: int, empty: int, pause: int) -> int:
    return 1000


# ------------------------------------------------------------ networks


@wrong("ring_on_links", "8 个设备，16 对直连", "里 3 和 4 之间没有 NVLink")
def in_turn(links: nx.Graph) -> list[int]:
    return list(range(len(links)))


@wrong("ring_on_links", "返回了 []，其实有环")
def gives_up(links: nx.Graph) -> list[int]:
    return []


@wrong("ring_on_links", "要一列设备编号")
def no_ring(links: nx.Graph) -> None:
    return None


@wrong("ring_on_links", "里 3 出现 0 次")
def too_short(links: nx.Graph) -> list[int]:
    return [0, 1, 2]


@wrong("ring_on_links", "里 0 出现 2 次")
def closed_twice(links: nx.Graph) -> list[int]:
    return [*range(len(links)), 0]


@wrong("ring_on_links", "没有 9")
def made_up(links: nx.Graph) -> list[int]:
    return [*range(len(links)), 9]


@wrong("ring_on_links", "里 5 和 0 之间没有 NVLink（最后一个要回到第一个）")
def not_closed(links: nx.Graph) -> list[int]:
    return [0, 1, 2, 3, 7, 4, 6, 5]


@wrong("ring_on_links", "抛出异常 KeyError")
def no_such_device(links: nx.Graph) -> list[int]:
    return list(links[len(links) + 1])


@wrong("fewest_crossings", "leaf = [0, 1, 0, 1]", "一圈跨叶 4 次，2 次就够")
def as_numbered(leaf: list[int]) -> range:
    return range(len(leaf))


@wrong("fewest_crossings", "里 0 出现 2 次")
def leaves_for_ranks(leaf: list[int]) -> list[int]:
    return sorted(leaf)


@wrong("fewest_crossings", "要一列 rank")
def a_number(leaf: list[int]) -> int:
    return len(leaf)


@wrong("fair_shares", "流 1 的速率 5 还能再大")
def split_equally(paths: Sequence, capacities: Sequence[float]) -> list[float]:
    crowd = Counter(link for path in paths for link in path)
    return [min(capacities[link] / crowd[link] for link in path) for path in paths]


@wrong("fair_shares", "链路 0 容量 6，走了 18")
def each_has_all(paths: Sequence, capacities: Sequence[float]) -> list[float]:
    return [min(capacities)] * len(paths)


@wrong("fair_shares", "流 0 的速率 0 还能再大")
def standstill(paths: Sequence, capacities: Sequence[float]) -> list[float]:
    return [0.0] * len(paths)


@wrong("fair_shares", "有 1 条流，返回了 2 个速率")
def rates_of_two(paths: Sequence, capacities: Sequence[float]) -> list[float]:
    return [1.0, 2.0]


@wrong("fair_shares", "要一列速率")
def no_rates(paths: Sequence, capacities: Sequence[float]) -> None:
    return None


@wrong("order_for_a_tree", "racks = [[0, 1], [2, 3]]", "跨机架 4 条，2 条就够")
def best_for_a_ring(racks: list[list[int]]) -> list[int]:
    return [rank for ranks in racks for rank in ranks]


@wrong("order_for_a_tree", "里 0 出现 0 次")
def one_rack_only(racks: list[list[int]]) -> list[int]:
    return racks[-1]


@wrong("order_for_a_tree", "要一列 rank")
def no_order(racks: list[list[int]]) -> None:
    return None


# ------------------------------------------------------------ a sender that slows down


def sender(line: float, events: Sequence[str], *, wrongly: str) -> float:
    """Return the page's answer with one line written wrongly."""
    current = target = line
    congestion = 1.0
    for event in events:
        if event == "cnp":
            before, old = current, congestion
            congestion = old * 255 / 256 + (wrongly != "calms") / 256
            kappa = congestion if wrongly == "estimate first" else old
            part = {"whole": kappa, "half": 0.5}.get(wrongly, kappa / 2)
            current *= 1 - part
            if wrongly != "target kept":
                target = current if wrongly == "target cut" else before
        elif event == "silence":
            congestion *= 255 / 256
        else:
            current = target if wrongly == "jumps" else (current + target) / 2
    return current


@wrong("slow_down", "减掉的是拥塞估计的一半")
def cut_by_all(line: float, events: Sequence[str]) -> float:
    return sender(line, events, wrongly="whole")


@wrong("slow_down", "silence、cnp", "不是每次都减一半")
def always_half(line: float, events: Sequence[str]) -> float:
    return sender(line, events, wrongly="half")


@wrong("slow_down", "cnp × 2、turn × 2", "每个 CNP 都重记")
def target_kept(line: float, events: Sequence[str]) -> float:
    return sender(line, events, wrongly="target kept")


@wrong("slow_down", "不是减速之后的")
def target_cut(line: float, events: Sequence[str]) -> float:
    return sender(line, events, wrongly="target cut")


@wrong("slow_down", "不能只衰减")
def only_calms(line: float, events: Sequence[str]) -> float:
    return sender(line, events, wrongly="calms")


@wrong("slow_down", "只走一半的路")
def jumps(line: float, events: Sequence[str]) -> float:
    return sender(line, events, wrongly="jumps")


@wrong("slow_down", "用的是改之前的")
def estimate_first(line: float, events: Sequence[str]) -> float:
    return sender(line, events, wrongly="estimate first")


@wrong("slow_down", "41，偏大，应当是 20")
def a_little_faster(line: float, events: Sequence[str]) -> float:
    return line + 1


@wrong("slow_down", "要当前速率")
def no_rate(line: float, events: Sequence[str]) -> None:
    return None


# ------------------------------------------------------------ NCCL's choice


def least(n: int, comm: Communicator, *, tree: bool, plateau: bool) -> tuple[str, str]:
    """Return the least guess, without one or the other of NCCL's corrections."""

    def guess(pair: tuple[str, str]) -> float:
        latency, speed = nccl.latency_s(*pair, comm), nccl.bandwidth(*pair, comm)
        if pair[0] == "tree" and tree:
            speed *= nccl.tree_correction(n, pair[1], comm)
        if pair == ("ring", "Simple") and comm.nodes > 1 and plateau:
            latency *= 1.4
        return latency + n / speed

    return min(product(nccl.ALGORITHMS, nccl.PROTOCOLS), key=guess)


@wrong("nccl_choice", "2 台机器、每台 8 张卡，n = 32 MiB", "只猜")
def no_plateau(n: int, comm: Communicator) -> tuple[str, str]:
    return least(n, comm, tree=True, plateau=False)


@wrong("nccl_choice", "2 台机器、每台 8 张卡，n = 512 KiB", "只猜")
def no_correction(n: int, comm: Communicator) -> tuple[str, str]:
    return least(n, comm, tree=False, plateau=True)


@wrong("nccl_choice", "n = 1 KiB", "('ring', 'LL') 只猜")
def always_simple(n: int, comm: Communicator) -> tuple[str, str]:
    return "ring", "Simple"


@wrong("nccl_choice", "要一对，例如 ('ring', 'LL')")
def algorithm_only(n: int, comm: Communicator) -> str:
    return "ring"
