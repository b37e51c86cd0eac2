"""What the section on tensor parallelism holds against a reader's functions.

Where a wrong answer is what a likely mistake gives, the reader hears which.
"""

from collections.abc import Sequence
from math import exp, inf, log

from dlsys_code.book.exercises_architecture_counts import fault_of_count
from dlsys_code.book.exercises_numbers import in_range, is_number, no_number
from dlsys_code.communication import cost
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.system import sequence_parallel_activations as activations

ADJOINT = {
    "copy": "all-reduce",
    "all-reduce": "copy",
    "all-gather": "reduce-scatter",
    "reduce-scatter": "all-gather",
}
FORWARD = [  # calls of a forward pass, in order
    (["all-reduce", "all-gather", "reduce-scatter"],),
    (["copy", "all-reduce"],),
    (["reduce-scatter", "all-gather", "reduce-scatter"],),
    (["all-reduce", "copy", "all-reduce", "copy", "all-reduce"],),
]
HEADS = [  # a, g, p, r
    (8, 4, 4, 1),
    (8, 4, 2, 1),
    (8, 8, 2, 0),
    (12, 6, 3, 2),
    (8, 2, 4, 1),
    (8, 2, 4, 2),
    (64, 8, 16, 5),
    (6, 1, 3, 2),
]
PARTS = [  # of each rank: largest logit, sum of exp(z - largest), the target's or None
    ([(1.0, 1.5, None), (1.0, 2.0, 0.5)],),
    ([(2.0, 1.0, 2.0), (0.0, 1.0, None)],),
    ([(-3.0, 2.0, None), (4.0, 1.25, 3.0), (0.5, 1.0, None)],),
    ([(9000.0, 1.0, None), (9001.0, 1.5, 9001.0)],),
]
BLOCKS = [  # h, g d, a, f, tokens, p, way
    (128, 64, 8, 352, 1024, 1, "tensor"),
    (128, 64, 8, 352, 1024, 4, "tensor"),
    (128, 64, 8, 352, 1024, 4, "sequence"),
    (128, 64, 8, 352, 1024, 4, "regathered"),
    (8192, 1024, 64, 28672, 8192, 8, "sequence"),
]
WAYS = {
    "tensor": activations.tensor,
    "sequence": activations.sequence,
    "regathered": activations.regathered,
}
LAYERS = [  # compute [s], bytes of the stream, inside and outside [bytes/s], each, most
    (0.040, 64 * 10**6, 450e9, 50e9, 8, 64),
    (0.004, 64 * 10**6, 450e9, 50e9, 8, 64),
    (0.004, 64 * 10**6, 450e9, 450e9, 8, 64),
    (0.0002, 64 * 10**6, 450e9, 50e9, 8, 64),
    (0.500, 16 * 10**6, 450e9, 50e9, 8, 64),
    (0.004, 64 * 10**6, 450e9, 50e9, 8, 4),
]


def fault_of_backward(answer: object, forward: Sequence[str]) -> str:
    """Say what is wrong with the calls of a backward pass; "" for the right ones."""
    right = [ADJOINT[call] for call in reversed(forward)]
    try:
        calls = list(answer)
    except TypeError:
        return f"返回了 {answer!r}，要一列名字"
    if calls == right:
        return ""
    if calls == right[::-1]:
        return f"{calls}：每一个都换对了，次序没有倒过来"
    if calls == list(reversed(forward)):
        return f"{calls}：次序倒过来了，可是反向的集合通信不是原来那一个"
    return f"{calls}，应当是 {right}"


def fault_of_heads(answer: object, a: int, g: int, p: int, r: int) -> str:
    """Say which heads of a rank are wrong; "" for the right ones."""
    queries = list(range(a * r // p, a * (r + 1) // p))
    keys = sorted({q * g // a for q in queries})
    try:
        mine, shared = (list(part) for part in answer)
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要两列编号：查询头、键值头"
    if mine != queries:
        return f"查询头 {mine}，应当是连着的 {a // p} 个：{queries}"
    if shared == keys:
        return ""
    if p > g and not shared:
        return f"键值头 []：{p} 个 rank 多于 {g} 个键值头，几个 rank 各有一份同样的"
    if p > g and len(shared) > 1:
        return f"键值头 {shared}：这些查询头只用 {keys}"
    return f"键值头 {shared}，这些查询头用的是 {keys}"


def loss_of(parts: Sequence[tuple[float, float, float | None]]) -> float:
    """Return the loss of one token from the three numbers of every rank."""
    largest = max(m for m, _, _ in parts)
    total = sum(s * exp(m - largest) for m, s, _ in parts)
    (target,) = (z for *_, z in parts if z is not None)
    return log(total) + largest - target


def fault_of_loss(answer: object, parts: Sequence[tuple]) -> str:
    """Say what a loss overlooks; "" for the right one."""
    right = loss_of(parts)
    if not is_number(answer):
        return no_number(answer)
    loss = in_range(answer)
    if abs(loss - right) <= 1e-9 * max(1.0, abs(right)):
        return ""
    if loss in (inf, -inf):
        return "溢出了：先减去全体的最大值，再取 exp"
    (target,) = (z for *_, z in parts if z is not None)
    largest = max(m for m, _, _ in parts)
    near = {
        "各 rank 的 s 减的是自己的最大值，相加之前要换成同一个": (
            log(sum(s for _, s, _ in parts)) + largest - target
        ),
        "还要加回最大值：目标的 logit 没有减过": right - largest,
        "目标的 logit 还没有减": right + target,
        "正负反了": -right,
    }
    return fault_of_count(loss, right, near)


def right_of_kept(
    h: int, kv: int, a: int, f: int, tokens: int, p: int, way: str
) -> int:
    """Return the numbers that a rank keeps of one block, as the chapter counts them."""
    heads = kv // (h // a)
    config = GPTConfig(
        vocabulary=1, width=h, heads=a, key_value_heads=heads, hidden=f, layers=1
    )
    return activations.block_elements(config, 1, tokens, p=p, how=WAYS[way])


def fault_of_kept(answer: object, *case: object) -> str:
    """Say what a count of kept numbers overlooks; "" for the right one."""
    h, *_, tokens, p, way = case
    right = right_of_kept(*case)
    others = {
        f"这是 {other} 的": right_of_kept(*case[:-1], other)
        for other in WAYS
        if other != way
    }
    near = {
        "这是 p 个 rank 加起来的": right * p,
        "这是一个词元的": right / tokens,
        "一层有两个归一化": right - (right_of_norm(h, p, way) * tokens) // p,
        **others,
    }
    return fault_of_count(answer, right, near)


def right_of_norm(h: int, p: int, way: str) -> int:
    """Return p times what a rank keeps of one norm for one token."""
    return WAYS[way](p, 2 * h + 1, h)


def shown_block(*case: object) -> str:
    """Return the sizes of a block for the reader."""
    names = ("h", "kv", "a", "f", "tokens", "p", "way")
    return "、".join(f"{n} = {x!r}" for n, x in zip(names, case, strict=True))


def layer_s(t: int, compute_s: float, n: int, inside: float, outside: float, each: int):
    """Return the seconds of one layer on t ranks: compute, and four all-reduces."""
    bandwidth = inside if t <= each else outside
    return compute_s / t + 4 * cost.ring_all_reduce(t, n, 1).bytes_sent / bandwidth


def degrees(most: int) -> list[int]:
    """Return 1, 2, 4, ... up to most."""
    return [2**k for k in range(most.bit_length()) if 2**k <= most]


def fault_of_degree(answer: object, *case: float) -> str:
    """Say why a degree is not the fastest; "" for the fastest."""
    *layer, most = case
    times = {t: layer_s(t, *layer) for t in degrees(int(most))}
    best = min(times, key=times.get)
    if answer == best:
        return ""
    if answer not in times:
        return f"返回了 {answer!r}，要 1、2、4……到 {most:g} 里的一个"
    return (
        f"{answer}：一层 {1e3 * times[answer]:.3g} ms，"
        f"t = {best} 时只要 {1e3 * times[best]:.3g} ms"
    )


def shown_layer(*case: float) -> str:
    """Return a layer and its links for the reader."""
    names = ("compute_s", "n", "inside", "outside", "each", "most")
    return "、".join(f"{n} = {x:g}" for n, x in zip(names, case, strict=True))
