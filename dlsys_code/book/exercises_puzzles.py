"""Functions of chapter 4 that need no ranks: what is wrong with an answer to a case.

Whoever answers wrongly is shown a counter-example: ranks that break a rule of the
groups, or a number of ranks and bytes at which another algorithm is faster.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import product

from dlsys_code.book.exercises import Price
from dlsys_code.communication import cost, formulas
from dlsys_code.communication.link import Link
from dlsys_code.introduction.units import KiB, show_bytes, show_time

RIVALS: dict[str, Price] = {
    "ring": cost.ring_all_reduce,
    "doubling": formulas.doubling_all_reduce,
    "halving": formulas.halving_all_reduce,
}
CLOSE = 1.05  # times within five in a hundred are equally good


def grid(link: Link) -> list[tuple[int, int, Link]]:
    """Return p, n [bytes] and the link, as in the chapter's table of the fastest."""
    sizes = [4 * KiB * 16**i for i in range(5)]
    return list(product((2, 6, 8, 48, 64, 1000, 1024), sizes, [link]))


def shown_choice(p: int, n: int, link: Link) -> str:
    """Return the arguments of one case of `choose`, for the reader."""
    return f"p = {p:,}、n = {show_bytes(n)}"


def fault_of_choice(name: object, p: int, n: int, link: Link) -> str:
    """Say by how much another algorithm is faster; "" for the fastest."""
    if name not in RIVALS:
        return f"返回了 {name!r}，要 {'、'.join(RIVALS)} 之一"
    times = {each: price(p, n // 4, 4).time_s(link) for each, price in RIVALS.items()}
    best = min(times, key=times.__getitem__)
    if times[name] <= CLOSE * times[best]:
        return ""
    return f"{name} 要 {show_time(times[name])}，{best} 只要 {show_time(times[best])}"


def fault_of_groups(answer: object, nodes: int, each: int) -> str:
    """Say what is wrong with (inner, outer), two lists of lists of ranks."""
    try:
        inner, outer = ([list(group) for group in level if group] for level in answer)
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要 (inner, outer)：两张组的表，一个组是一列 rank"
    node = {rank: rank // each for rank in range(nodes * each)}
    number = {rank: rank % each for rank in node}
    return fault_of_level(
        "inner", inner, node, ("在不同的机器上", "同一台机器")
    ) or fault_of_level("outer", outer, number, ("在机器里的编号不同", "同号"))


def fault_of_level(
    name: str,
    groups: Sequence[Sequence[int]],
    key: dict[int, int],
    words: Sequence[str],
) -> str:
    """Say which ranks of one level are in no group, in two, or in the wrong one.

    key: what the ranks of one group have in common.  words: for ranks that have not,
    and for those that have.
    """
    differ, alike = words
    seen = Counter(rank for group in groups for rank in group)
    for rank in key.keys() | seen.keys():
        if rank not in key:
            return f"没有 rank {rank}，{name} 里却有"
        if seen[rank] != 1:
            return f"rank {rank} 在 {seen[rank]} 个 {name} 组里，应当正好在一个里"
    first = {}  # of the ranks with a key, the one whose group is known
    for group in groups:
        for rank in group:
            if key[rank] != key[group[0]]:
                return f"{name} 组 {group} 里的 {group[0]} 和 {rank} {differ}"
        if group[0] != first.setdefault(key[group[0]], group[0]):
            return f"{name} 里 {first[key[group[0]]]} 和 {group[0]} {alike}，却不在一组"
    return ""
