"""The exercises of chapter 3 that ask for a number.

Every value and every near miss comes from the module that the chapter shows.
"""

from dlsys_code.book.exercises import Question
from dlsys_code.communication import datapath, framing, hardware, nccl
from dlsys_code.communication.channels import Communicator
from dlsys_code.communication.link import Link, transfer_time_s
from dlsys_code.introduction.units import GB, Gbit, GiB, ms, us

NVLINK, NDR = hardware.link("NVLink 4"), hardware.link("InfiniBand NDR")
HALF = Link(latency_s=2 * us, bandwidth=400 * Gbit).half_bandwidth_bytes
PORT = 400 * Gbit / GB  # GB/s
WIRE = {each.name: each.overhead for each in framing.framings()}
COPIES = datapath.count(datapath.paths()["TCP, GPU, pageable"]).cpu_bytes(GiB) / GiB
TWO = Communicator(nodes=2, ranks_per_node=8, channels=8, channel_bandwidth=24 * GB)
RING, TREE = (nccl.latency_s(name, "LL", TWO) / us for name in ("ring", "tree"))
BUS = 420.0  # GB/s, measured on 5 H100
OLD = Link(latency_s=4 * us, bandwidth=hardware.link("100 GbE").bandwidth)
STEP, GRADIENTS = 5 * ms, 4 * 771_200
WHOLE = transfer_time_s(GRADIENTS, OLD)  # all gradients, one message


def goodput(overhead: int, payload: int = 1024) -> float:
    """Return the payload that the port carries in a second [GB]."""
    return PORT * payload / (payload + overhead)


NUMBERS = {
    "nvlink_over_network": Question(
        value=NVLINK.bandwidth / NDR.bandwidth,
        unit="倍",
        near={
            900 / 400: "单位没有统一，方向也没有：一个是字节，一个是比特",
            900 / 50: "900 是两个方向加在一起的，一条消息只走一个",
            450 / 400: "400 Gbit/s 是比特，还要除以 8",
            1 / 9: "倒过来了，NVLink 更快",
        },
        hints=[
            "把两个数都换成一个方向、每秒的字节。",
            "`900 / 2` GB/s 对 `400 / 8` GB/s。",
        ],
    ),
    "half_bandwidth": Question(
        value=HALF,
        unit="字节",
        near={
            HALF * 8: "400 Gbit/s 是 50 GB/s，比特要除以 8",
            HALF / 1000: "单位是字节，不是 KB",
            HALF / 2: "n_1/2 是 α/β，不用再除以 2：这时传输和时延一样长",
            HALF * 2: "n_1/2 是 α/β；总时间是 2α，消息不是 2α/β",
        },
        hints=["传输要多久才和时延一样长？", "α/β，也就是 α 乘带宽，带宽按字节算。"],
    ),
    "fat_tree_devices": Question(
        value=48**3 / 4,
        unit="台",
        near={
            48**2 / 2: "这是两层的；三层还要乘 24",
            48**3 / 2: "每台叶交换机只有一半端口向下",
            48**3: "每一层都有一半端口向上，不能全拿来接主机",
            48**2 / 4: "这是核心交换机的台数",
        },
        hints=[
            "48 口交换机搭成 48 组（论文里叫 pod），每组 48 / 2 台叶交换机。",
            "每台叶交换机有一半的口向下。三个数乘起来。",
        ],
    ),
    "leaf_ratio": Question(
        value=48 * 400 / (8 * 800),
        unit="比 1",
        near={
            4.0: "这是上下行的总带宽除以上行；收敛比是下行比上行",
            1 / 3: "倒了：下行在前，上行在后",
            0.75: "这是下行占总带宽的比例",
            6.0: "上行端口的速率是下行的两倍，要比带宽，不比端口数",
        },
        hints=["收敛比 = 下行带宽 / 上行带宽。", "48 × 400，除以 8 × 800。"],
    ),
    "roce_goodput": Question(
        value=goodput(WIRE["RoCE v2"]),
        unit="GB/s",
        near={
            PORT: "包头、前导码和帧间隔也占线",
            goodput(WIRE["RoCE v2"] - 20): "前导码 8 字节和帧间隔 12 字节也占线",
            goodput(WIRE["RoCE v2"] - 38): "还有以太网的 38 字节",
            goodput(WIRE["RoCE v1"]): "这是 RoCE v1：v2 没有 GRH，有 IPv4 和 UDP",
            goodput(WIRE["TCP"]): "这是 TCP 的头",
            goodput(WIRE["RoCE v2"]) * 8: "单位是 GB/s，不是 Gbit/s",
        },
        hints=[
            "一个包在线上占多少字节？载荷、头、前导码、帧间隔都算。",
            "除了载荷，一共 `38 + 20 + 8 + 12 + 4` 字节；再乘 400 / 8 GB/s。",
        ],
    ),
    "copied_gibibytes": Question(
        value=COPIES,
        unit="GiB",
        near={
            COPIES / 2: "一次拷贝读一遍、写一遍",
            4 / 2: "数一数拷贝：锁页与不锁页之间还有两次",
            12.0: "DMA 搬的字节不经过 CPU",
        },
        hints=[
            "从 GPU 显存开始，一步一步写：谁在搬？",
            "每一端有两次 CPU 拷贝：锁页 ↔ 程序，程序 ↔ 套接字；每次读 n、写 n。",
        ],
    ),
    "ring_starts_later": Question(
        value=RING - TREE,
        unit="µs",
        near={
            RING: "这是环自己的，还要减去树的",
            TREE: "这是树自己的，要用环的减它",
            RING - 28 * 0.4 - TREE: "跨机的环，机内每步至少等一次网卡投递 1 µs",
            6.6 + 30 * 1.0 - TREE: "30 步里有 2 步跨机，一步 2.7 µs",
        },
        hints=[
            "p 张卡、M 台机器：环机内 2(p-M) 步，跨机 2(M-1) 步；"
            "树机内 2(p/M-1) 步，跨机 2log2(M) 步。",
            "环 `6.6 + 28 * 1.0 + 2 * 2.7`，树 `6.8 + 14 * 0.6 + 2 * 5.0`。",
        ],
    ),
    "on_the_wire": Question(
        value=BUS / nccl.bus_factor(5) * (1 + 1 / 5),
        unit="GB/s",
        near={
            BUS: "这是总线带宽，按环的系数乘过",
            BUS / 1.6: "这是算法带宽；每个 rank 发的比它多",
            BUS * 1.2: "先除以环的系数，才是算法带宽",
        },
        hints=[
            "先由总线带宽求算法带宽（algorithm bandwidth）：除以 2(p-1)/p，p = 5。",
            "再乘交换机里加时每字节发的字节：1 + 1/p。",
        ],
    ),
    "server_breaks_at": Question(
        value=STEP / (2 * WHOLE),
        unit="个",
        near={
            STEP / WHOLE: "权重要发下去，梯度要收上来：每个 worker 两条消息",
            STEP / (2 * GRADIENTS * OLD.seconds_per_byte): "每条消息还要付一次时延",
            STEP / (2 * (OLD.latency_s + GRADIENTS / (100 * GB))): (
                "网口是 12.5 GB/s，100 是它的比特"
            ),
            2 * WHOLE / STEP: "倒过来了：这是一个 worker 的通信占计算的几成",
        },
        hints=[
            "一个 worker 的两条消息要多久？服务器一次只收发一条。",
            "`5000 / (2 * (4 + 3084800 / 12500))`，单位都是微秒。",
        ],
    ),
}
