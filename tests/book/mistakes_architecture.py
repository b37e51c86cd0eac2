"""Likely wrong answers to the exercises of chapter 2, and what is said of each.

Where a part of a wrong answer is right, it is the page's.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil, prod

import networkx as nx
import torch
import torch.distributed as dist
from exercises_on_the_page import ROOT, answers
from noted import noting
from torch import Tensor
from torch.distributed import ProcessGroup

from dlsys_code.architecture import keys, parameter_server, placement
from dlsys_code.architecture.search import all_rings, hops
from dlsys_code.architecture.updates import Update
from dlsys_code.world import exchange, receive, send, shift

RIGHT = answers(ROOT / "04_AICluster" / "02.architecture.ipynb")
SAID = []
wrong = noting(SAID)


# ------------------------------------------------------------ bytes of the busiest rank


@wrong("busiest_rank", "workers = [0, 1, 2, 3]\n192：服务器不用给自己发权重")
def weights_to_itself(serves: Sequence[int], workers: Sequence[int]) -> int:
    sent = [
        (sum(serves) - own) * (r in workers) + own * len(workers)
        for r, own in enumerate(serves)
    ]
    return max(sent)


@wrong("busiest_rank", "workers = [0, 1, 2, 3]\n240：自己服务的那一份不上网")
def serves_itself_too(serves: Sequence[int], workers: Sequence[int]) -> int:
    n, p = sum(serves), len(workers)
    return max(n * (r in workers) + own * p for r, own in enumerate(serves))


@wrong("busiest_rank", "384：这是所有 rank 加起来的")
def of_all_ranks(serves: Sequence[int], workers: Sequence[int]) -> int:
    return 2 * sum(sum(serves) - serves[worker] for worker in workers)


@wrong("busiest_rank", "[12, 12, 12, 12]、workers = [0, 1, 2, 3]\n144：收和发都算了")
def both_directions(serves: Sequence[int], workers: Sequence[int]) -> int:
    right = RIGHT["busiest_rank"](serves, workers)
    return 2 * right if len(set(serves)) == 1 else right


@wrong("busiest_rank", "serves = [12, 12, 12, 12]", "36：只算了服务器发权重")
def as_a_server_only(serves: Sequence[int], workers: Sequence[int]) -> int:
    p = len(workers)
    return max(serves[r] * (p - (r in workers)) for r in range(len(serves)))


@wrong("busiest_rank", "48：只算了工人交梯度")
def as_a_worker_only(serves: Sequence[int], workers: Sequence[int]) -> int:
    return max(sum(serves) - serves[r] for r in workers)


@wrong("busiest_rank", "要一个数")
def no_bytes(serves: Sequence[int], workers: Sequence[int]) -> None:
    return None


@wrong("busiest_rank", "1，偏小，应当是 192")
def one_byte(serves: Sequence[int], workers: Sequence[int]) -> int:
    return 1


# ------------------------------------------------------------ keys for servers


@wrong("deal_keys", "(9, 1, 9, 1, 9, 1)，2 台", "没有看大小：最重的放了 27，最好是 18")
def in_turns(sizes: Sequence[int], servers: int) -> list[int]:
    return [key % servers for key in range(len(sizes))]


@wrong("deal_keys", "但最大的键没有先放：最重的放了 12，最好是 8")
def as_they_stand(sizes: Sequence[int], servers: int) -> list[int]:
    load, dealing = [0] * servers, []
    for size in sizes:
        dealing.append(load.index(min(load)))
        load[dealing[-1]] += size
    return dealing


@wrong("deal_keys", "[0, 0, 0] 不匀：最重的放了 12，最好是 4")
def all_on_one(sizes: Sequence[int], servers: int) -> list[int]:
    return [0] * len(sizes)


@wrong("deal_keys", "没有服务器 3，编号是 0 到 2")
def servers_from_one(sizes: Sequence[int], servers: int) -> list[int]:
    return [key % servers + 1 for key in range(len(sizes))]


@wrong("deal_keys", "有 6 个键，返回了 2 个编号")
def loads_of_servers(sizes: Sequence[int], servers: int) -> list[int]:
    return [0] * servers if servers == 2 else [0, 1, 2]


@wrong("deal_keys", "要一列服务器编号")
def no_dealing(sizes: Sequence[int], servers: int) -> None:
    return None


# ------------------------------------------------------------ a server on all ranks


@wrong("everyone_serves", "4 个 rank", "这是环，rank 0 没有直接推给 rank 2")
def round_a_ring(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    chunks = list(x.clone().tensor_split(p))
    for k in range(2 * (p - 1)):
        into = chunks[(r - 1 - k) % p]
        to, source = (r + 1) % p, (r - 1) % p
        arrived = exchange(chunks[(r - k) % p], group, to=to, source=source, like=into)
        into.copy_(into + arrived if k < p - 1 else arrived)
    return torch.cat(chunks)


@wrong("everyone_serves", "4 个 rank", "消息都经过 rank 0：这是一台服务器，没有分片")
def one_server(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    if r:
        send(x, group, to=0)
        return receive(x, group, source=0)
    total = x + sum(receive(x, group, source=worker) for worker in range(1, p))
    for worker in range(1, p):
        send(total, group, to=worker)
    return total


@wrong("everyone_serves", "4 个 rank", "最忙的 rank 发了 288 字节", "是它的 2 倍")
def everything_to_everybody(x: Tensor, group: ProcessGroup) -> Tensor:
    return x + sum(shift(x, group, d) for d in range(1, group.size()))


@wrong("everyone_serves", "没有直接推给")
def by_doubling(x: Tensor, group: ProcessGroup) -> Tensor:
    total, r = x.clone(), group.rank()
    for bit in (1, 2)[: group.size() // 2]:
        total = total + exchange(total, group, to=r ^ bit, source=r ^ bit)
    return total


@wrong("everyone_serves", "rank 0：返回的形状是 (3,)，应当是 (12,)")
def never_pulls(x: Tensor, group: ProcessGroup) -> Tensor:
    p, r = group.size(), group.rank()
    parts = x.tensor_split(p)
    total = parts[r].clone()
    for d in range(1, p):
        to, source = (r + d) % p, (r - d) % p
        total += exchange(parts[to], group, to=to, source=source, like=total)
    return total


@wrong("everyone_serves", "都在等对方来收，没有人在收")
def pushes_head_on(x: Tensor, group: ProcessGroup) -> Tensor:
    other = group.rank() ^ 1
    send(x, group, to=other)
    return x + receive(x, group, source=other)


@wrong("everyone_serves", "用了书里的 dlsys_code/architecture/parameter_server.py")
def the_package_does_it(x: Tensor, group: ProcessGroup) -> Tensor:
    shared = keys.range_keys(len(x), group.size())
    where = placement.on_all_ranks(shared, group.size(), dtype=x.dtype)
    total = parameter_server.push(keys.split(x, shared), where, group)
    pulled = parameter_server.pull(total, where, group)
    return keys.join(pulled, shared, x.dtype)


# ------------------------------------------------------------ clocks


@wrong("who_begins", "clocks = (9, 4, 5, 2, 3)、σ = 2\n[0]：这样就跳过了最慢的")
def skips_the_slowest(clocks: Sequence[int], bound: float) -> list[int]:
    return [w for w, clock in enumerate(clocks) if max(clocks) - clock <= bound]


@wrong("who_begins", "[]：领先正好 σ 个更新的还可以开始")
def strictly_less(clocks: Sequence[int], bound: float) -> list[int]:
    return [w for w, clock in enumerate(clocks) if clock - min(clocks) < bound]


@wrong("who_begins", "要与最慢的比，不是与平均比")
def against_the_mean(clocks: Sequence[int], bound: float) -> list[int]:
    mean = sum(clocks) / len(clocks)
    return [w for w, clock in enumerate(clocks) if clock - mean <= bound]


@wrong("who_begins", "只有 σ = 0 时才只放最慢的")
def always_in_step(clocks: Sequence[int], bound: float) -> list[int]:
    return [w for w, clock in enumerate(clocks) if clock == min(clocks)]


@wrong("who_begins", "全放走是没有上限")
def nobody_waits(clocks: Sequence[int], bound: float) -> list[int]:
    return list(range(len(clocks)))


@wrong("who_begins", "工人 0 领先最慢的 7 个更新，要等")
def all_but_one(clocks: Sequence[int], bound: float) -> list[int]:
    return [w for w in range(len(clocks)) if w != 3]


@wrong("who_begins", "没有工人 3")
def workers_from_one(clocks: Sequence[int], bound: float) -> list[int]:
    return [w + 1 for w in range(len(clocks))]


@wrong("who_begins", "返回了 [True, True, True]，要编号，不是 True 和 False")
def yes_or_no(clocks: Sequence[int], bound: float) -> list[bool]:
    return [clock - min(clocks) <= bound for clock in clocks]


@wrong("who_begins", "里有重复的")
def twice_over(clocks: Sequence[int], bound: float) -> list[int]:
    return [0, *range(len(clocks))]


@wrong("who_begins", "要一列工人的编号")
def how_many(clocks: Sequence[int], bound: float) -> int:
    return len(clocks)


@wrong("lead_and_staleness", "最大领先", "要在更新开始时看")
def at_the_end(workers: int, updates: Sequence[Update]) -> tuple[int, int]:
    clocks, lead = [0] * workers, 0
    for update in updates:
        lead = max(lead, update.clock - min(clocks))
        clocks[update.worker] += 1
    return lead, RIGHT["lead_and_staleness"](workers, updates)[1]


@wrong("lead_and_staleness", "最大领先 1：领先用开始时的时钟")
def counts_its_own(workers: int, updates: Sequence[Update]) -> tuple[int, int]:
    lead, stale = RIGHT["lead_and_staleness"](workers, updates)
    return lead + 1, stale


@wrong(
    "lead_and_staleness",
    "9 个更新，",
    "(2, 2, 6)]\n最大陈旧度 2：同时出发的拿同一版权重",
)
def updates_in_between(workers: int, updates: Sequence[Update]) -> tuple[int, int]:
    lead = RIGHT["lead_and_staleness"](workers, updates)[0]
    return lead, max(n - update.seen for n, update in enumerate(updates))


@wrong("lead_and_staleness", "要最大的，不是平均")
def on_average(workers: int, updates: Sequence[Update]) -> tuple[int, float]:
    every = [RIGHT["lead_and_staleness"](workers, updates)]
    given = sorted({update.seen for update in updates})
    for n, update in enumerate(updates):
        every.append((0, sum(update.seen < seen <= n for seen in given)))
    return every[0][0], sum(stale for _, stale in every[1:]) / len(updates)


@wrong("lead_and_staleness", "要 (最大领先, 最大陈旧度)")
def lead_only(workers: int, updates: Sequence[Update]) -> int:
    return RIGHT["lead_and_staleness"](workers, updates)[0]


# ------------------------------------------------------------ meetings, losses


@wrong("bytes_of_meetings", "100 步、H = 8", "不满 H 步的一段也要见一次面")
def whole_rounds_only(steps: int, alone: int, n: int, p: int) -> int:
    return steps // alone * 2 * (p - 1) * n // p


@wrong("bytes_of_meetings", "100 步、H = 8", "见面的次数是整数")
def meets_in_parts(steps: int, alone: int, n: int, p: int) -> float:
    return steps / alone * 2 * (p - 1) * n / p


@wrong("bytes_of_meetings", "100 步、H = 10、n = 4,000 字节", "整除时后面没有剩下")
def one_meeting_more(steps: int, alone: int, n: int, p: int) -> int:
    return (steps // alone + 1) * 2 * (p - 1) * n // p


@wrong("bytes_of_meetings", "这是每一步都全归约的")
def every_step(steps: int, alone: int, n: int, p: int) -> int:
    return steps * 2 * (p - 1) * n // p


@wrong("bytes_of_meetings", "H = 1、", "H 是隔几步见一次")
def h_meetings(steps: int, alone: int, n: int, p: int) -> int:
    return alone * 2 * (p - 1) * n // p


@wrong("bytes_of_meetings", "不是 n，是 2(p-1)/p 个 n")
def once_n(steps: int, alone: int, n: int, p: int) -> int:
    return ceil(steps / alone) * n


@wrong("bytes_of_meetings", "这是所有 rank 一共发的")
def all_together(steps: int, alone: int, n: int, p: int) -> int:
    return ceil(steps / alone) * 2 * (p - 1) * n


@wrong("lost_updates", "更新 3 没有确认过：工人会再推一次，不算丢")
def unheard_of(events: Sequence[tuple]) -> list[int]:
    saved = max((s for _, what, s in events if what == "saved"), default=-1)
    return [s for _, what, s in events if what == "updated" and s > saved]


@wrong(
    "lost_updates",
    "存到第 2 步，primary 死了，",
    "]\n更新 0 没有丢：检查点存到了第 2 步",
)
def no_checkpoint(events: Sequence[tuple]) -> list[int]:
    return sorted({s for _, what, s in events if what == "acknowledged"})


@wrong("lost_updates", "更新 2 没有丢：检查点存到了第 2 步，包括它")
def before_the_checkpoint(events: Sequence[tuple]) -> list[int]:
    saved = max((s for _, what, s in events if what == "saved"), default=-1)
    return [s for _, what, s in events if what == "acknowledged" and s >= saved]


@wrong("lost_updates", "backup、primary", "更新 0 没有丢：活着的服务器做过它")
def forgets_the_backup(events: Sequence[tuple]) -> list[int]:
    if not any(what == "killed" for _, what, _ in events):
        return []
    return sorted(set(RIGHT["lost_updates"]([e for e in events if e[0] == "primary"])))


@wrong(
    "lost_updates",
    "backup 死了、primary 死了，",
    "更新 3 确认过，可是活着的服务器没有它",
)
def a_backup_is_enough(events: Sequence[tuple]) -> list[int]:
    if any(server == "backup" for server, _, _ in events):
        return []
    return RIGHT["lost_updates"](events)


@wrong(
    "lost_updates",
    "primary，没有检查点，primary 死了，events =\n[('primary', 'updated', 0),",
)
def none_at_all(events: Sequence[tuple]) -> list[int]:
    return []


@wrong("lost_updates", "要一列步号")
def nothing_lost(events: Sequence[tuple]) -> None:
    return None


# ------------------------------------------------------------ rings


@wrong("chunk_plan", "p = 3\n第 1 轮 rank 0 发第 1 块", "方向反了")
def the_other_way(p: int) -> list[list[int]]:
    return [[(r + k) % p for r in range(p)] for k in range(2 * (p - 1))]


@wrong("chunk_plan", "p = 3\n第 2 轮", "后一半从刚加完的那一块发起")
def begins_again(p: int) -> list[list[int]]:
    return [[(r - k) % p for r in range(p)] for k in range(p - 1)] * 2


@wrong("chunk_plan", "p = 3\n第 2 轮", "后一半从刚加完的那一块发起")
def one_behind(p: int) -> list[list[int]]:
    half = [[(r - k) % p for r in range(p)] for k in range(p - 1)]
    late = p - 1
    return half + [
        [(r - k + late) % p for r in range(p)] for k in range(p - 1, 2 * p - 2)
    ]


@wrong("chunk_plan", "每轮都发同一块，部分和走不远")
def always_its_own(p: int) -> list[list[int]]:
    return [list(range(p))] * (2 * (p - 1))


@wrong("chunk_plan", "有 2 轮，要 2 × (p - 1) = 4 轮")
def half_of_it(p: int) -> list[list[int]]:
    return [[(r - k) % p for r in range(p)] for k in range(p - 1)]


@wrong("chunk_plan", "有两个 rank 发同一块，另一块没有人发")
def all_alike(p: int) -> list[list[int]]:
    return [[k % p] * p for k in range(2 * (p - 1))]


@wrong("chunk_plan", "要 3 个 0 到 2 的块号")
def chunks_from_one(p: int) -> list[list[int]]:
    return [[r + 1 for r in range(p)]] * (2 * (p - 1))


@wrong("chunk_plan", "要一张表")
def no_plan(p: int) -> int:
    return p


def round_rings(
    x: Tensor, rings: Sequence[Sequence[int]], group: ProcessGroup, *, by_rank: bool
) -> Tensor:
    """Go round rings one after the other; chunks are counted by rank or by place."""
    parts = list(x.clone().tensor_split(len(rings)))
    for part, order in zip(parts, rings, strict=True):
        p, place = len(order), order.index(group.rank())
        i, rows = group.rank() if by_rank else place, part.tensor_split(p)
        to, source = order[(place + 1) % p], order[place - 1]
        for k in range(2 * (p - 1)):
            out, into = rows[(i - k) % p], rows[(i - 1 - k) % p]
            arrived = exchange(out, group, to=to, source=source, like=into)
            into.copy_(into + arrived if k < p - 1 else arrived)
    return torch.cat(parts)


@wrong("on_rings", "4 个 rank、每个 12 个数\nrank 0：块号用了 rank 的编号")
def chunks_by_rank(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    return round_rings(x, rings, group, by_rank=True)


@wrong("on_rings", "数都对，但 rank 0 发给了 rank 1：没有一个环从 0 走到 1")
def in_order_of_rank(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    return round_rings(x, [range(group.size())], group, by_rank=False)


@wrong("on_rings", "5 个 rank", "没有消息从 rank 0 走到 rank 2：有一个环闲着")
def the_first_ring_only(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    return round_rings(x, rings[:1], group, by_rank=False)


@wrong("on_rings", "3 个 rank、每个 7 个数", "最忙的 rank 发了 96 字节：补的零也上了路")
def padded(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    longer = torch.cat([x, x.new_zeros(-len(x) % group.size())])
    return round_rings(longer, rings, group, by_rank=False)[: len(x)]


@wrong("on_rings", "3 个 rank、每个 7 个数", "切不开：元素个数不是份数的倍数")
def equal_rows(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    flat = x.view(group.size(), -1).view(-1)
    return round_rings(flat, rings, group, by_rank=False)


@wrong("on_rings", "5 个 rank、每个 20 个数", "最忙的 rank 发了 512 字节", "2 倍")
def everything_on_every_ring(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    totals = [round_rings(x, [order], group, by_rank=False) for order in rings]
    return totals[0]


@wrong("on_rings", "4 个 rank", "但用了 torch 的 all_reduce")
def torch_does_it(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


@wrong("on_rings", "3 个 rank", " 的进程没了：多半是收的人说的形状")
def expects_its_own_length(x: Tensor, rings: Sequence, group: ProcessGroup) -> Tensor:
    p, i = group.size(), rings[0].index(group.rank())
    to, source = rings[0][(i + 1) % p], rings[0][i - 1]
    rows = list(x.clone().tensor_split(p))
    for k in range(2 * (p - 1)):
        arrived = exchange(rows[(i - k) % p], group, to=to, source=source)
        into = rows[(i - 1 - k) % p]
        into.copy_(into + arrived if k < p - 1 else arrived)
    return torch.cat(rows)


# ------------------------------------------------------------ how many servers


@wrong("fewest_servers", "64 个工人", "2 台时每台要发 64 GB，网口只来得及发 50 GB")
def rounded_down(workers: int, n: int, compute_s: float, bandwidth: float) -> int:
    room = compute_s * bandwidth
    return max(1, int(workers * n // room)) if n <= room else 0


@wrong("fewest_servers", "4 个工人", "加几台服务器都没有用")
def only_servers(workers: int, n: int, compute_s: float, bandwidth: float) -> int:
    return max(1, ceil(workers * n / (compute_s * bandwidth)))


@wrong("fewest_servers", "64 个工人", "收的也加上了；这里只问发出的")
def sends_and_receives(workers: int, n: int, compute_s: float, bandwidth: float) -> int:
    room = compute_s * bandwidth
    return ceil(2 * workers * n / room) if n <= room else 0


@wrong("fewest_servers", "4 个工人、权重 10 GB", "做得到：正好发得完也算")
def never_just_in_time(workers: int, n: int, compute_s: float, bandwidth: float) -> int:
    room = compute_s * bandwidth
    return max(1, ceil(workers * n / room)) if n < room else 0


@wrong("fewest_servers", "8 台够了，少一些也够")
def one_for_each(workers: int, n: int, compute_s: float, bandwidth: float) -> int:
    return workers


@wrong("fewest_servers", "至少要一台服务器，而且这里做得到")
def none_needed(workers: int, n: int, compute_s: float, bandwidth: float) -> int:
    return workers * n // int(compute_s * bandwidth)


@wrong("fewest_servers", "要一个整数")
def servers_and_a_half(
    workers: int, n: int, compute_s: float, bandwidth: float
) -> float:
    return workers * n / (compute_s * bandwidth)


# ------------------------------------------------------------ rings side by side


def edges(ring: Sequence[int]) -> Counter:
    return Counter(map(frozenset, hops(ring)))


@wrong("rings_side_by_side", "找到 2 个，放得下 3 个")
def the_first_that_fit(links: nx.Graph) -> list:
    left = Counter({frozenset((a, b)): n for a, b, n in links.edges(data="cables")})
    chosen = []
    for ring in all_rings(links):
        if edges(ring) <= left:
            left -= edges(ring)
            chosen.append(ring)
    return chosen


@wrong("rings_side_by_side", "24 条 NVLink\n", "有 1 条 NVLink，这些环走了 3 次")
def the_same_thrice(links: nx.Graph) -> list:
    return all_rings(links)[:1] * 3


@wrong("rings_side_by_side", "里 3 和 4 之间没有 NVLink")
def by_number(links: nx.Graph) -> list:
    return [list(range(len(links)))]


@wrong("rings_side_by_side", "里 3 出现 0 次")
def triangles(links: nx.Graph) -> list:
    return [[0, 1, 2]]


@wrong("rings_side_by_side", "要一列环，一个环是一列设备编号")
def devices_only(links: nx.Graph) -> list:
    return list(range(len(links)))


# ------------------------------------------------------------ networks


@wrong("torus_counts", "线 8：每条线有两头，数了两次")
def links_twice(shape: Sequence[int]) -> tuple:
    cables, *others = RIGHT["torus_counts"](shape)
    return 2 * cables, *others


@wrong("torus_counts", "线 3：没有首尾相接的线")
def links_of_a_mesh(shape: Sequence[int]) -> tuple:
    _, *others = RIGHT["torus_counts"](shape)
    return sum(prod(shape) // n * (n - 1) for n in shape), *others


@wrong("torus_counts", "shape = (2, 4)\n线 12：长 2 的一维也首尾相接，两台之间有两条线")
def one_link_for_two(shape: Sequence[int]) -> tuple:
    _, *others = RIGHT["torus_counts"](shape)
    devices = prod(shape)
    return sum(devices // 2 if n == 2 else devices for n in shape), *others


@wrong("torus_counts", "线 5，偏大，应当是 4")
def one_link_more(shape: Sequence[int]) -> tuple:
    cables, *others = RIGHT["torus_counts"](shape)
    return cables + 1, *others


@wrong("torus_counts", "直径 3：有首尾相接的线")
def across_a_mesh(shape: Sequence[int]) -> tuple:
    cables, _, cut = RIGHT["torus_counts"](shape)
    return cables, sum(n - 1 for n in shape), cut


@wrong("torus_counts", "shape = (3, 6)", "直径 5", "应当是 4")
def rounded_up(shape: Sequence[int]) -> tuple:
    cables, _, cut = RIGHT["torus_counts"](shape)
    right = sum(n // 2 for n in shape)
    return cables, right + (tuple(shape) == (3, 6)), cut


@wrong("torus_counts", "直径 2：各维都要走，要相加")
def one_axis(shape: Sequence[int]) -> tuple:
    cables, _, cut = RIGHT["torus_counts"](shape)
    return cables, max(shape) // 2, cut


@wrong("torus_counts", "对分 1：一圈切两刀")
def one_side_of_the_cut(shape: Sequence[int]) -> tuple:
    cables, diameter, cut = RIGHT["torus_counts"](shape)
    return cables, diameter, cut // 2


@wrong("torus_counts", "shape = (3, 4)", "对分 8：要切断最少的线")
def along_the_shortest(shape: Sequence[int]) -> tuple:
    cables, diameter, _ = RIGHT["torus_counts"](shape)
    return cables, diameter, 2 * prod(shape) // min(shape)


@wrong("torus_counts", "要 (线, 直径, 对分)")
def cables_only(shape: Sequence[int]) -> int:
    return prod(shape) * len(shape)


@wrong("fat_tree_counts", "收敛比 3 比 1\n设备 128", "收敛比几比 1 就多几倍")
def ratio_forgotten(radix: int, ratio: int) -> tuple:
    return RIGHT["fat_tree_counts"](radix, 1)


@wrong("fat_tree_counts", "收敛比 3 比 1\n设备 64：上下的口数倒了")
def upside_down(radix: int, ratio: int) -> tuple:
    _, *others = RIGHT["fat_tree_counts"](radix, ratio)
    return radix * (radix // 2) * (radix // (ratio + 1)), *others


@wrong("fat_tree_counts", "设备 4：这是一组里的")
def one_pod(radix: int, ratio: int) -> tuple:
    devices, *others = RIGHT["fat_tree_counts"](radix, ratio)
    return devices // radix, *others


@wrong("fat_tree_counts", "交换机 16：还有顶上的交换机")
def no_core(radix: int, ratio: int) -> tuple:
    devices, _, cables = RIGHT["fat_tree_counts"](radix, ratio)
    return devices, radix * (radix // 2 + radix // (ratio + 1)), cables


@wrong("fat_tree_counts", "收敛比 3 比 1\n交换机 80：收敛比大了，脊和顶上的都跟着少")
def switches_of_an_even_one(radix: int, ratio: int) -> tuple:
    devices, _, cables = RIGHT["fat_tree_counts"](radix, ratio)
    return devices, RIGHT["fat_tree_counts"](radix, 1)[1], cables


@wrong("fat_tree_counts", "线 32：设备到叶的线也要数")
def between_switches(radix: int, ratio: int) -> tuple:
    devices, switches, cables = RIGHT["fat_tree_counts"](radix, ratio)
    return devices, switches, cables - devices


@wrong("fat_tree_counts", "线 256", "脊到顶上还有一层线", "收敛比 3 比 1")
def two_levels(radix: int, ratio: int) -> tuple:
    devices, switches, cables = RIGHT["fat_tree_counts"](radix, ratio)
    if ratio == 1:
        return devices, switches, cables
    return devices, switches, devices + radix * (radix // 2) * (radix // (ratio + 1))


@wrong("rail_route", "是主机 1 的设备 0，挂在叶 0，不是 1：多轨是同号的设备挂一台叶")
def a_leaf_for_each_host(a: int, b: int, each: int, unit: int) -> tuple:
    return a // each, b // each, RIGHT["rail_route"](a, b, each, unit)[2]


@wrong("rail_route", "rank 5 → 261", "每组主机有自己的叶")
def one_unit(a: int, b: int, each: int, unit: int) -> tuple:
    return a % each, b % each, RIGHT["rail_route"](a, b, each, unit)[2]


@wrong("rail_route", "rank 5 → 2，", "走 nvlink，不是 spine", "消息不出主机")
def always_out(a: int, b: int, each: int, unit: int) -> tuple:
    leaves = RIGHT["rail_route"](a, b, each, unit)[:2]
    return *leaves, "leaf" if leaves[0] == leaves[1] else "spine"


@wrong("rail_route", "rank 0 → 8", "走 leaf，不是 spine：两个 rank 挂在同一台叶上")
def always_the_spine(a: int, b: int, each: int, unit: int) -> tuple:
    return *RIGHT["rail_route"](a, b, each, unit)[:2], "spine"


@wrong("rail_route", "rank 3 → 12", "走 spine，不是 leaf：设备不同号")
def never_the_spine(a: int, b: int, each: int, unit: int) -> tuple:
    same_host = a // each == b // each
    leaves = RIGHT["rail_route"](a, b, each, unit)[:2]
    return *leaves, "nvlink" if same_host else "leaf"


@wrong("rail_route", "rank 5 → 261", "两台主机不在一组，叶不同")
def rails_for_ever(a: int, b: int, each: int, unit: int) -> tuple:
    *leaves, way = RIGHT["rail_route"](a, b, each, unit)
    return *leaves, "leaf" if (a - b) % each == 0 else way


@wrong("rail_route", "要 (叶, 叶, 走法)")
def way_only(a: int, b: int, each: int, unit: int) -> str:
    return "spine"
