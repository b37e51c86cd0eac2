"""What chapter 2 asks a reader of servers: who is busiest, who holds which keys.

Whoever deals keys badly is told of a better dealing, whoever takes too few servers, of
what the port of each cannot send in time.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product
from math import ceil

from dlsys_code.book.exercises_architecture_counts import fault_of_count
from dlsys_code.book.exercises_numbers import is_whole, no_number
from dlsys_code.introduction.units import GB

PLACEMENTS = [  # bytes that each rank serves, ranks that work
    ((48, 0, 0, 0, 0), (1, 2, 3, 4)),
    ((48, 0, 0, 0), (0, 1, 2, 3)),
    ((12, 12, 12, 12), (0, 1, 2, 3)),
    ((16, 12, 12), (0, 1, 2)),
    ((16, 16, 16, 0, 0), (3, 4)),
    ((30, 18, 0, 0), (1, 2, 3)),
    ((8, 8, 4, 4, 4), (0, 1, 2, 3, 4)),
]
SIZES = [  # elements of the keys in their order, servers
    ((4, 4, 4), 3),
    ((9, 1, 9, 1, 9, 1), 2),
    ((3, 1, 1, 1, 1, 1, 8), 2),
    ((5, 5, 4, 4, 3, 3, 3), 3),
    ((2, 3, 7, 1, 8, 2, 8), 3),
]
STEPS = [  # workers, bytes, seconds of computing, bytes/s of a port
    (8, 2 * GB, 1.0, 50 * GB),
    (64, 2 * GB, 1.0, 50 * GB),
    (30, 2 * GB, 0.5, 25 * GB),
    (1000, 14 * GB, 2.0, 50 * GB),
    (4, 14 * GB, 0.2, 50 * GB),
    (256, 14 * GB, 0.25, 50 * GB),
    (4, 10 * GB, 0.25, 40 * GB),  # just in time
]
RATIO = 4 / 3


def fault_of_busiest(answer: object, serves: Sequence[int], workers: Sequence) -> str:
    """Say what a count of the busiest rank's bytes overlooks; "" if nothing."""
    n, p, ranks = sum(serves), len(workers), range(len(serves))
    pushed = [(n - serves[r]) * (r in workers) for r in ranks]
    served = [serves[r] * (p - (r in workers)) for r in ranks]
    sent = [a + b for a, b in zip(pushed, served, strict=True)]
    given = [serves[r] * p for r in ranks]
    near = {
        "服务器不用给自己发权重": max(map(sum, zip(pushed, given, strict=True))),
        "自己服务的那一份不上网": max(n * (r in workers) + given[r] for r in ranks),
        "这是所有 rank 加起来的，要最忙的一个": sum(sent),
        "收和发都算了，只算发出的": 2 * max(sent),
        "只算了服务器发权重，工人交梯度也要发": max(served),
        "只算了工人交梯度，服务器给每个工人都要发一份权重": max(pushed),
    }
    return fault_of_count(answer, max(sent), near)


def shown_placement(serves: Sequence[int], workers: Sequence[int]) -> str:
    """Return a placement for the reader."""
    return f"serves = {list(serves)}、workers = {list(workers)}"


@cache
def least_load(sizes: tuple[int, ...], servers: int) -> int:
    """Return the load of the busiest server under the best dealing: all are tried."""
    every = product(range(servers), repeat=len(sizes))
    return min(max(loads(sizes, servers, dealing)) for dealing in every)


def loads(sizes: Sequence[int], servers: int, dealing: Sequence[int]) -> list[int]:
    """Return how many elements each server holds."""
    load = [0] * servers
    for size, server in zip(sizes, dealing, strict=True):
        load[server] += size
    return load


def fault_of_dealing(answer: object, sizes: tuple[int, ...], servers: int) -> str:
    """Say how much more the busiest server holds than it must; "" up to a third."""
    try:
        dealing = list(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列服务器编号，每个键一个"
    if len(dealing) != len(sizes):
        return f"有 {len(sizes)} 个键，返回了 {len(dealing)} 个编号"
    for server in dealing:
        if server not in range(servers):
            return f"没有服务器 {server!r}，编号是 0 到 {servers - 1}"
    most, best = max(loads(sizes, servers, dealing)), least_load(sizes, servers)
    if most <= RATIO * best:
        return ""
    return f"{of_dealing(dealing, sizes, servers)}：最重的放了 {most}，最好是 {best}"


def of_dealing(dealing: list[int], sizes: Sequence[int], servers: int) -> str:
    """Say by which rule keys were dealt badly."""
    greedy: list[int] = []
    for _ in sizes:
        load = loads(sizes[: len(greedy)], servers, greedy)
        greedy.append(load.index(min(load)))
    if dealing == [key % servers for key in range(len(sizes))]:
        return "轮流放只让键的个数相同，没有看大小"
    if dealing == greedy:
        return "每次放给最空的，但最大的键没有先放"
    return f"{dealing} 不匀"


def fault_of_servers(
    answer: object, workers: int, n: int, compute_s: float, bandwidth: float
) -> str:
    """Say whether so many servers are too few or too many; "" for just enough."""
    if not is_whole(answer):
        return no_number(answer, "一个整数")
    room = compute_s * bandwidth
    right = max(1, ceil(workers * n / room)) if n <= room else 0
    if answer == right:
        return ""
    if right == 0:
        return (
            f"工人自己就要发 {n / GB:g} GB，网口只来得及发 {room / GB:g} GB："
            "加几台服务器都没有用，返回 0"
        )
    if answer < 1:
        return "至少要一台服务器，而且这里做得到：正好发得完也算"
    if answer == ceil(2 * workers * n / room):
        return "收的也加上了；这里只问发出的"
    most = workers * n / answer
    if most > room:
        return (
            f"{answer:g} 台时每台要发 {most / GB:.4g} GB，"
            f"网口只来得及发 {room / GB:g} GB"
        )
    return f"{answer:g} 台够了，少一些也够"


def shown_step(workers: int, n: int, compute_s: float, bandwidth: float) -> str:
    """Return a case of `fewest_servers` for the reader."""
    return (
        f"{workers} 个工人、权重 {n / GB:g} GB、"
        f"算 {compute_s:g} 秒、网口 {bandwidth / GB:g} GB/s"
    )
