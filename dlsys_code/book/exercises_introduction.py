"""The exercises of chapter 1: numbers and functions, in the page's order."""

from itertools import product

from dlsys_code.book import exercises_introduction_counts as counts
from dlsys_code.book import exercises_introduction_steps as steps
from dlsys_code.book.exercises import Exercise, Puzzle, Question
from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.introduction import scaling
from dlsys_code.introduction.budget import six_per_parameter
from dlsys_code.introduction.model_states import model_states
from dlsys_code.introduction.units import GB, us

STATES = model_states(70e9).total / GB
FLOPS = six_per_parameter(70e9) * 2e12
DAYS = (
    scaling.train_time_s(FLOPS, 0.45 * 312e12, devices=1024, efficiency=1.0)
    / scaling.DAY_S
)
AMDAHL = scaling.amdahl(0.02, 64)
LINK = Link(latency_s=10 * us, bandwidth=25 * GB)
MANY = 291 * LINK.latency_s + 14 * GB * LINK.seconds_per_byte

EXERCISES: dict[str, Exercise] = {
    "state_gigabytes": Question(
        value=STATES,
        unit="GB",
        near={
            model_states(70e9).weights / GB: "这只是权重，还有梯度和优化器状态",
            280: "这是 4 字节的权重或两份 2 字节；要全部三种",
            STATES * GB: "单位是 GB，不是字节",
            STATES * GB / 2**30: "GB 是 10 的 9 次方字节，不是 GiB",
        },
        hints=[
            "每个参数几个字节？权重、梯度、优化器各多少？",
            "`2 + 2 + 12` 字节，乘 `70e9`。",
        ],
    ),
    "training_days": Question(
        value=DAYS,
        unit="天",
        near={
            DAYS / 3: "只算了正向；一步是每个参数、每个词元 6 次",
            DAYS * 0.45: "按峰值算了，还要除以利用率 45%",
            DAYS * 24: "单位是天，不是小时",
            DAYS * 1024: "还要除以设备数",
        },
        hints=[
            "先求总计算量：6 × 参数 × 词元。",
            "再除以卡数和每块卡达到的速率，最后把秒换成天。",
        ],
    ),
    "count_parameters": Puzzle(
        cases=lambda: [(config,) for config in counts.CONFIGS],
        fault=counts.fault_of_parameters,
        shown=counts.shown_config,
        hints=[
            "一层有四个投影、三个前馈矩阵、两个归一化；别忘了词嵌入和最后一个归一化。",
            "查询和输出投影各 h·h 个；键和值各 h·g·d 个；`config.head_width` 就是 d。",
            "`config.tied` 时输出层没有自己的参数，否则再加 V·h。",
        ],
    ),
    "step_flops": Puzzle(
        cases=lambda: list(product(counts.CONFIGS, (8, 128))),
        fault=counts.fault_of_flops,
        shown=counts.shown_config,
        hints=[
            "每个词元经过每个矩阵一次，一次乘加算 2 次运算；词嵌入是查表，不算。",
            "注意力里没有权重的乘法：q 乘 k、权重乘 v，每层各 2·h·T。",
            "反向是正向的两倍，一步共三倍。输出层不管共不共用，都要乘一遍。",
        ],
    ),
    "state_bytes": Puzzle(
        cases=counts.models,
        fault=counts.fault_of_state_bytes,
        shown=counts.shown_model,
        copied=False,
        hints=[
            "张量的字节数是 `x.numel() * x.element_size()`，也就是 `x.nbytes`。",
            "`.grad` 可能是 None：冻结的参数没有梯度。",
            "`optimizer.state.values()` 里每个参数一本字典，其中是张量的都算。",
        ],
    ),
    "accumulate": Puzzle(
        cases=steps.batches,
        fault=steps.fault_of_accumulation,
        shown=steps.shown_batch,
        copied=False,
        hints=[
            "`inputs.chunk(m)` 切成 m 份；每份算损失、`backward()`，`.grad` 自己累加。",
            "每份的损失是自己样本的平均；整批的平均要按样本数加权，每份先乘自己的比例。",
        ],
    ),
    "setting": Puzzle(
        cases=counts.memories,
        fault=counts.fault_of_setting,
        shown=counts.shown_memory,
        hints=[
            "`activation_bytes(config, b // m, T, recompute=…)` 给出激活值的字节。",
            "先不重计算，m 从 1 起试 b 的每个约数；都装不下，再打开重计算重来一遍。",
        ],
    ),
    "smallest_scale": Question(
        value=32,
        unit="倍",
        near={
            64: "不必到 2 的 -24 次方：过了它的一半，就舍入成它",
            65536: "这是常用的初始值，问的是最小的",
            2**16: "这是常用的初始值，问的是最小的",
            61036: "不必到 2 的 -14 次方：比它小的还有非正规数",
        },
        hints=[
            "fp16 最小的正数是 `2**-24`；舍入到最近，过了一半就不是 0。",
            "`1e-9` 乘上多少才超过 `2**-25`？取 2 的幂。",
        ],
    ),
    "next_scale": Puzzle(
        cases=steps.overflows,
        fault=steps.fault_of_next_scale,
        shown=steps.shown_overflow,
        hints=[
            "溢出：减半，计数归零。",
            "没有溢出：计数加一；满 3 就翻倍，计数归零。",
        ],
    ),
    "share_out": Puzzle(
        cases=steps.shares,
        fault=steps.fault_of_share,
        shown=steps.shown_share,
        hints=[
            "`batch % p` 个 rank 各多拿一个；前面的拿到哪里，后面的就从哪里开始。",
            "整批的平均 = 各 rank 的平均按样本数加权。之后要除以 p，权重就先乘 p。",
        ],
    ),
    "buckets": Puzzle(
        cases=steps.lists_of_sizes,
        fault=steps.fault_of_buckets,
        shown=steps.shown_sizes,
        hints=[
            "按次序往当前的桶里放，放不下就开一个新桶。",
            "一个梯度本身就超过上限，也得放：让它独占一个桶。",
        ],
    ),
    "speed_up": Question(
        value=AMDAHL,
        unit="倍",
        near={
            scaling.gustafson(0.02, 64): "这是弱扩展；题目里总量不变",
            50: "这是设备无穷多时的上限 1/s",
            64: "64 个设备不等于快 64 倍",
            AMDAHL / 64: "这是并行效率，还没有乘 64",
        },
        hints=["Amdahl：1 / (s + (1 - s) / p)。"],
    ),
    "message_time": Question(
        value=MANY,
        unit="秒",
        near={
            transfer_time_s(14 * GB, LINK): "α 要乘消息数，不是只付一次",
            MANY * 1000: "单位是秒，不是毫秒",
        },
        hints=["时间 ≈ 消息数 × α + 字节数 × β。", "β 是带宽的倒数，单位 s/B。"],
    ),
    "most_ranks": Puzzle(
        cases=steps.efficiencies,
        fault=steps.fault_of_most_ranks,
        shown=steps.shown_efficiency,
        hints=[
            "p 个 rank 的一步是 C/p + M，效率是 C 除以 p 乘这个时间。",
            "化简：效率 = C / (C + p·M)。令它不小于给定的值，解出 p。",
            "向下取整；一个 rank 不用通信，至少返回 1。",
        ],
    ),
    "segment": Puzzle(
        cases=steps.depths,
        fault=steps.fault_of_segment,
        shown=steps.shown_depth,
        hints=[
            "留下 L/k 份输入，向上取整；反向时同时活着的是一段，k 层。",
            "内存 = 向上取整的 L/k 乘 kept，加 k 乘 block。",
            "k 只有 L 种取法，全试一遍就行。",
        ],
    ),
}
