"""The parts that every chapter has, in their order; one line per fault.

Source: the book's own template of a lesson, which is the same in all chapters.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from nbformat import NotebookNode

BEFORE = ["学习目标", "先修", "阅读和运行"]
AFTER = ["常见误解", "换一台机器", "小结", "习题", "延伸阅读"]
LINKS = [".pptx", ".pdf", "slides/", "https://www.bilibili.com/video/", "github.com"]
MACHINES = ["没有 GPU", "1 块 GPU", "8 块 GPU", "几台机器"]
CODE_CELLS, CHARACTERS = 66, 20_000  # "up to about" 60 and 18,000


def missing(notebook: NotebookNode) -> list[str]:
    """Return what a chapter lacks, [] for a whole one."""
    text = prose(notebook)
    parts = by_heading(text)
    rules = (opening, goals, warm_up, sections, endings, length)
    found = list(order(list(parts)[1:]))
    return found or [fault for rule in rules for fault in rule(notebook, parts)]


def prose(notebook: NotebookNode) -> str:
    """Return the text of a notebook; a code cell is a line of its own."""
    cells = (
        cell.source if cell.cell_type == "markdown" else "⟦code⟧"
        for cell in notebook.cells
    )
    return "\n\n".join(cells)


def by_heading(text: str) -> dict[str, str]:
    """Return heading -> text below it, of level 2; what stands before them is ""."""
    first, *rest = re.split(r"^## ", text, flags=re.MULTILINE)
    return {"": first} | {r.partition("\n")[0]: r.partition("\n")[2] for r in rest}


def numbered(parts: dict[str, str]) -> list[str]:
    return [heading for heading in parts if re.match(r"\d+ ", heading)]


def order(headings: list[str]) -> Iterator[str]:
    """Three parts, five to nine numbered sections, five parts."""
    inner = [h for h in headings if re.match(r"\d+ ", h)]
    wanted = [*BEFORE, *inner, *AFTER]
    if headings != wanted:
        yield f"headings {headings}, expected {wanted}"
    if not 5 <= len(inner) <= 9:
        yield f"{len(inner)} sections, 5 to 9 are a chapter"
    if [int(h.split()[0]) for h in inner] != list(range(1, len(inner) + 1)):
        yield f"sections are not numbered in order: {inner}"


def opening(notebook: NotebookNode, parts: dict[str, str]) -> Iterator[str]:
    """A question, a picture, and everything that a class needs, by link."""
    text = parts[""]
    title, *_ = text.splitlines()
    if not re.fullmatch(r"# \d\d .+", title):
        yield f"title {title!r} has no number"
    if "？" not in text:
        yield "no question at the beginning"
    if "⟦code⟧" not in text or not re.search(r"\*\*图 \d+\.1\*\*", text):
        yield "no figure at the beginning"
    for link in LINKS:
        if not re.search(rf"\]\([^)]*{re.escape(link)}", text):
            yield f"no link to {link} at the beginning"


def goals(notebook: NotebookNode, parts: dict[str, str]) -> Iterator[str]:
    """Each can be checked, and says where it is taught and where it is asked."""
    items = re.findall(r"^\d+\. (.*)", parts["学习目标"], re.MULTILINE)
    if not 3 <= len(items) <= 6:
        yield f"{len(items)} goals, 3 to 6 can be kept in mind"
    known = {int(h.split()[0]) for h in numbered(parts)}
    asked = set(re.findall(r"^\*\*习题 (\d+\.\d+)\*\*", parts["习题"], re.MULTILINE))
    for item in items:
        if not item.startswith("能"):
            yield f"a goal begins with what one can do: {item}"
        taught = re.search(r"第 ([\d、 到]+) 节", item)
        if not taught or not {*map(int, re.findall(r"\d+", taught[1]))} <= known:
            yield f"a goal without its section: {item}"
        exercises = re.search(r"习题 ([\d.、 到]+)", item)
        if not exercises or not {*re.findall(r"\d+\.\d+", exercises[1])} <= asked:
            yield f"a goal without its exercise: {item}"


def warm_up(notebook: NotebookNode, parts: dict[str, str]) -> Iterator[str]:
    if parts["先修"].count("？") != 3 or "<details>" not in parts["先修"]:
        yield "先修 asks three questions and folds the answers"
    told = (r"读完约.*?(分钟|小时)", r"约 \d+ (秒|分钟)", "难度 ★")
    if not all(re.search(each, parts["阅读和运行"]) for each in told):
        yield "阅读和运行 says how long to read, how long to run and how hard"


def sections(notebook: NotebookNode, parts: dict[str, str]) -> Iterator[str]:
    """Question, guess, run, explanation, one sentence to keep, one small check."""
    for heading in numbered(parts):
        text = parts[heading]
        if "？" not in text.strip().partition("\n")[0]:
            yield f"{heading}: does not begin with a question"
        beats = [text.find("**先猜**"), text.rfind("**记住**"), text.rfind("小检查")]
        if -1 in beats or any(a > b for a, b in pairwise(beats)):
            yield f"{heading}: 先猜, 记住, 小检查 in this order"
        if "⟦code⟧" not in text:
            yield f"{heading}: nothing runs"


def endings(notebook: NotebookNode, parts: dict[str, str]) -> Iterator[str]:
    if parts["常见误解"].count("**“") < 3 or "⟦code⟧" not in parts["常见误解"]:
        yield "常见误解: three mistakes, one of them refuted by a cell"
    for machine in MACHINES:
        if not re.search(rf"\| {machine} \|.*`.+`", parts["换一台机器"]):
            yield f"换一台机器: no command for {machine}"
    points = re.findall(r"^\d+\. ", parts["小结"], re.MULTILINE)
    if not 3 <= len(points) <= 7 or "公式卡" not in parts["小结"]:
        yield "小结: at most seven points and the card of formulas"
    if "一步账本" not in parts["小结"]:
        yield "小结: no 一步账本"
    stars = re.findall(r"^\*\*习题 \d+\.\d+\*\* (★+) ", parts["习题"], re.MULTILINE)
    if len(stars) < 10 or set(stars) != {"★", "★★", "★★★"}:
        yield f"习题: {len(stars)}, of the kinds {sorted(set(stars))}"
    entries = re.findall(r"^- \[.*references\.md#", parts["延伸阅读"], re.MULTILINE)
    if not 5 <= len(entries) <= 8:
        yield f"延伸阅读: {len(entries)} entries with a reference, not 5 to 8"


def length(notebook: NotebookNode, parts: dict[str, str]) -> Iterator[str]:
    """What a reader gets through; exercises are extra."""
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    if cells > CODE_CELLS:
        yield f"{cells} code cells"
    read = "".join(text for heading, text in parts.items() if heading != "习题")
    if (characters := len(re.sub(r"\s|\]\([^)]*\)", "", read))) > CHARACTERS:
        yield f"{characters} characters"
