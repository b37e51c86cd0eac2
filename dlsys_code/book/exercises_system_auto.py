"""The exercises of section 5 of chapter 5, on layouts, redistribution and search."""

from dlsys_code.book import exercises_system_auto_checks as checks
from dlsys_code.book.exercises import Exercise, Puzzle, Question
from dlsys_code.introduction import budget
from dlsys_code.introduction.gpt import GPTConfig
from dlsys_code.system.layouts import layout
from dlsys_code.system.redistribution import cheapest, total

HELD = 512 * 1024 // 8
MEGABYTES = 64  # of a tensor, split evenly wherever it is cut
WAY = cheapest((64, 64), layout("P P"), layout("R R"), (4, 2), item=1)
SENT = MEGABYTES * total(WAY).bytes_sent / 64**2
SMALL = GPTConfig(layers=1)
ATTENTION = budget.parameters(SMALL).projections
FEED_FORWARD = budget.parameters(SMALL).feed_forward
CROSSING = FEED_FORWARD / (2 * SMALL.width)

EXERCISES: dict[str, Exercise] = {
    "elements_held": Question(
        value=HELD,
        unit="个",
        near={
            512 * 1024 / 4: "这是第一维的 4 份；第二维又把每份切成 2 份",
            512 * 1024 / 2: "两维都要切",
            512 * 1024: "这是整个张量的",
            512 * 1024 / 16: "一共 4 × 2 = 8 个 rank",
        },
        hints=["两维网格都切第 0 维：先切几份，每份再切几份？"],
    ),
    "rows_held": Puzzle(
        cases=lambda: checks.ROWS,
        fault=checks.fault_of_rows,
        shown="rows = {}、mesh = {}、at = {}".format,
        hints=[
            "先按第一维切，得到的一段再按第二维切。",
            "rank 的编号 r 是 at[0] * mesh[1] + at[1]；一共切成 p 段，它有第 r 段。",
        ],
    ),
    "gradient_layout": Puzzle(
        cases=lambda: checks.LAYOUTS,
        fault=checks.fault_of_gradient,
        shown="names = {!r}".format,
        hints=[
            "人人一份副本，每份各得一部分梯度；各有一部分和，每份的梯度都是整个和的。",
            "R 换成 P，P 换成 R，S 不变；各维分开看。",
        ],
    ),
    "sum_on_a_mesh": Question(
        value=SENT,
        unit="MB",
        near={
            MEGABYTES * (2 * 3 / 4 + 2 * 1 / 2): "这是两维各做一次全归约；能更少",
            MEGABYTES * (2 * 3 / 4): "这只加了第一维的 4 个 rank",
            MEGABYTES * 7 / 8: "归约散发之后还要全收集回来",
            MEGABYTES * 2: "接近了：精确的是 2(p-1)/p 份，p = 8",
        },
        hints=[
            "先在一维上归约散发，余下的一小份再在另一维上全归约，最后全收集。",
            "8 个 rank 的全归约至少发 2 × 7/8 份；这样走正好。",
        ],
    ),
    "layout_of_product": Puzzle(
        cases=lambda: checks.PRODUCTS,
        fault=checks.fault_of_product,
        shown="x = {!r}、w = {!r}".format,
        hints=[
            "x 是 (m, k)，w 是 (k, n)。切 m、切 n、切 k，结果各是什么？",
            "切 k 时两边要一起切，结果是部分和。部分和乘人人都有的，还是部分和。",
            "其余的组合，不先重排就算不对：返回 None。",
        ],
    ),
    "tokens_at_the_crossing": Question(
        value=CROSSING,
        unit="个",
        near={
            ATTENTION / (2 * SMALL.width): "这是注意力分支的；前馈的权重更多",
            (ATTENTION + FEED_FORWARD) / (4 * SMALL.width): "这是整层一起算的",
            FEED_FORWARD / SMALL.width: "张量并行的一个分支，正向、反向各一次全归约",
            2 * CROSSING * 2: "两边都是全归约，2(p-1)/p 约掉了",
        },
        hints=[
            "数据并行全归约 3hf 个梯度；张量并行两次全归约主干的 bTh 个数。",
            "3hf = 2 bT h，解出 bT。",
        ],
    ),
    "least_way": Puzzle(
        cases=lambda: checks.ROADS,
        fault=checks.fault_of_way,
        shown=checks.shown_roads,
        hints=[
            "总是先看目前离起点最近、还没看过的地方。",
            "用 heapq 存路程和地方；拿出来的若看过就丢掉，是终点就返回。",
        ],
    ),
    "best_chain": Puzzle(
        cases=checks.chains,
        fault=checks.fault_of_chain,
        shown=checks.shown_chain,
        hints=[
            "走到第 i 个算子，对它的每种策略只记：到这里最少要多少。",
            "own[i][s] + min(best[r] + edges[i - 1][r][s])，r 是前一个的策略。",
        ],
    ),
}
