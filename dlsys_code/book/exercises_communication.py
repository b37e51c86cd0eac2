"""The exercises of chapter 3: numbers and functions, in the page's order."""

from dlsys_code.book import exercises_communication_hosts as hosts
from dlsys_code.book import exercises_communication_links as links
from dlsys_code.book import exercises_communication_networks as networks
from dlsys_code.book import exercises_communication_rates as rates
from dlsys_code.book.exercises import Exercise, Puzzle
from dlsys_code.book.exercises_communication_numbers import NUMBERS
from dlsys_code.communication import hardware

EXERCISES: dict[str, Exercise] = {
    "nvlink_over_network": NUMBERS["nvlink_over_network"],
    "one_way": Puzzle(
        cases=lambda: [(row.printed, row.directions) for row in hardware.links()],
        fault=rates.fault_of_one_way,
        shown=rates.shown_rate,
        hints=[
            "先按空格分成数和单位，千位的逗号要去掉。",
            "1 Gbit/s 是 `1e9 / 8` B/s，1 TB/s 是 `1e12` B/s。",
            "最后除以 `directions`。",
        ],
    ),
    "tokens_to_hide": Puzzle(
        cases=rates.steps_of_training,
        fault=rates.fault_of_tokens,
        shown=rates.shown_step,
        hints=[
            "两边都与参数个数成正比，约掉。",
            "计算要 6 × 参数 × 词元 / (peak × 利用率) 秒，"
            "通信要 2 × 2 × 参数 / bandwidth 秒。",
            "词元至少是 (2/3) × peak × 利用率 / bandwidth，向上取整。",
        ],
    ),
    "half_bandwidth": NUMBERS["half_bandwidth"],
    "bundle": Puzzle(
        cases=links.bundles,
        fault=links.fault_of_bundle,
        shown=links.shown_bundle,
        hints=[
            "k 条合成一条，时间是 α + βkn，其中时延占多少？",
            "α ≤ (α + βkn)/10，解出 kn ≥ 9 α/β。",
            "向上取整；消息本来就够大时，答案是 1，不是 0。",
        ],
    ),
    "estimate": Puzzle(
        cases=links.samples,
        fault=links.fault_of_estimate,
        shown=links.shown_samples,
        hints=[
            "让 (α + βn)/t - 1 的平方和最小：两个未知数的线性最小二乘。",
            "`np.linalg.lstsq` 的一行是 `[1/t, n/t]`，右边是 1。",
            "慢了十五倍的一条，它的行除以 t 之后只有别人的十五分之一，拉不动结果。",
        ],
    ),
    "slot_of": Puzzle(
        cases=lambda: hosts.TURNS,
        fault=hosts.fault_of_slot,
        shown="放了 {} 片、取了 {} 片、{} 个槽".format,
        hints=[
            "槽轮流用：第 i 片（从 0 数）放进槽 `i % slots`。",
            "没取的有 `puts - gets` 片，各占一个槽。",
        ],
    ),
    "slots_for_a_pause": Puzzle(
        cases=lambda: hosts.PAUSES,
        fault=hosts.fault_of_pause,
        shown="填 {} 秒、取 {} 秒、先停 {} 秒".format,
        hints=[
            "发送方不等时，第 i 片从 `i * fill` 起占槽。",
            "逐片算出取完的时刻：接收方闲了，而且这片填完了，再过 `empty` 秒。",
            "每一片开始时，先去掉取完的，再数占着几个槽；答案是最多的一次。",
        ],
    ),
    "ring_on_links": Puzzle(
        cases=lambda: [(graph,) for graph in networks.meshes()],
        fault=networks.fault_of_ring,
        shown=networks.shown_mesh,
        hints=[
            "从设备 0 出发，每次走到一个没去过的邻居；走不下去就退回一步。",
            "写成递归：`path` 已经走过；长度够了还要看最后一个能不能回到 `path[0]`。",
            "邻居是 `links[path[-1]]`；一条路都走不通时返回 `[]`。",
        ],
    ),
    "fat_tree_devices": NUMBERS["fat_tree_devices"],
    "leaf_ratio": NUMBERS["leaf_ratio"],
    "fewest_crossings": Puzzle(
        cases=lambda: [(leaf,) for leaf in networks.LEAVES],
        fault=networks.fault_of_order,
        shown="leaf = {}".format,
        hints=[
            "同一台叶交换机下的 rank 排在一起，一圈跨几次？",
            "按 `leaf[rank]` 排序。",
        ],
    ),
    "fair_shares": Puzzle(
        cases=lambda: networks.FLOWS,
        fault=networks.fault_of_shares,
        shown="paths = {}、capacities = {}".format,
        hints=[
            "所有流从 0 一起长；每条链路在多大的速率上满？取最小的一个。",
            "满了的链路上，流都停在这个速率；别的链路减去它们占的，再来一轮。",
            "一条链路的满点是 (容量 - 停下的流占的) / 还在长的流数；没有流在长就跳过。",
        ],
    ),
    "roce_goodput": NUMBERS["roce_goodput"],
    "copied_gibibytes": NUMBERS["copied_gibibytes"],
    "slow_down": Puzzle(
        cases=hosts.senders,
        fault=hosts.fault_of_rate,
        shown=hosts.shown_sender,
        hints=[
            "记住三个数：当前速率、目标速率、拥塞估计，起初是线速、线速和 1。",
            "`cnp`：先记目标，再减速，最后改拥塞估计；减速用的是改之前的估计。",
            "`silence` 只让拥塞估计乘 `255/256`；`turn` 只让当前速率走到目标的半路。",
        ],
    ),
    "order_for_a_tree": Puzzle(
        cases=lambda: [(racks,) for racks in networks.all_racks()],
        fault=networks.fault_of_tree,
        shown="racks = {}".format,
        hints=[
            "树先让编号隔得最远的两个合并，最后才是相邻的；跨机架的要留到最后。",
            "让隔得远的在同一个机架：各个机架轮流出一个 rank。",
            "`zip(*racks)` 一次取出每个机架的一个。",
        ],
    ),
    "ring_starts_later": NUMBERS["ring_starts_later"],
    "on_the_wire": NUMBERS["on_the_wire"],
    "nccl_choice": Puzzle(
        cases=hosts.calls,
        fault=hosts.fault_of_choice,
        shown=hosts.shown_call,
        hints=[
            "`product(nccl.ALGORITHMS, nccl.PROTOCOLS)` 给出六对，各猜一个时间。",
            "时间 = `nccl.latency_s(...)` + n / `nccl.bandwidth(...)`，取最小的一对。",
            "树的带宽还要乘 `nccl.tree_correction(n, protocol, comm)`。",
            "多台机器时，环与 Simple 的时延要乘 `1.4`。",
        ],
    ),
    "two_layouts": Puzzle(
        cases=links.layouts,
        fault=links.fault_of_layouts,
        shown=links.shown_layouts,
        hints=[
            "两个未知数，两个方程：用时 = 轮数 × α + n × β。",
            "相减，字节的一项消掉：α = 用时之差 / 轮数之差。",
            "再代回轮数少的那个：β = (用时 - 轮数 × α) / n。",
        ],
    ),
    "server_breaks_at": NUMBERS["server_breaks_at"],
}
