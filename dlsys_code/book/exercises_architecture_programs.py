"""The programs that chapter 2 asks for: a ring of uneven chunks, a server on all ranks.

Both end with the sum of all inputs on every rank, for the same bytes where p divides
them; what differs is who talks to whom.  So besides cost and result the pattern of the
messages is looked at.
"""

from itertools import permutations

from dlsys_code.architecture import traffic
from dlsys_code.book.exercises import Task
from dlsys_code.communication import bounds
from dlsys_code.communication.cost import Cost, of_messages, ring_all_reduce
from dlsys_code.primitive.contenders import COLLECTIVES
from dlsys_code.world import Trace

ITEM = 8  # bytes of a float64
ALL_REDUCE = COLLECTIVES["all_reduce"].answer


def ring_of_uneven_chunks(p: int, count: int, item: int) -> Cost:
    """Every rank sends all chunks but one in each half, and the first are longer."""
    size = [count // p + (i < count % p) for i in range(p)]
    sent = [2 * count - size[r - 1] - size[r] for r in range(p)]
    rounds = 2 * (p - 1)
    return Cost(
        rounds=rounds,
        bytes_sent=max(sent) * item,
        serial_bytes=rounds * max(size) * item,
    )


def server_on_all_ranks(p: int, count: int, item: int) -> Cost:
    """Every rank pushes to every other one, and pulls from it."""
    rounds = 2 * (p - 1)
    return Cost(
        rounds=rounds,
        bytes_sent=traffic.busiest_on_all_ranks(p, count, item),
        serial_bytes=rounds * traffic.longest(count, p) * item,
    )


def no_padding(trace: Trace) -> list[str]:
    """Say whether zeros that fill up the chunks have been sent as well."""
    p, count = len(trace.results), len(trace.results[0][0])
    padded = ring_all_reduce(p, count, ITEM).bytes_sent
    if count % p and of_messages(trace.messages()).bytes_sent == padded:
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
    "push_and_pull": Task(
        sizes=[(2, 4), (4, 12), (5, 7)],
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
    "uneven_ring": Task(
        sizes=[(2, 4), (4, 12), (3, 7), (5, 7)],
        answer=ALL_REDUCE,
        most=ring_of_uneven_chunks,
        least=bounds.all_reduce,
        pattern=no_padding,
        hints=[
            "`x.clone().tensor_split(p)` 切成 p 块，长短最多差一个数。",
            "第 k 轮发第 (r - k) 块，收第 (r - 1 - k) 块，都对 p 取余。",
            "收的与发的不一样长：`exchange` 的 `like=` 给出要收的块。",
            "前 p - 1 轮把收到的加上去，后 p - 1 轮用收到的换掉。",
        ],
    ),
}
