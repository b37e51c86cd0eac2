"""What chapter 2 asks a reader of networks: tori, fat-trees and rails, counted.

The right counts are closed forms; tests hold them against the graphs of the chapter.
"""

from collections.abc import Sequence
from math import prod

from dlsys_code.book.exercises_architecture_counts import fault_of_counts

SHAPES = [(4,), (4, 4), (3, 4), (2, 4), (3, 6), (4, 2, 8), (4, 4, 4), (16, 20, 28)]
TREES = [(4, 1), (8, 1), (8, 3), (48, 1), (48, 2), (64, 7)]
RAILS = [  # source, destination, devices a host, hosts a unit
    (0, 8, 8, 32),
    (3, 12, 8, 32),
    (5, 2, 8, 32),
    (5, 261, 8, 32),
    (9, 17, 4, 4),
    (9, 13, 4, 4),
    (31, 0, 4, 2),
]


def torus_counts(shape: Sequence[int]) -> dict[str, int]:
    """Return cables, diameter and bisection; the longest dimension is even."""
    devices = prod(shape)
    return {
        "线": devices * len(shape),
        "直径": sum(length // 2 for length in shape),
        "对分": 2 * devices // max(shape),
    }


def fault_of_torus(answer: object, shape: Sequence[int]) -> str:
    """Say what counts of a torus overlook; "" if nothing."""
    right, devices = torus_counts(shape), prod(shape)
    near_cables = {
        "每条线有两头，数了两次": 2 * right["线"],
        "没有首尾相接的线：这是网格": sum(devices - devices // n for n in shape),
        "长 2 的一维也首尾相接，两台之间有两条线": sum(
            devices // 2 if n == 2 else devices for n in shape
        ),
    }
    near_diameter = {
        "有首尾相接的线，一维里最远只要走一半": sum(n - 1 for n in shape),
        "每一维各自向下取整，再相加": sum(shape) // 2,
        "各维都要走，要相加": max(shape) // 2,
    }
    near_bisection = {
        "一圈切两刀：首尾相接的那一头也断": right["对分"] // 2,
        "要切断最少的线：沿最长的一维切": 2 * devices // min(shape),
    }
    return fault_of_counts(answer, right, [near_cables, near_diameter, near_bisection])


def tree_counts(radix: int, ratio: int) -> dict[str, int]:
    """Return devices, switches and cables of the largest fat-tree of three levels."""
    half, up = radix // 2, radix // (ratio + 1)
    leaves, spines, cores = radix * half, radix * up, up * half
    devices = leaves * (radix - up)
    return {
        "设备": devices,
        "交换机": leaves + spines + cores,
        "线": devices + leaves * up + spines * half,
    }


def fault_of_tree(answer: object, radix: int, ratio: int) -> str:
    """Say what counts of a fat-tree overlook; "" if nothing."""
    right, even = tree_counts(radix, ratio), tree_counts(radix, 1)
    half, up = radix // 2, radix // (ratio + 1)
    pods = radix * (half + up)
    near_devices = {
        "叶交换机向下的口比向上的多，收敛比几比 1 就多几倍": even["设备"],
        "上下的口数倒了：设备一边的口多": radix * half * up,
        "这是一组里的，一共有 radix 组": right["设备"] // radix,
        "叶交换机的口不能全接设备": radix**3 // 2,
    }
    near_switches = {
        "还有顶上的交换机": pods,
        "收敛比大了，脊和顶上的都跟着少": even["交换机"],
        "一组的脊只有叶向上的口数那么多，不是 radix / 2 台": even["交换机"]
        - half * (half - up),
    }
    near_cables = {
        "设备到叶的线也要数": right["线"] - right["设备"],
        "叶到脊之后，脊到顶上还有一层线": right["设备"] + radix * half * up,
        "收敛比大了，上面两层的线都少": even["线"],
    }
    return fault_of_counts(answer, right, [near_devices, near_switches, near_cables])


def shown_tree(radix: int, ratio: int) -> str:
    """Return a fat-tree for the reader."""
    return f"{radix} 口，收敛比 {ratio} 比 1"


def leaf_of(rank: int, each: int, unit: int) -> int:
    """Return the leaf of a rank: rank r is device r mod g of host r div g."""
    return rank // each // unit * each + rank % each


def fault_of_rail(answer: object, a: int, b: int, each: int, unit: int) -> str:
    """Say what is wrong with (leaf, leaf, way) of a message; "" if nothing is."""
    try:
        *leaves, way = answer
    except (TypeError, ValueError):
        leaves, way = [], answer
    if len(leaves) != 2 or way not in ("nvlink", "leaf", "spine"):
        return f"返回了 {answer!r}，要 (叶, 叶, 走法)，走法是 nvlink、leaf 或 spine"
    for rank, leaf in zip((a, b), leaves, strict=True):
        if fault := fault_of_leaf(leaf, rank, each, unit):
            return fault
    return fault_of_way(way, a, b, each, unit)


def fault_of_leaf(leaf: object, rank: int, each: int, unit: int) -> str:
    """Say what a number of a rank's leaf overlooks; "" if nothing."""
    right, host, device = leaf_of(rank, each, unit), rank // each, rank % each
    if leaf == right:
        return ""
    here = f"rank {rank} 是主机 {host} 的设备 {device}，挂在叶 {right}，不是 {leaf!r}"
    if leaf == host:
        return f"{here}：多轨是同号的设备挂一台叶，不是一台主机一台叶"
    if leaf == device:
        return f"{here}：每组主机有自己的叶，要加上前面各组的"
    return here


def fault_of_way(way: str, a: int, b: int, each: int, unit: int) -> str:
    """Say which way a message between two ranks goes; "" if it is this one."""
    if a // each == b // each:
        right, why = "nvlink", "两个 rank 在同一台主机里，消息不出主机"
    elif leaf_of(a, each, unit) == leaf_of(b, each, unit):
        right, why = "leaf", "两个 rank 挂在同一台叶上，不用上脊"
    elif a % each == b % each:
        right, why = "spine", "设备同号，可是两台主机不在一组，叶不同"
    else:
        right, why = "spine", "设备不同号，叶就不同"
    return "" if way == right else f"走 {right}，不是 {way}：{why}"


def shown_rail(a: int, b: int, each: int, unit: int) -> str:
    """Return a message for the reader."""
    return f"rank {a} → {b}，每台主机 {each} 台设备，{unit} 台主机一组"
