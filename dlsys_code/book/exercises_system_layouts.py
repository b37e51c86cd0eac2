"""What chapter 5 asks a reader of layouts: the cheapest way from one to another.

Along one axis of p ranks, each of which holds n bytes: what is cut along a dimension
(S0, S1), alike on all (R), or a term of a sum (P).
"""

from itertools import product

from dlsys_code.book.exercises_architecture_counts import fault_of_count

LAYOUTS = ("S0", "S1", "R", "P")
NAMES = ("nothing", "all_gather", "reduce_scatter", "all_reduce", "all_to_all")
PAIRS = [("R", "S0"), ("S0", "R"), ("P", "R"), ("P", "S1"), ("S1", "S0"), ("S0", "P")]
CHANGES = [(before, after, 1200, 4) for before, after in PAIRS] + [
    (before, after, 1200, 3)
    for before, after in product(LAYOUTS, repeat=2)
    if (before, after) not in PAIRS
]


def cheapest(before: str, after: str, n: int, p: int) -> tuple[str, float]:
    """Return the collective with the fewest bytes from one layout to another."""
    if before == after or before == "R" or (before[0] == "S" and after == "P"):
        return "nothing", 0
    if before == "P":
        scattered = after != "R"
        name = "reduce_scatter" if scattered else "all_reduce"
        return name, (2 - scattered) * (p - 1) * n / p
    if after == "R":
        return "all_gather", (p - 1) * n
    return "all_to_all", (p - 1) * n / p


def fault_of_change(answer: object, before: str, after: str, n: int, p: int) -> str:
    """Say which cheaper way there is, or what its bytes are; "" for the cheapest."""
    try:
        name, sent = answer
    except (TypeError, ValueError):
        return f"返回了 {answer!r}，要 (集合通信的名字, 字节)"
    if name not in NAMES:
        return f"返回了 {name!r}，要 {'、'.join(NAMES)} 之一"
    best, least = cheapest(before, after, n, p)
    if name != best:
        return of_another_way(name, before, after, best, least)
    part = (p - 1) * n / p
    near = {
        "all_gather": {"每个 rank 现在就有 n 字节，收来 p - 1 份": part},
        "all_reduce": {"全归约是归约散发加全收集：2(p - 1)/p": part},
        "nothing": {},
    }.get(best, {"(p - 1)/p 份就够：每个 rank 只要自己的一段": part * p})
    near |= {"少乘了 (p - 1)/p": least * p / (p - 1), "这是所有 rank 的": least * p}
    return fault_of_count(sent, least, near)


def of_another_way(name: str, before: str, after: str, best: str, least: float) -> str:
    """Say why that collective is not the one."""
    why = "排布没有变" if before == after else WHY[before[0] + after[0]]
    if best == "nothing":
        return f"不用发：{why}"
    if name == "nothing":
        return f"要发：{why}"
    if (before[0], name) in {("S", "all_gather"), ("P", "all_reduce")}:
        return f"{name} 之后再切一段也对，可是 {best} 只发 {least:g} 字节"
    return f"{name} 到不了：{why}，用 {best}"


WHY = {  # from and to
    "RS": "整份都在手里，切下自己的一段",
    "RP": "一个 rank 留着，别的都换成 0，和还是它",
    "SP": "把自己的一段放在 0 中间，相加就是整份",
    "SR": "别的 rank 的段要收来",
    "SS": "换一维切，每个 rank 要从别的 rank 各拿一块",
    "PS": "要把各 rank 的份相加，只留自己的一段",
    "PR": "要把各 rank 的份相加，每个 rank 都要",
}


def shown_change(before: str, after: str, n: int, p: int) -> str:
    """Return a case of `cheapest_way`, for the reader."""
    return f"{before} → {after}、n = {n}、p = {p}"
