"""What every lesson holds, in its order; one line per fault.

Source: the book's own template, which is the same in all chapters, and smaller for the
parts of a chapter.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from nbformat import NotebookNode

BEFORE = ["学习目标", "先修", "阅读和运行"]
AFTER = ["常见误解", "换一台机器", "小结", "习题", "延伸阅读"]
MACHINES = ["没有 GPU", "1 块 GPU", "8 块 GPU", "几台机器"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How much a lesson holds; pairs are the least and the most.

    title, figure: patterns of its number and of that of its first figure.  links: what
    stands at its beginning.  cells, characters: the most, of code and of prose.
    """

    title: str
    figure: str
    links: tuple[str, ...]
    sections: tuple[int, int]
    goals: tuple[int, int]
    exercises: int
    reading: tuple[int, int]
    cells: int
    characters: int


Text = dict[str, str]  # what stands below each heading
OUTSIDE = ("https://www.bilibili.com/video/", "github.com")
CHAPTER = Measure(
    title=r"\d\d",
    figure=r"\d+\.1",
    links=(".pptx", ".pdf", "slides/", *OUTSIDE),
    sections=(5, 9),
    goals=(3, 6),
    exercises=10,
    reading=(5, 8),
    cells=66,  # "up to about" 60
    characters=20_000,  # and 18,000
)
PART = Measure(
    title=r"\d\d\.\d+",
    figure=r"\d+\.\d+\.1",
    links=("../{}.pptx", "../{}.pdf", "../slides/{}/", *OUTSIDE),
    sections=(3, 6),
    goals=(3, 5),
    exercises=5,
    reading=(4, 8),
    cells=38,  # "up to about" 35
    characters=11_100,  # and 10,000
)


def missing(notebook: NotebookNode, measure: Measure = CHAPTER) -> list[str]:
    """Return what a lesson lacks, [] for a whole one."""
    text = prose(notebook)
    parts = by_heading(text)
    rules = (opening, goals, warm_up, sections, endings, length)
    found = list(order(list(parts)[1:], measure))
    return found or [
        fault for rule in rules for fault in rule(notebook, parts, measure)
    ]


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


def fits(number: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= number <= bounds[1]


def said(bounds: tuple[int, int]) -> str:
    return f"{bounds[0]} to {bounds[1]}"


def order(headings: list[str], measure: Measure) -> Iterator[str]:
    """Three parts, the numbered sections, five parts."""
    inner = [h for h in headings if re.match(r"\d+ ", h)]
    wanted = [*BEFORE, *inner, *AFTER]
    if headings != wanted:
        yield f"headings {headings}, expected {wanted}"
    if not fits(len(inner), measure.sections):
        yield f"{len(inner)} sections, not {said(measure.sections)}"
    if [int(h.split()[0]) for h in inner] != list(range(1, len(inner) + 1)):
        yield f"sections are not numbered in order: {inner}"


def opening(notebook: NotebookNode, parts: Text, measure: Measure) -> Iterator[str]:
    """A question, a picture, and everything that a class needs, by link."""
    text = parts[""]
    title, *_ = text.splitlines()
    if not re.fullmatch(rf"# {measure.title} .+", title):
        yield f"title {title!r} has no number"
    if "？" not in text:
        yield "no question at the beginning"
    if "⟦code⟧" not in text or not re.search(rf"\*\*图 {measure.figure}\*\*", text):
        yield "no figure at the beginning"
    for link in measure.links:
        inside = re.escape(link).replace(r"\{\}", r"\d\d\.\w+")
        if not re.search(rf"\]\([^)]*{inside}", text):
            yield f"no link to {link} at the beginning"


def goals(notebook: NotebookNode, parts: Text, measure: Measure) -> Iterator[str]:
    """Each can be checked, and says where it is taught and where it is asked."""
    items = re.findall(r"^\d+\. (.*)", parts["学习目标"], re.MULTILINE)
    if not fits(len(items), measure.goals):
        yield f"{len(items)} goals, {said(measure.goals)} can be kept in mind"
    known = {int(h.split()[0]) for h in numbered(parts)}
    asked = set(re.findall(r"^\*\*习题 ([\d.]+)\*\*", parts["习题"], re.MULTILINE))
    for item in items:
        if not item.startswith("能"):
            yield f"a goal begins with what one can do: {item}"
        taught = re.search(r"第 ([\d、 到]+) 节", item)
        if not taught or not {*map(int, re.findall(r"\d+", taught[1]))} <= known:
            yield f"a goal without its section: {item}"
        exercises = re.search(r"习题 ([\d.、 到]+)", item)
        if not exercises or not {*re.findall(r"\d+(?:\.\d+)+", exercises[1])} <= asked:
            yield f"a goal without its exercise: {item}"


def warm_up(notebook: NotebookNode, parts: Text, measure: Measure) -> Iterator[str]:
    if parts["先修"].count("？") != 3 or "<details>" not in parts["先修"]:
        yield "先修 asks three questions and folds the answers"
    told = (r"读完约.*?(分钟|小时)", r"约 \d+ (秒|分钟)", "难度 ★")
    if not all(re.search(each, parts["阅读和运行"]) for each in told):
        yield "阅读和运行 says how long to read, how long to run and how hard"


def sections(notebook: NotebookNode, parts: Text, measure: Measure) -> Iterator[str]:
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


def endings(notebook: NotebookNode, parts: Text, measure: Measure) -> Iterator[str]:
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
    stars = re.findall(r"^\*\*习题 [\d.]+\*\* (★+) ", parts["习题"], re.MULTILINE)
    if len(stars) < measure.exercises or set(stars) != {"★", "★★", "★★★"}:
        yield f"习题: {len(stars)}, of the kinds {sorted(set(stars))}"
    entries = re.findall(r"^- \[.*references\.md#", parts["延伸阅读"], re.MULTILINE)
    if not fits(len(entries), measure.reading):
        many = f"{len(entries)} entries with a reference"
        yield f"延伸阅读: {many}, not {said(measure.reading)}"


def length(notebook: NotebookNode, parts: Text, measure: Measure) -> Iterator[str]:
    """What a reader gets through; exercises are extra."""
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    if cells > measure.cells:
        yield f"{cells} code cells"
    read = "".join(text for heading, text in parts.items() if heading != "习题")
    if (characters := len(re.sub(r"\s|\]\([^)]*\)", "", read))) > measure.characters:
        yield f"{characters} characters"
