"""The exercises of section 05.1, data parallel: four functions and three numbers."""

from dlsys_code.book import exercises_system_data_checks as checks
from dlsys_code.book.exercises import Exercise, Puzzle, Question
from dlsys_code.introduction.units import GB, MB

RANKS, WEIGHTS, MICRO = 8, 7 * 10**9, 4  # of two bytes each
COPY = 2 * WEIGHTS / GB  # GB of gradients
SENT = 2 * (RANKS - 1) / RANKS * COPY
N, ALPHA_S, BANDWIDTH, BACKWARD_S = 496 * MB, 20e-6, 12.5 * GB, 0.12
BYTES_S = 2 * (RANKS - 1) / RANKS * N / BANDWIDTH
STARTS_S = 2 * (RANKS - 1) * ALPHA_S  # of one bucket
SAMPLES, SHARING, BATCH = 50_000, 48, 64  # ranks, samples of a rank in a step
REPEATED = -SAMPLES % SHARING


EXERCISES: dict[str, Exercise] = {
    "step_gigabytes": Question(
        value=SENT,
        unit="GB",
        near={
            MICRO * SENT: "每个微批次都发了一次；no_sync 里的三次不发",
            COPY: "这是一份梯度；环上每个 rank 发 2(p-1)/p 份",
            2 * COPY: "少乘了 (p-1)/p",
            SENT / 2: "这只是归约散发；之后还有全收集",
            SENT * 2: "bf16 每个数 2 字节，这是按 4 字节算的",
        },
        hints=[
            "攒 4 次，只有最后一次反向才发。",
            "一份梯度的字节是参数的个数乘二；每个 rank 发 2(p-1)/p 份。",
        ],
    ),
    "fill_buckets": Puzzle(
        cases=lambda: checks.SIZES,
        fault=checks.fault_of_buckets,
        shown="sizes = {}、first = {}、limit = {}".format,
        hints=[
            "从最后一个参数往前放；第一个桶用 `first`，以后都用 `limit`。",
            "先放进去，再看够不够：桶里的字节不少于上限就关上，开一个新的。",
            "最后一个桶不一定够上限；空桶不要返回。",
        ],
    ),
    "exposed_after": Puzzle(
        cases=checks.lines_with_prices,
        fault=checks.fault_of_exposed,
        shown=checks.shown_line,
        hints=[
            "第 i 个桶装满的时刻：反向的时间，乘它和它之前的字节占的份额。",
            "它出发的时刻，是装满的时刻和前一个桶到达的时刻里晚的那个。",
            "到达 = 出发 + `price(字节)`；最后一个到达的时刻减反向的时间。",
        ],
        copied=False,
    ),
    "most_buckets": Question(
        value=float((BACKWARD_S - BYTES_S) // STARTS_S),
        unit="个桶",
        near={
            float(BACKWARD_S // STARTS_S): "反向的时间里还要传字节，先减去它",
            float(
                (BACKWARD_S - BYTES_S) // ALPHA_S
            ): "环上一个桶要 2(p-1) 轮，每轮付一次 α",
            (BACKWARD_S - BYTES_S) / STARTS_S: "桶数要整数，向下取",
            float((BACKWARD_S - N / BANDWIDTH) // STARTS_S): "每个 rank 发 2(p-1)/p 份",
        },
        hints=[
            "一个桶的价格是 2(p-1)(α + βn/(pk))，k 个桶一共多少？",
            "k 个桶的价格合起来不超过反向的时间，排队才不会越来越长。",
            "字节的时间与 k 无关，先减去它；剩下的除以 2(p-1)α，向下取整。",
        ],
    ),
    "launches": Puzzle(
        cases=lambda: checks.ARRIVALS,
        fault=checks.fault_of_launches,
        shown="arrivals = {}、buckets = {}".format,
        hints=[
            "一个桶要等它最晚的那个梯度。",
            "它还要等前面的桶先发：次序在每个 rank 上都一样。",
            "先求每个桶何时满，再从前往后取最大。",
        ],
    ),
    "loss_weights": Puzzle(
        cases=lambda: checks.COUNTS,
        fault=checks.fault_of_weights,
        shown="counts = {}".format,
        hints=[
            "rank 的损失是自己样本的平均；乘上权，再对 rank 平均，要等于整批的平均。",
            "整批的平均 = 各 rank 的（平均 × 样本数）加起来，除以全部样本数。",
            "对 rank 平均又除了 p，所以权里要乘回 p。",
        ],
    ),
    "read_twice": Question(
        value=float(REPEATED),
        unit="个样本",
        near={
            float(SAMPLES % SHARING): "这是除不尽剩下的；补到除得尽，要再补几个？",
            float(-SAMPLES % (SHARING * BATCH)): "它只补到 rank 数的倍数，不管批量",
            0.0: "本书的分法不重复；题目问的是 DistributedSampler",
        },
        hints=[
            "它让每个 rank 的样本一样多：向上取整。",
            "每个 rank 的个数除完向上取整，乘 rank 数，再减样本数。",
        ],
    ),
}
