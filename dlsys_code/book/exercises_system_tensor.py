"""The exercises of section 3 of chapter 5, on tensor and sequence parallelism."""

from dlsys_code.book import exercises_system_tensor_checks as checks
from dlsys_code.book.exercises import Exercise, Puzzle, Question
from dlsys_code.communication import cost
from dlsys_code.introduction.llamas import llamas
from dlsys_code.introduction.units import GB, GiB

LLAMA = llamas()["Llama 3 8B"].config
TOKENS, T_DEGREE = 8192, 8
STREAM = TOKENS * LLAMA.width * 2  # bytes of the stream, in 16 bits
ONE = cost.ring_all_reduce(T_DEGREE, STREAM, 1).bytes_sent
SENT = 4 * LLAMA.layers * ONE / GB
WORDS = LLAMA.vocabulary / (2 * 3)

EXERCISES: dict[str, Exercise] = {
    "tensor_sends": Question(
        value=SENT,
        unit="GB",
        near={
            SENT / 2: "正好是一半：只算了正向，或者漏了环的两趟",
            SENT / 4: "一层正向有两次全归约，反向也有两次",
            4
            * LLAMA.layers
            * STREAM
            / GB: "这是张量的字节；环上每个 rank 发 2(p-1)/p 倍",
            SENT * GB / GiB: "这是 GiB；1 GB 是 10^9 字节",
            2 * SENT: "bf16 一个数 2 字节",
            SENT * T_DEGREE: "这是 8 个 rank 加起来的",
        },
        hints=[
            "一层几次全归约？每次的张量是 T × h 个 bf16。",
            "4L 次，每次发 2(t-1)/t × T × h × 2 字节。",
        ],
    ),
    "logits_or_three": Question(
        value=WORDS,
        unit="倍",
        near={
            LLAMA.vocabulary
            / 3: "全归约 3 个数，环上要走两趟，发的是 2(p-1)/p 乘 3 个数",
            LLAMA.vocabulary / 2: "是三个数：最大值、和、目标的",
            LLAMA.vocabulary: "两边的 (p-1)/p 约掉了，还剩 3 个数和两趟",
        },
        hints=[
            "全收集时每个 rank 为一个词元发 (p-1)/p × V 个数；全归约 3 个数呢？",
            "比值里的 (p-1)/p 约掉了，剩 V / (2 × 3)。",
        ],
    ),
    "calls_backward": Puzzle(
        cases=lambda: checks.FORWARD,
        fault=checks.fault_of_backward,
        shown="forward = {}".format,
        hints=[
            "反向从最后一个开始走。",
            "全归约与原样传（copy）互为反向；全收集与归约散发互为反向。",
        ],
    ),
    "my_heads": Puzzle(
        cases=lambda: checks.HEADS,
        fault=checks.fault_of_heads,
        shown="a = {}、g = {}、p = {}、r = {}".format,
        hints=[
            "rank r 有连着的 a / p 个查询头，从 r × a / p 起。",
            "第 q 个查询头用第 `q * g // a` 个键值头；去掉重复的。",
        ],
    ),
    "loss_of_parts": Puzzle(
        cases=lambda: checks.PARTS,
        fault=checks.fault_of_loss,
        shown="parts = {}".format,
        hints=[
            "先求全体的最大值 m；第 r 个 rank 的和要乘 exp(m_r - m) 才能相加。",
            "损失 = log(总和) + m - 目标的 logit；只有一个 rank 的第三个数不是 None。",
        ],
    ),
    "kept_by_rank": Puzzle(
        cases=lambda: checks.BLOCKS,
        fault=checks.fault_of_kept,
        shown=checks.shown_block,
        hints=[
            "分支里的 2h + 2kv + a + 4f 三种都除以 p；差别在两个归一化。",
            "一个归一化：tensor 留 2h + 1；sequence 留 (h + 1)/p + h；"
            "regathered 留 (2h + 1)/p。",
            "加起来再乘 tokens；用整数算，最后除以 p。",
        ],
    ),
    "fastest_degree": Puzzle(
        cases=lambda: checks.LAYERS,
        fault=checks.fault_of_degree,
        shown=checks.shown_layer,
        hints=[
            "对每个 t 算一层的时间：compute_s / t，加 4 次全归约。",
            "一次发 2(t - 1)/t × n 字节；t 不超过 each 走 inside，否则走 outside。",
            "t 从 1 起每次加倍，到 most 为止，取时间最短的。",
        ],
    ),
}
