"""Likely wrong answers to the exercises on tensor parallelism, and what is said."""

from collections.abc import Sequence
from math import exp, log

from exercises_on_the_page import ROOT, answers
from noted import noting

RIGHT = answers(ROOT / "04_AICluster" / "05.system" / "03.tensor_sequence.ipynb")
SAID = []
wrong = noting(SAID)
ADJOINT = {"copy": "all-reduce", "all-reduce": "copy"}
ADJOINT |= {"all-gather": "reduce-scatter", "reduce-scatter": "all-gather"}


# ------------------------------------------------------------ calls of a backward pass


@wrong("calls_backward", "次序没有倒过来")
def in_the_same_order(forward: Sequence[str]) -> list[str]:
    return [ADJOINT[call] for call in forward]


@wrong("calls_backward", "反向的集合通信不是原来那一个")
def the_same_calls(forward: Sequence[str]) -> list[str]:
    return list(reversed(forward))


@wrong("calls_backward", "['copy', 'copy', 'copy']，应当是")
def only_copies(forward: Sequence[str]) -> list[str]:
    return ["copy"] * len(forward)


@wrong("calls_backward", "要一列名字")
def no_calls(forward: Sequence[str]) -> None:
    return None


# ------------------------------------------------------------ heads


@wrong("my_heads", "查询头 [1, 5]，应当是连着的 2 个：[2, 3]")
def in_turns(a: int, g: int, p: int, r: int) -> tuple[list[int], list[int]]:
    return list(range(r, a, p)), []


@wrong("my_heads", "a = 8、g = 2、p = 4、r = 1\n键值头 []", "几个 rank 各有一份同样的")
def nothing_left(a: int, g: int, p: int, r: int) -> tuple[list[int], list[int]]:
    queries, _ = RIGHT["my_heads"](a, g, p, r)
    return queries, list(range(r * g // p, (r + 1) * g // p)) if g >= p else []


@wrong("my_heads", "p = 4、r = 1\n键值头 [0, 1]：这些查询头只用 [0]")
def all_where_few(a: int, g: int, p: int, r: int) -> tuple[list[int], list[int]]:
    queries, keys = RIGHT["my_heads"](a, g, p, r)
    return queries, list(range(g)) if g < p else keys


@wrong("my_heads", "键值头 [0]，这些查询头用的是 [1]")
def always_the_first(a: int, g: int, p: int, r: int) -> tuple[list[int], list[int]]:
    return RIGHT["my_heads"](a, g, p, r)[0], [0]


@wrong("my_heads", "要两列编号")
def one_list(a: int, g: int, p: int, r: int) -> list[int]:
    return [0]


# ------------------------------------------------------------ loss of parts


@wrong("loss_of_parts", "相加之前要换成同一个")
def sums_as_they_are(parts: Sequence[tuple]) -> float:
    (target,) = (z for *_, z in parts if z is not None)
    return log(sum(s for _, s, _ in parts)) + max(m for m, *_ in parts) - target


@wrong("loss_of_parts", "还要加回最大值")
def without_the_largest(parts: Sequence[tuple]) -> float:
    return RIGHT["loss_of_parts"](parts) - max(m for m, *_ in parts)


@wrong("loss_of_parts", "目标的 logit 还没有减")
def without_the_target(parts: Sequence[tuple]) -> float:
    (target,) = (z for *_, z in parts if z is not None)
    return RIGHT["loss_of_parts"](parts) + target


@wrong("loss_of_parts", "正负反了")
def a_likelihood(parts: Sequence[tuple]) -> float:
    return -RIGHT["loss_of_parts"](parts)


@wrong("loss_of_parts", "OverflowError", "exp 溢出了，先减去最大的再取")
def too_large(parts: Sequence[tuple]) -> float:
    (target,) = (z for *_, z in parts if z is not None)
    return log(sum(s * exp(m) for m, s, _ in parts)) - target


@wrong("loss_of_parts", "溢出了")
def infinite(parts: Sequence[tuple]) -> float:
    return float("inf")


@wrong("loss_of_parts", "返回了 None，要一个数")
def no_loss(parts: Sequence[tuple]) -> None:
    return None


# ------------------------------------------------------------ kept activations


@wrong("kept_by_rank", "这是 sequence 的")
def always_sequence(h, kv, a, f, tokens, p, way):  # noqa: ANN001, ANN201
    return RIGHT["kept_by_rank"](h, kv, a, f, tokens, p, "sequence")


@wrong("kept_by_rank", "这是 p 个 rank 加起来的")
def of_all_ranks(h, kv, a, f, tokens, p, way):  # noqa: ANN001, ANN201
    return p * RIGHT["kept_by_rank"](h, kv, a, f, tokens, p, way)


@wrong("kept_by_rank", "这是一个词元的")
def of_a_token(h, kv, a, f, tokens, p, way):  # noqa: ANN001, ANN201
    return RIGHT["kept_by_rank"](h, kv, a, f, 1, p, way)


@wrong("kept_by_rank", "一层有两个归一化")
def one_norm(h, kv, a, f, tokens, p, way):  # noqa: ANN001, ANN201
    return tokens * (2 * h + 2 * kv + a + 4 * f + 2 * h + 1) // p


# ------------------------------------------------------------ the fastest degree


@wrong("fastest_degree", "64：一层", "t = 8 时只要")
def as_many_as_there_are(*layer: float) -> float:
    return layer[-1]


@wrong("fastest_degree", "返回了 3，要 1、2、4……到 64 里的一个")
def no_power_of_two(*layer: float) -> int:
    return 3


@wrong("fastest_degree", "8：一层 1.02 ms，t = 1 时只要 0.2 ms")
def always_a_host(*layer: float) -> int:
    right = RIGHT["fastest_degree"](*layer)
    return 8 if right == 1 else right
