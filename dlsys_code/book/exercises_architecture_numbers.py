"""The exercises of chapter 2 that ask for a number.

Values and near misses come from the modules that the chapter shows, where they have
them.
"""

from math import inf, sqrt

from dlsys_code.architecture import traffic
from dlsys_code.architecture.stragglers import Random, fixed_rate, random_rate
from dlsys_code.book.exercises import Question
from dlsys_code.introduction.units import GB

WORKERS, COUNT = 24, 7 * 10**9  # of two bytes each
WEIGHTS = 2 * COUNT / GB  # GB
APART = traffic.busiest_apart(1, WORKERS, COUNT, 2) / GB

P, SLOW = 64, Random(probability=0.01, times=10)
ROUND = P / random_rate(P, SLOW, 0)
ALONE = P / random_rate(P, SLOW, inf)  # the mean of one worker's updates
SOMEBODY = 1 - (1 - SLOW.probability) ** P

TIMES = [1] * 7 + [4]
IN_STEP = fixed_rate(TIMES, 16)

BETWEEN = 54 * 24 * 60 / 419 / 4  # minutes between two stops of four times the devices
SAVE = 1.0  # minutes
EVERY = sqrt(2 * SAVE * BETWEEN)

ROUTERS, DEVICES, GLOBAL = 16, 8, 8  # a, p and h of a dragonfly
GROUPS = ROUTERS * GLOBAL + 1

TENSORS, ROUNDS = 38, 2 * (4 - 1)  # rounds of a ring of four
WAYS = [2, 6, 2, 6]  # cables from 0 to 1, 1 to 2, 2 to 3 and 3 to 0

NUMBERS = {
    "cables_crossed": Question(
        value=TENSORS * ROUNDS * sum(WAYS),
        unit="根次",
        near={
            TENSORS * 2 * (2 + 6 + 6): "这是都寄给 rank 0 的",
            TENSORS * ROUNDS * len(WAYS): "这是消息的条数，每条要过 2 根或 6 根线",
            TENSORS * ROUNDS // 2 * sum(WAYS): "加完之后还要再转一圈：一共 6 轮",
            TENSORS * ROUNDS * sum(WAYS[:3]): "是一圈：rank 3 还要发给 rank 0",
            TENSORS * ROUNDS * 4 * 6: "0 到 1、2 到 3 在同一台主机里，只过 2 根",
            ROUNDS * sum(WAYS): "这是一个张量的，一共有 38 个",
            TENSORS * sum(WAYS): "这是一轮的；环要 2 × (4 - 1) 轮",
        },
        hints=[
            "环有几轮？每轮四条消息：0 到 1、1 到 2、2 到 3、3 到 0。",
            "同一台主机里过 2 根线，跨主机过 6 根：先加出一轮的，再乘轮数和张量数。",
        ],
    ),
    "server_gigabytes": Question(
        value=APART,
        unit="GB",
        near={
            APART * 2: "收和发都算了，只算发出的",
            APART - WEIGHTS: "这是 rank 0 兼任；单独的服务器自己不训练，一份也不省",
            WEIGHTS: "这是一份；每个工人都要一份",
            APART / 2: "每个参数 2 字节，乘了参数个数就是 14 GB",
            2 * (WORKERS - 1) / WORKERS * WEIGHTS: "这是分到全部 rank 上，或者环",
            APART * GB: "单位是 GB，不是字节",
        },
        hints=[
            "一步里服务器向每个工人发一份权重，收一份梯度。",
            "工人的个数乘 `7e9 * 2 / 1e9` GB。",
        ],
    ),
    "straggler_round": Question(
        value=ROUND,
        unit="倍",
        near={
            ALONE: "这是一个工人的平均；一轮等的是最慢的一个",
            SLOW.times: "不是每一轮都有人慢",
            1 + 9 * P * SLOW.probability: "概率不能相加：几个同时慢，也只等一次",
            1 + 9 * (1 - SOMEBODY): "这是没有人慢的概率，要的是至少有一个慢",
            9 * SOMEBODY: "没有人慢时也要 1；这是多出来的",
            SLOW.times * SOMEBODY: "没有人慢的轮也要 1",
        },
        hints=[
            "一轮里一个也不慢的概率是多少？各个工人彼此独立。",
            "至少一个慢的概率是 `1 - (1 - q) ** p`，那样的轮多花 `10 - 1`。",
        ],
    ),
    "rate_with_a_bound": Question(
        value=IN_STEP,
        unit="个",
        near={
            fixed_rate(TIMES, inf): "这是没有上限；有上限时，快的终究要等",
            8: "有一个要 4 个单位，快的领先 16 个之后就要等它",
            7: "这是跳过了最慢的；σ 谁也不跳过",
            len(TIMES) ** 2 / sum(TIMES): "这是按平均时间；等的是最慢的，不是平均的",
            0.25: "这是慢的一个自己的，一共有 8 个工人",
            fixed_rate(TIMES, inf) / 17: "上限不进长时间的速率，它只推迟了等待",
        },
        hints=[
            "领先到了 16 之后，快的每做一个更新，要等什么？",
            "那以后 8 个工人一样快：最慢的每 4 个单位一个。",
        ],
    ),
    "save_every": Question(
        value=EVERY,
        unit="分钟",
        near={
            EVERY * 2: "还是 16,384 块卡的；卡多到 4 倍，平均 4 倍快就停一次",
            EVERY * 4: "卡越多停得越勤：间隔要除以 4，不是乘",
            EVERY / sqrt(2): "根号里还有一个 2",
            sqrt(2 * SAVE / 60 * BETWEEN / 60): "单位是分钟，不是小时",
            EVERY**2: "还要开方",
            BETWEEN: "这是多久停一次；平均丢半个间隔，存得太稀",
            BETWEEN * 4: "这是 16,384 块卡多久停一次",
        },
        hints=[
            "先求原来那些卡平均多少分钟停一次。卡多到 4 倍，这个数变大还是变小？",
            "每隔 x 花 s 存一次，停一次平均丢半个间隔：让 s/x + x/(2M) 最小。",
            "x = √(2sM)，s = 1 分钟，M 是 `54 * 24 * 60 / 419 / 4` 分钟。",
        ],
    ),
    "dragonfly_devices": Question(
        value=ROUTERS * DEVICES * GROUPS,
        unit="台",
        near={
            ROUTERS * DEVICES * (GROUPS - 1): "一组连到 128 个别的组，还要算自己",
            DEVICES * GROUPS: "每组有 16 台交换机，这只算了一台",
            ROUTERS * GROUPS: "这是交换机的台数",
            ROUTERS * DEVICES: "这是一组里的设备",
            ROUTERS * DEVICES * GLOBAL: "一组通向别组的线是 16 × 8 条，不是 8 条",
        },
        hints=[
            "一组有几条线通向别的组？每条通向不同的一组。",
            "组数是 16 × 8 + 1，每组 16 × 8 台设备。",
        ],
    ),
}
