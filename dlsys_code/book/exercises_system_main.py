"""The exercises of chapter 5: numbers, functions and programs, in the page's order."""

from dlsys_code.book import exercises_system_blocks as blocks
from dlsys_code.book import exercises_system_cuts as cuts
from dlsys_code.book import exercises_system_flat as flat
from dlsys_code.book import exercises_system_layouts as layouts
from dlsys_code.book import exercises_system_shares as shares
from dlsys_code.book.exercises import Exercise, Puzzle
from dlsys_code.book.exercises_system_numbers import NUMBERS
from dlsys_code.book.exercises_system_programs import PROGRAMS
from dlsys_code.book.exercises_system_stages import THROUGH_STAGES

EXERCISES: dict[str, Exercise] = {
    "uneven_mean": PROGRAMS["uneven_mean"],
    "busy_share": NUMBERS["busy_share"],
    "what_crosses": Puzzle(
        cases=lambda: cuts.GRAPHS,
        fault=cuts.fault_of_crossing,
        shown=cuts.shown_graph,
        hints=[
            "看每个算子用的每个值：做它的 rank 和用它的 rank 不同，就要发。",
            "两个算子在同一个 rank 上用同一个值，只发一次：放进集合就不会重复。",
        ],
    ),
    "through_stages": THROUGH_STAGES,
    "stage_bytes": Puzzle(
        cases=lambda: cuts.STEPS,
        fault=cuts.fault_of_bytes,
        shown=cuts.shown_step,
        hints=[
            "一次归约散发或全收集，每个 rank 发 (p - 1)/p 乘 n 字节。各阶段各要几次？",
            "数据并行和第 1 阶段：梯度在本地累积，一步两次，与 m 无关。",
            "第 2 阶段每个微批次归约散发一次，更新后全收集一次；"
            "第 3 阶段每个微批次全收集两次、归约散发一次。",
        ],
    ),
    "in_my_shard": Puzzle(
        cases=lambda: flat.FLATS,
        fault=flat.fault_of_shard,
        shown=flat.shown_flat,
        hints=[
            "补零之后一段有几个元素？总数除以 p，向上取整。",
            "第 r 段是长线上的 `r * k` 到 `(r + 1) * k`；"
            "第 i 个权重占长线上的哪一截？求两截的交。",
            "交的两头减去权重的起点，就是在权重里的位置；空的不要。",
        ],
    ),
    "columns_then_rows": PROGRAMS["columns_then_rows"],
    "my_words": Puzzle(
        cases=shares.lookups,
        fault=shares.fault_of_lookup,
        shown=shares.shown_lookup,
        hints=[
            "词元减去 `first` 就是行号；小于 0 或不小于行数的，不在这里。",
            "不在这里的先当第 0 行去查，查完再换成 0。",
        ],
    ),
    "merge_blocks": Puzzle(
        cases=blocks.blocks,
        fault=blocks.fault_of_merge,
        shown=blocks.shown_blocks,
        hints=[
            "两块的和是 exp(l_1) + exp(l_2)，再取对数；直接取 exp 会溢出。",
            "`torch.logaddexp(l_1, l_2)` 先减去大的再取 exp。",
            "每块的输出除过自己的和：乘 exp(l_1 - l) 就换成除以总和。",
        ],
    ),
    "zigzag_share": Puzzle(
        cases=lambda: shares.TOKENS,
        fault=shares.fault_of_zigzag,
        shown=shares.shown_tokens,
        hints=[
            "一段有 `T // (2 * p)` 个词元；拿第 r 段和第 `2 * p - 1 - r` 段。",
            "第 t 个词元看 0 到 t，一共 t + 1 个键，不管它们在哪个 rank。",
        ],
    ),
    "cheapest_way": Puzzle(
        cases=lambda: layouts.CHANGES,
        fault=layouts.fault_of_change,
        shown=layouts.shown_change,
        hints=[
            "先找一个字节也不用发的：整份变成一段，一段变成部分和。",
            "部分和要相加；切开的要全收集，或者换一维切。",
            "全收集 (p - 1)n；归约散发和全交换 (p - 1)n/p；全归约是归约散发的两倍。",
        ],
    ),
    "fastest_layout": NUMBERS["fastest_layout"],
}
