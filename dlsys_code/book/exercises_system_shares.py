"""What chapter 5 asks a reader of shares: words of an embedding, tokens of a ring.

Whoever is wrong hears at which word or token, and by which likely mistake.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from dlsys_code.book.exercises_architecture_counts import fault_of_count
from dlsys_code.book.exercises_diagnosis import of_type
from dlsys_code.system.context_parallel import contiguous, zigzag
from dlsys_code.system.tensor_parallel_vocabulary import own_words

TOKENS = [  # T, p, r
    *((8, 2, r) for r in range(2)),
    *((24, 3, r) for r in range(3)),
    (64, 4, 1),
    (16, 1, 0),
    (48, 8, 7),
]


def lookups() -> list[tuple[Tensor, int, Tensor]]:
    """Return the rows of a rank, its first word, and tokens: (b, T)."""
    every = torch.arange(1.0, 37, dtype=torch.float64).view(12, 3)  # 12 words
    found = []
    for p in (1, 2, 3, 4):
        for r, rows in enumerate(every.chunk(p)):
            tokens = torch.arange(12).roll(p + r).view(2, 6)
            found.append((rows, r * len(rows), tokens))
    return found


def fault_of_lookup(answer: object, rows: Tensor, first: int, tokens: Tensor) -> str:
    """Say of which word a rank's part of the embedding is wrong; "" for none."""
    at, absent = own_words(tokens - first, len(rows), 0)
    clamped = rows[at]
    right = clamped.masked_fill(absent.unsqueeze(-1), 0)
    if said := of_type(answer, right):
        return said
    if torch.equal(answer, right):
        return ""
    b, t = (answer != right).any(-1).nonzero()[0].tolist()
    word, last = int(tokens[b, t]), first + len(rows) - 1
    own = f"这个 rank 有词 {first} 到 {last}"
    if not first <= word <= last:
        return f"{own}，没有词 {word}：那里要放 0，各 rank 相加才是词嵌入"
    if not answer[b, t].any():
        return f"{own}，词 {word} 是它的，却放了 0"
    row = word - first
    return f"{own}，词 {word} 在第 {row} 行，应当是 {rows[row].tolist()}"


def shown_lookup(rows: Tensor, first: int, tokens: Tensor) -> str:
    """Return a case of `my_words`, for the reader."""
    return f"rows 有 {len(rows)} 行，first = {first}，tokens = {tokens.tolist()}"


def fault_of_zigzag(answer: object, T: int, p: int, r: int) -> str:
    """Say which tokens or which work is wrong; "" for neither."""
    try:
        tokens, pairs = answer
        tokens = [int(token) for token in tokens]
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要 (词元的编号, 对数)"
    right = zigzag(T, p, r).tolist()
    if sorted(tokens) != right:
        return of_other_tokens(tokens, T, p, r)
    near = {
        "第 t 个词元还要看自己：t + 1 个": sum(right),
        "这是不加因果掩码的": len(right) * T,
        "只数了自己的键；前面别的 rank 的也要看": len(right) * (len(right) + 1) // 2,
        "这是所有 rank 加起来的": T * (T + 1) // 2,
    }
    fault = fault_of_count(pairs, sum(right) + len(right), near)
    return f"对数 {fault}" if fault else ""


def of_other_tokens(tokens: Sequence[int], T: int, p: int, r: int) -> str:
    """Say by which other layout a rank has these tokens."""
    if tokens == contiguous(T, p, r).tolist():
        return "这是连着切成 p 段；要切成 2p 段，拿第 r 段和倒数第 r 段"
    if tokens == list(range(r, T, p)):
        return "这是隔 p 个取一个；要切成 2p 段，拿两段"
    return f"词元 {tokens}，应当是 {zigzag(T, p, r).tolist()}"


def shown_tokens(T: int, p: int, r: int) -> str:
    """Return a case of `zigzag_share`, for the reader."""
    return f"T = {T}、p = {p}、r = {r}"
