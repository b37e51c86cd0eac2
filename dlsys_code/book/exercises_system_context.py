"""The exercises of section 05.4: a sequence on several ranks, in the page's order."""

from collections.abc import Sequence
from math import exp, inf, isclose, lcm, log

import torch
from torch import Tensor

from dlsys_code.book.exercises import Exercise, Puzzle, Question, Task
from dlsys_code.book.exercises_architecture_counts import fault_of_count
from dlsys_code.communication import bounds, formulas
from dlsys_code.introduction.units import MB, MiB
from dlsys_code.primitive.contenders import Inputs
from dlsys_code.system.context_parallel import contiguous, seen, zigzag
from dlsys_code.system.context_parallel_costs import Sequence as Sizes
from dlsys_code.system.context_parallel_costs import (
    gathered_bytes,
    ring_bytes,
    ulysses_bytes,
)

P, T, G, D = 16, 131_072, 8, 128  # ranks, tokens, key-value heads and their width
BLOCK = 2 * G * (T // P) * D * 2 / MB  # keys and values of a rank in 16 bits
WAYS = {"ring": ring_bytes, "gathered": gathered_bytes, "Ulysses": ulysses_bytes}
Positions = Sequence[int]


# ------------------------------------------------------------ two blocks become one


def merged(l_1: float, o_1: float, l_2: float, o_2: float) -> tuple[float, float]:
    """Return what two blocks have collected together; a block of no key has -inf."""
    most = max(l_1, l_2)
    if most == -inf:
        return -inf, 0.0
    parts = exp(l_1 - most), exp(l_2 - most)
    return most + log(sum(parts)), (parts[0] * o_1 + parts[1] * o_2) / sum(parts)


def fault_of_merging(answer: object, *blocks: float) -> str:
    """Say what a merge of two blocks overlooks; "" if nothing."""
    try:
        log_sum, out = (float(number) for number in answer)
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要两个数 (l, o)"
    right = merged(*blocks)
    l_1, o_1, l_2, o_2 = blocks
    if log_sum != log_sum or out != out:
        return "得到 nan：两个 -inf 不能相减，哪一块没有键要先看"
    if not isclose(log_sum, right[0], rel_tol=1e-9, abs_tol=1e-9):
        if isclose(log_sum, l_1 + l_2):
            return f"l = {log_sum:g}：相加的是指数，不是对数"
        return f"l = {log_sum:g}，应当是 {right[0]:g}"
    if not isclose(out, right[1], rel_tol=1e-9, abs_tol=1e-9):
        if isclose(out, (o_1 + o_2) / 2, rel_tol=1e-9):
            return f"o = {out:g}：两块的分母不同，不能各算一半"
        if isclose(out, o_1 + o_2, rel_tol=1e-9):
            return f"o = {out:g}：两块各自已经除过自己的和，要先换成同一个分母"
        return f"o = {out:g}，应当是 {right[1]:g}"
    return ""


BLOCKS = [
    (log(3), 4.0, log(1), 8.0),
    (0.0, 1.0, 0.0, 3.0),
    (1000.0, 2.0, 1000.0, 6.0),
    (-2.0, 5.0, -inf, 0.0),
    (-inf, 0.0, -inf, 0.0),
]


# ------------------------------------------------------------ who computes how much


def fault_of_pieces(answer: object, T: int, p: int, r: int) -> str:
    """Say which tokens a rank has too many of or lacks; "" if none."""
    try:
        own = [int(position) for position in answer]
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要一列位置"
    right = zigzag(T, p, r).tolist()
    if own == right:
        return ""
    if own == contiguous(T, p, r).tolist():
        return f"{own}：这是连续的一段；要切成 2p 段，取第 r 段和倒数第 r 段"
    if sorted(own) == right:
        return f"{own}：位置对，次序不对，早的在前"
    return f"{own}，应当是 {right}"


def in_lockstep(held: Sequence[Positions]) -> int:
    """Return the pairs computed in turn when every step waits for its busiest rank."""
    table = pairs(held)
    return sum(max(row[i] for row in table) for i in range(len(held)))


def pairs(held: Sequence[Positions]) -> list[list[int]]:
    """Return how many pairs rank r computes in step i: [r][i]."""
    tokens = [torch.tensor(list(positions)) for positions in held]
    return [
        [int(seen(q, tokens[r - i], causal=True).sum()) for i in range(len(held))]
        for r, q in enumerate(tokens)
    ]


def fault_of_lockstep(answer: object, held: Sequence[Positions]) -> str:
    """Say what a count of the pairs in turn overlooks; "" if nothing."""
    table, p = pairs(held), len(held)
    near = {
        "这是所有 rank 加起来的，同一步里它们同时算": sum(map(sum, table)),
        "没有算因果掩码：查询只看不晚于自己的键": sum(len(own) for own in held)
        * max(len(own) for own in held),
        "这是一个 rank 平均的，可是每一步要等最忙的": sum(map(sum, table)) / p,
        "这是最忙的 rank 一共的活；每一步最忙的可以不是同一个": max(map(sum, table)),
        "这是 p 乘最忙的一步，要把各步最忙的相加": p * max(map(max, table)),
    }
    return fault_of_count(answer, in_lockstep(held), near)


def some_held() -> list[tuple[list[list[int]]]]:
    """Return the tokens of all ranks under several layouts."""
    striped = [list(range(r, 12, 3)) for r in range(3)]
    return [
        ([contiguous(8, 2, r).tolist() for r in range(2)],),
        ([zigzag(8, 2, r).tolist() for r in range(2)],),
        ([contiguous(12, 3, r).tolist() for r in range(3)],),
        (striped,),
        ([zigzag(24, 4, r).tolist() for r in range(4)],),
        ([[3, 4], [2, 5], [0, 1]],),  # the busiest rank is not always the same
        ([[2, 7], [3, 6], [4, 5], [0, 1]],),
    ]


# ------------------------------------------------------------ heads for tokens


def heads_of(inputs: Inputs, p: int, rank: int, root: int) -> Tensor:
    """Two heads with all tokens, of ranks that brought 2 p heads of their tokens."""
    rows = [inputs(r).view(p, 2, -1)[rank] for r in range(p)]
    return torch.cat(rows, 1).flatten()


def by_rank(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what comes out where pieces are joined as they came: tokens are torn."""
    p = len(inputs)
    return [torch.cat([x.chunk(p)[r] for x in inputs]) for r in range(p)]


# ------------------------------------------------------------ which way


def possible(p: int, a: int, g: int) -> dict[str, int]:
    """Return the bytes of every way that p ranks can go, by name."""
    sizes = Sizes(batch=1, tokens=p, heads=a, key_value_heads=g, head_width=1, item=1)
    ways = [name for name in WAYS if name != "Ulysses" or a % p == 0]
    return {name: WAYS[name](sizes, p) for name in ways}


def fewest(p: int, a: int, g: int) -> str:
    """Return the way that sends the fewest bytes."""
    costs = possible(p, a, g)
    return min(costs, key=costs.get)


def fault_of_choice(answer: object, p: int, a: int, g: int) -> str:
    """Say why a way is not the one with the fewest bytes; "" if it is."""
    if answer not in WAYS:
        return f"返回了 {answer!r}，要 {'、'.join(WAYS)} 之一"
    costs = possible(p, a, g)
    if answer not in costs:
        return f"{a} 个头分不给 {p} 个 rank，Ulysses 走不通"
    best = fewest(p, a, g)
    if costs[answer] == costs[best]:
        return ""
    if answer == "ring":
        return "环反向时 k、v 要再走一遍，从不比收齐的字节少"
    if best == "Ulysses":
        return "Ulysses 的每一份随 p 变小，这里已经比收齐的少"
    return f"g 不能被 p 整除时，Ulysses 把每个键值头发 {lcm(g, p) // g} 次"


SAME_NUMBERS = [
    (2, 32, 8),
    (4, 32, 8),
    (16, 32, 8),
    (3, 32, 8),
    (32, 32, 1),
    (8, 8, 1),
    (4, 4, 2),
]

EXERCISES: dict[str, Exercise] = {
    "merge_two": Puzzle(
        cases=lambda: BLOCKS,
        fault=fault_of_merging,
        shown="l_1 = {}、o_1 = {}、l_2 = {}、o_2 = {}".format,
        hints=[
            "l 是 log(exp(l_1) + exp(l_2))；exp(1000) 会溢出，先减去较大的一个。",
            "o 是 exp(l_1 - l) o_1 + exp(l_2 - l) o_2：都换成同一个分母。",
            "两个都是 -inf 就返回 (-inf, 0.0)，别让 -inf 减 -inf。",
        ],
    ),
    "ring_megabytes": Question(
        value=(P - 1) * BLOCK,
        unit="MB",
        near={
            BLOCK: "这是一步的，环要走 p - 1 步",
            P * BLOCK: "自己的块不用收回来：p - 1 步",
            (P - 1) * BLOCK / 2: "k 和 v 都要走",
            (P - 1) * BLOCK * 4: "走的是 8 个键值头，不是 32 个查询头",
            (3 * P - 2) * BLOCK: "这是正向加反向的，只问正向",
            (P - 1) * BLOCK * MB / MiB: "这是 MiB；1 MB 是 10^6 字节",
            P * (P - 1) * BLOCK: "每个 rank 只有 T/p 个词元",
        },
        hints=[
            "一个 rank 的 k 和 v：2 × g × (T/p) × d 个数，每个 2 字节。",
            "一步一块，p - 1 步。",
        ],
    ),
    "early_and_late": Puzzle(
        cases=lambda: [(8, 2, 0), (8, 2, 1), (24, 3, 2), (24, 4, 1), (6, 1, 0)],
        fault=fault_of_pieces,
        shown="T = {}、p = {}、r = {}".format,
        hints=[
            "切成 2p 段，每段 T / 2p 个词元。",
            "rank r 拿第 r 段和倒数第 r 段，从 0 数：第 2p - 1 - r 段。",
        ],
    ),
    "in_lockstep": Puzzle(
        cases=some_held,
        fault=fault_of_lockstep,
        shown="held = {}".format,
        hints=[
            "第 i 步，rank r 手里是 rank r - i 的键；数出 query >= key 的对数。",
            "一步的时间看最忙的 rank：对 r 取最大，再对 i 求和。",
        ],
    ),
    "own_heads": Task(
        sizes=[(2, 4), (3, 12), (4, 16)],
        answer=heads_of,
        most=formulas.pairwise_all_to_all,
        least=bounds.all_to_all,
        mistaken={"收到的几段首尾相接，一个头的词元被拆散了": by_rank},
        hints=[
            "第 i 段是给 rank i 的两个头；这一步与第 04 章的 all_to_all 一样。",
            "收到的每一段有两个头、几个词元：先 `view(2, -1)`，再沿词元接。",
            "`torch.cat(rows, 1).flatten()`，rows 按来处的编号排好。",
        ],
    ),
    "ulysses_from": Question(
        value=next(p for p in (2, 4, 8, 16, 32) if fewest(p, 32, 8) == "Ulysses"),
        unit="个 rank",
        near={
            2: "p = 2 时收齐的是 32 n，Ulysses 是 80 n",
            4: "p = 4 时 Ulysses 的 120 n 比环的 160 n 少，比收齐的 96 n 多",
            5: "5 个 rank 分不了 32 个头",
        },
        hints=[
            "收齐的是 4 g n (p - 1)，Ulysses 是 4 (a + lcm(g, p)) n (p - 1) / p。",
            "约去 4 n (p - 1)：g 与 (a + lcm(g, p)) / p 哪个小？",
        ],
    ),
    "fewest_bytes": Puzzle(
        cases=lambda: SAME_NUMBERS,
        fault=fault_of_choice,
        shown="p = {}、a = {}、g = {}".format,
        hints=[
            "先看 a 能不能被 p 整除；不能，就没有 Ulysses。",
            "三个公式都有 n，约去它；lcm 在 math 里。",
            "环的 2 g (3p - 2) 总比收齐的 4 g (p - 1) 多，只用比两个。",
        ],
    ),
}
