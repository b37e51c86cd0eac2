"""Where every number in the prose of a notebook comes from.

A sentence may say 144 字节 only if the reader can see who says so.  The number stands
in the output or the code of a cell near by; or a formula in the text gives it, and the
formula is right; or the text has set it ($p=8$, n=96 字节, a question); or a source is
cited in the same paragraph.  Small counts, years and the numbers of sections and
exercises need no witness, nor does the time that a lesson takes, which is measured on
whole readings and runs.  What is left over is a claim without a ground.

The numbers stay plain text, which JupyterLab, GitHub and print show as it is; a role
that puts them in, such as myst-nb's glue, would show its own markup there.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from arithmetic import NUMBER, equations, proved, value
from stored_outputs import is_compared

SMALL = 10  # counts below need no witness, unless a unit of measure follows
CELLS_BEFORE, CELLS_AFTER = 4, 2  # of the same section: near by

MEASURES = re.compile(
    r"\s*(?:\$\s*)?(?:字节|[KMGT]i?B|Gbit|[munµ]?s\b|秒|分钟|%|倍|份)"
)
NAMED = re.compile(
    r"第\s*\d+(?:\s*(?:[、和到至,]|，)\s*\d+)*\s*[章节轮块个步题位种]"  # which one
    r"|第\s*\d+\.\d+(?:\s*(?:[、和到至,]|，)\s*\d+\.\d+)*\s*篇"
    r"|(?:图|式|表|习题)\s*[\d.]+(?:\s*(?:[、和到]|，)\s*[\d.]+)*"
    r"|(?:rank|step|小结)\s*\d+(?:\s*(?:[、和到]|，)\s*\d+)*"
    r"|\d+\s*号|(?:16|32)\s*位|(?:19|20)\d\d(?!\d)|float\d+|int\d+"
    r"|\d+-[A-Z]|(?<!\d)0\d\.\d+"  # 05.1: a part of chapter 05
)
CITED = re.compile(r"references\.md#|\((?:19|20)\d\d\)")
ASIDE = re.compile(  # code, and how long the lesson takes
    r"^```.*?^```|^## 阅读和运行\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE
)
HIDDEN = re.compile(  # what is not prose either
    r"`[^`\n]*`|<[^>\n]*>|\]\([^)]*\)|https?://\S+|^\s*\d+\.\s|^#.*$",
    re.MULTILINE,
)
TEX = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
QUESTIONS = re.compile(
    r"^> \*\*先猜\*\*.*?(?=\n\n|\Z)|<summary>.*?</summary>|[^。；\n]*？", re.M | re.S
)
SET = re.compile(r"^\\?[A-Za-z]+(?:_\{?[\w/]+\}?)?$")  # a symbol: p, n, \alpha


@dataclass(frozen=True)
class Claim:
    """A number in the prose, and what vouches for it; "" for nothing."""

    text: str
    sentence: str
    cell: int  # counted among all cells, from 0
    ground: str


def claims(cells: Sequence[dict]) -> list[Claim]:
    """Return the claims of a notebook's cells, in the order of reading."""
    found = []
    for section in sections(cells):
        given = set().union(
            *(stated(cells[i]["source"]) for i in section if prose(cells[i]))
        )
        for i in section:
            if prose(cells[i]):
                seen = witnesses(cells, section, i)
                found += in_text(cells[i]["source"], i, seen, given)
    return found


def prose(cell: dict) -> bool:
    """Return whether a cell holds text."""
    return cell["cell_type"] == "markdown"


def sections(cells: Sequence[dict]) -> Iterator[list[int]]:
    """Yield the cells of each section; a heading of level 2 begins one."""
    current: list[int] = []
    for i, cell in enumerate(cells):
        if prose(cell) and re.match(r"## ", cell["source"]) and current:
            yield current
            current = []
        current.append(i)
    yield current


def witnesses(cells: Sequence[dict], section: list[int], at: int) -> dict[float, int]:
    """Return number -> cell: what the code cells near by show, the nearest first."""
    code = [i for i in section if not prose(cells[i])]
    before = [i for i in code if i < at][-CELLS_BEFORE:]
    after = [i for i in code if i > at][:CELLS_AFTER]
    seen: dict[float, int] = {}
    for i in [*reversed(before), *after]:
        for text in [*compared(cells[i]), cells[i]["source"]]:
            for match in NUMBER.finditer(text):
                seen.setdefault(value(match), i)
    return seen


def compared(cell: dict) -> Iterator[str]:
    """Yield the outputs that every run repeats; a measured one proves nothing."""
    if is_compared(cell):
        yield from map(shown, cell["outputs"])


def shown(output: dict) -> str:
    """Return the text of an output."""
    data = output.get("data", {})
    return output.get("text") or output.get("evalue") or data.get("text/plain", "")


def in_text(
    source: str, cell: int, seen: dict[float, int], given: set[float]
) -> Iterator[Claim]:
    """Yield the claims of one text cell."""
    for paragraph in re.split(r"\n\s*\n", ASIDE.sub("", source)):
        right = set().union(*map(proved, formulas(paragraph)))
        for tex in formulas(paragraph):
            wrong = (said for said, holds in equations(tex) if not holds)
            yield from (Claim(said, tex.strip(), cell, "") for said in wrong)
        cited = bool(CITED.search(paragraph))
        for sentence in re.split(r"(?<=[。？；])|\n", HIDDEN.sub(" ", paragraph)):
            plain = NAMED.sub(lambda m: "＊" * len(m[0]), TEX.sub(untex, sentence))
            for match in NUMBER.finditer(plain):
                number, rest = value(match), plain[match.end() :]
                if (
                    abs(number) < SMALL
                    and number.is_integer()
                    and not MEASURES.match(rest)
                ):
                    continue
                ground = (
                    "formula" * (number in right)
                    or "given" * (number in given)
                    or rounded(match[0], seen)
                    or "cited" * cited
                )
                yield Claim(match[0], sentence.strip(), cell, ground)


def rounded(text: str, seen: dict[float, int]) -> str:
    """Return the cell that shows a number, or one that rounds to it; "" for none."""
    decimals = len(text.partition(".")[2])
    number = float(text.replace(",", ""))
    for other, cell in seen.items():
        close = math.isclose(other, number, rel_tol=5e-3)
        if other == number or (close and round(other, decimals) == number):
            return f"cell {cell}"
    return ""


def formulas(sentence: str) -> list[str]:
    """Return the formulas of a sentence."""
    return [a or b for a, b in TEX.findall(sentence)]


def untex(match: re.Match) -> str:
    """Return a formula with its thousands and powers written as prose has them."""
    tex = (match[1] or match[2]).replace("{,}", ",")
    tex = re.sub(r"10\^\{?(\d+)\}?", r"1e\1", re.sub(r"\\tag\{[^}]*\}", "", tex))
    return " " + re.sub(r"[\^_]\{?[^\s{}]+\}?|\\[a-zA-Z]+", " ", tex) + " "


def stated(source: str) -> set[float]:
    """Return the numbers that a text sets: in p=8, and in what it asks."""
    found = set()
    text = HIDDEN.sub(" ", source)
    for tex in formulas(text):
        for left, right in re.findall(r"([^=,，;\s]+)\s*=\s*([\d,.]+)", tex):
            if SET.match(left):
                found.add(float(right.replace(",", "")))
    for question in QUESTIONS.findall(ASIDE.sub("", source)):
        found |= {value(m) for m in NUMBER.finditer(TEX.sub(untex, question))}
    return found
