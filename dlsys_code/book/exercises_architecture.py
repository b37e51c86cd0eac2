"""The exercises of chapter 2: numbers, functions and programs, in the page's order."""

from dlsys_code.book import exercises_architecture_clocks as clocks
from dlsys_code.book import exercises_architecture_lost as lost
from dlsys_code.book import exercises_architecture_networks as networks
from dlsys_code.book import exercises_architecture_rings as rings
from dlsys_code.book import exercises_architecture_servers as servers
from dlsys_code.book.exercises import Exercise, Puzzle
from dlsys_code.book.exercises_architecture_numbers import NUMBERS
from dlsys_code.book.exercises_architecture_programs import PROGRAMS

EXERCISES: dict[str, Exercise] = {
    "cables_crossed": NUMBERS["cables_crossed"],
    "server_gigabytes": NUMBERS["server_gigabytes"],
    "busiest_rank": Puzzle(
        cases=lambda: servers.PLACEMENTS,
        fault=servers.fault_of_busiest,
        shown=servers.shown_placement,
        hints=[
            "当工人发梯度，当服务器发权重；自己给自己的不发。",
            "工人发 n 减去自己服务的；服务器给每个别的工人发自己服务的一份。",
            "服务器的一份是 `serves[r] * (len(workers) - (r in workers))`；"
            "两份相加，取最大。",
        ],
    ),
    "deal_keys": Puzzle(
        cases=lambda: servers.SIZES,
        fault=servers.fault_of_dealing,
        shown="sizes = {}，{} 台服务器".format,
        hints=[
            "先放大的：小的可以填缝，大的不能。",
            "从大到小，每个键放到当时最空的一台。",
        ],
    ),
    "everyone_serves": PROGRAMS["everyone_serves"],
    "who_begins": Puzzle(
        cases=lambda: clocks.CLOCKS,
        fault=clocks.fault_of_begin,
        shown="clocks = {}、σ = {}".format,
        hints=[
            "谁要等：领先太多的，还是落后太多的？",
            "领先 = 自己的时钟减最慢的时钟；不超过 σ 的可以开始。",
        ],
    ),
    "lead_and_staleness": Puzzle(
        cases=clocks.records,
        fault=clocks.fault_of_record,
        shown=clocks.shown_record,
        hints=[
            "领先：`update.clock` 减去前 `update.seen` 个更新之后最慢的时钟。",
            "从头走一遍，每加一个更新，记下当时最慢的时钟。",
            "第 n 个更新（从 0 数）交来时，比它新的版本是各个 `seen` 里大于它的、"
            "不超过 n 的，相同的只算一个。",
        ],
    ),
    "straggler_round": NUMBERS["straggler_round"],
    "rate_with_a_bound": NUMBERS["rate_with_a_bound"],
    "bytes_of_meetings": Puzzle(
        cases=lambda: lost.MEETINGS,
        fault=lost.fault_of_meetings,
        shown=lost.shown_meetings,
        hints=[
            "一共见几次面？最后一段可能不满 H 步。",
            "次数向上取整，乘环上一次全归约的 2(p-1)n/p 字节。",
        ],
    ),
    "lost_updates": Puzzle(
        cases=lost.runs,
        fault=lost.fault_of_lost,
        shown=lost.shown_events,
        hints=[
            "三种更新不算丢：没有确认过的、活着的服务器做过的、检查点里有的。",
            "先找出死了的服务器，再找活着的服务器做过哪些步。",
            "检查点存到第 s 步，0 到 s 步都在里面。",
        ],
    ),
    "save_every": NUMBERS["save_every"],
    "chunk_plan": Puzzle(
        cases=lambda: [(p,) for p in (3, 2, 5, 8, 1)],
        fault=rings.fault_of_plan,
        shown=rings.shown_plan,
        hints=[
            "第 0 轮让 rank r 发第 r 块。第 1 轮它发什么？刚收到的是第几块？",
            "每一轮都把上一轮收到的一块接着往下传：每过一轮，块号减 1。",
            "后一半也一样：第 p - 1 轮发的，就是刚加完的那一块。",
        ],
    ),
    "fewest_servers": Puzzle(
        cases=lambda: servers.STEPS,
        fault=servers.fault_of_servers,
        shown=servers.shown_step,
        hints=[
            "p 个工人、s 台服务器，各发多少？服务器 pn/s，工人 n。",
            "两样都不能多于 `compute_s * bandwidth` 字节。",
            "工人那一样与 s 无关：它不成立就返回 0；成立时 s 向上取整。",
        ],
    ),
    "rings_side_by_side": Puzzle(
        cases=lambda: [(links,) for links in rings.meshes()],
        fault=rings.fault_of_rings,
        shown=rings.shown_links,
        hints=[
            "`all_rings(links)` 列出所有的环；要从中选出最多的几个。",
            "用一个 `Counter` 记每对设备还剩几条线；选一个环，就减去它走过的。",
            "写成递归：试每个放得下的环，看剩下的线上还能放几个；同一个环可以再选。",
        ],
    ),
    "on_rings": PROGRAMS["on_rings"],
    "torus_counts": Puzzle(
        cases=lambda: [(shape,) for shape in networks.SHAPES],
        fault=networks.fault_of_torus,
        shown="shape = {}".format,
        hints=[
            "每台设备在每一维有两条线，每条线有两头。",
            "一维里最远隔 `length // 2` 条线；各维的相加。",
            "沿最长的一维切成两半，一圈要切断两条；一共有 N / 最长 圈。",
        ],
    ),
    "fat_tree_counts": Puzzle(
        cases=lambda: networks.TREES,
        fault=networks.fault_of_tree,
        shown=networks.shown_tree,
        hints=[
            "叶交换机的口分两份：`up = radix // (ratio + 1)` 个向上，其余接设备。",
            "一共 radix 组，各有 radix / 2 台叶、up 台脊；顶上 up × radix / 2 台。",
            "三层线：设备到叶；每台叶向上 up 条；每台脊向上 radix / 2 条。",
        ],
    ),
    "dragonfly_devices": NUMBERS["dragonfly_devices"],
    "rail_route": Puzzle(
        cases=lambda: networks.RAILS,
        fault=networks.fault_of_rail,
        shown=networks.shown_rail,
        hints=[
            "一组主机有 `each` 台叶。先问这台主机在第几组，再问是几号设备。",
            "第几组主机乘 `each`，加设备号，就是叶的编号。",
            "先看是不是同一台主机，再看是不是同一台叶。",
        ],
    ),
}
