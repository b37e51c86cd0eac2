"""The programs that chapter 2 asks for: a server on all ranks, and rings side by side.

Both end with the sum of all inputs on every rank, for the same bytes where p divides
them; what differs is who talks to whom.  So besides cost and result the pattern of the
messages is looked at.
"""

from collections.abc import Callable, Sequence
from itertools import permutations

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.architecture import traffic
from dlsys_code.architecture.search import Ring, hops
from dlsys_code.book.exercises import Task
from dlsys_code.communication import bounds
from dlsys_code.communication.cost import Cost, of_messages
from dlsys_code.primitive.contenders import COLLECTIVES
from dlsys_code.world import Trace

ITEM = 8  # bytes of a float64
RINGS: dict[int, list[Ring]] = {  # for so many ranks; no two share a link
    3: [(0, 2, 1)],
    4: [(0, 2, 1, 3)],
    5: [(0, 1, 2, 3, 4), (0, 2, 4, 1, 3)],
}
ALL_REDUCE = COLLECTIVES["all_reduce"].answer


def given_rings(mine: Callable, x: Tensor, group: ProcessGroup) -> Tensor:
    """Call a program with the rings of a group of this size."""
    return mine(x, RINGS[group.size()], group)


def on_their_rings(p: int, count: int, item: int) -> Cost:
    """Every ring carries a part, in uneven chunks, one ring after the other."""
    rounds, parts = 2 * (p - 1), pieces(count, len(RINGS[p]))
    # In each half a rank sends all chunks of a part but one, the shortest at worst.
    sent = sum(2 * part - sum(sorted(pieces(part, p))[:2]) for part in parts)
    return Cost(
        rounds=rounds * len(parts),
        bytes_sent=sent * item,
        serial_bytes=sum(rounds * max(pieces(part, p)) for part in parts) * item,
    )


def pieces(count: int, number: int) -> list[int]:
    """Return the lengths of some pieces as equal as can be, the longer ones first."""
    return [count // number + (i < count % number) for i in range(number)]


def server_on_all_ranks(p: int, count: int, item: int) -> Cost:
    """Every rank pushes to every other one, and pulls from it."""
    rounds = 2 * (p - 1)
    return Cost(
        rounds=rounds,
        bytes_sent=traffic.busiest_on_all_ranks(p, count, item),
        serial_bytes=rounds * traffic.longest(count, p) * item,
    )


def chunks_by_rank(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return what comes out where chunks are counted by rank, not by place on a ring.

    Nothing where chunks differ in length: they do not fit into one another.
    """
    p, rings = len(inputs), RINGS[len(inputs)]
    if len(inputs[0]) % (p * len(rings)):
        return []
    # [rank, ring, chunk]
    parts = torch.stack([x.view(len(rings), p, -1) for x in inputs])
    for j, ring in enumerate(rings):
        for k in range(2 * (p - 1)):
            sent = parts[:, j].clone()
            for a, b in hops(ring):
                into, arrived = (b - 1 - k) % p, sent[a, (a - k) % p]
                parts[b, j, into] = arrived + (parts[b, j, into] if k < p - 1 else 0)
    return list(parts.view(p, -1))


def along_the_rings(trace: Trace) -> list[str]:
    """Say which message leaves the rings, which ring is idle, what is sent for nothing.

    A chunk that zeros fill up has been sent whole where the busiest rank sends so much.
    """
    p, count = len(trace.results), len(trace.results[0][0])
    rings, messages = RINGS[p], trace.messages()
    used = {(m.source, m.destination) for m in messages}
    allowed = {hop for ring in rings for hop in hops(ring)}
    for a, b in sorted(used - allowed):
        return [f"数都对，但 rank {a} 发给了 rank {b}：没有一个环从 {a} 走到 {b}"]
    for a, b in sorted(allowed - used):
        return [f"数都对，但没有消息从 rank {a} 走到 rank {b}：有一个环闲着"]
    longest = sum(max(pieces(part, p)) for part in pieces(count, len(rings)))
    padded = 2 * (p - 1) * longest * ITEM
    if count % p and of_messages(messages).bytes_sent == padded:
        return [f"数都对，但最忙的 rank 发了 {padded} 字节：补的零也上了路"]
    return []


def straight(trace: Trace) -> list[str]:
    """Say whether messages go round a ring, or through one rank, not straight."""
    pairs = {(m.source, m.destination) for m in trace.messages()}
    missing = sorted({*permutations(range(len(trace.results)), 2)} - pairs)
    if not missing:
        return []
    if pairs and (center := set.intersection(*map(set, pairs))):
        return [f"数都对，但消息都经过 rank {min(center)}：这是一台服务器，没有分片"]
    a, b = missing[0]
    around = {(b - a) % len(trace.results) for a, b in pairs}
    if len(around) == 1:
        return [f"数都对，但消息只传给隔壁：这是环，rank {a} 没有直接推给 rank {b}"]
    return [f"数都对，但 rank {a} 没有直接推给 rank {b}，它服务一段"]


PROGRAMS = {
    "everyone_serves": Task(
        sizes=[(4, 12), (2, 4), (5, 7)],
        answer=ALL_REDUCE,
        most=server_on_all_ranks,
        least=bounds.all_reduce,
        pattern=straight,
        hints=[
            "推：每个 rank 把第 i 段交给 rank i，rank i 把收到的加到自己的一段上。",
            "第 d 轮推给 `(r + d) % p`，同时从 `(r - d) % p` 收；d 从 1 到 p - 1。",
            "拉也是 p - 1 轮：送出加好的一段，收下对方的一段，最后按编号接起来。",
        ],
    ),
    "on_rings": Task(
        sizes=[(4, 12), (3, 7), (5, 20), (5, 13)],
        answer=ALL_REDUCE,
        most=on_their_rings,
        least=bounds.all_reduce,
        call=given_rings,
        pattern=along_the_rings,
        mistaken={"块号用了 rank 的编号，要用它在环上的位置": chunks_by_rank},
        hints=[
            "先用 `x.clone().tensor_split(len(rings))` 切成几份，一个环一份。",
            "rank r 在环上的位置是 `ring.index(r)`；右边是 `ring[(i + 1) % p]`，"
            "左边是 `ring[i - 1]`。",
            "第 6 节的环里，块号用 rank 的编号算；这里用环上的位置 i 算。",
            "第 k 轮发第 `(i - k) % p` 块，收第 `(i - 1 - k) % p` 块；后一半改成换掉。",
        ],
    ),
}
