"""The ledger of claims as a page: every number of the prose, and who vouches for it.

The directive `claims` writes one table a notebook, from the committed ones.
"""

from collections import Counter
from itertools import groupby

import nbformat
from claims import Claim, claims
from docutils import nodes
from running_text import lesson_at
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

PAGE = "appendix/claims"
GROUNDS = {"formula": "式子当场验算", "given": "题设", "cited": "引文"}


class Ledger(SphinxDirective):
    """One section a notebook: how many numbers, and each with its sentence."""

    def run(self) -> list[nodes.Node]:
        return [self.lesson(p) for p in sorted(self.env.found_docs) if lesson_at(p)]

    def lesson(self, page: str) -> nodes.section:
        """Return the section of one notebook, on which the page then depends."""
        path, number = self.env.doc2path(page), lesson_at(page)
        self.env.note_dependency(str(path))
        cells = nbformat.read(path, as_version=4).cells
        found = claims(cells)
        title = cells[0]["source"].partition("\n")[0].lstrip("# ")
        section = nodes.section(ids=[f"claims-{number.replace('.', '-')}"])
        section += nodes.title(text=title)
        kind = "篇" if "." in number else "章"
        lines = [f"[读这一{kind}](/{page}.ipynb)。{count(found, cells)}。", ""]
        lines += ["| 数 | 句子 | 出处 |", "|---|---|---|"]
        lines += [row([*same], cells) for _, same in groupby(found, key=together)]
        section += self.parse_text_to_nodes("\n".join(lines))
        return section


def count(found: list[Claim], cells: list[dict]) -> str:
    """Return how many numbers rest on which kind of ground."""
    kinds = Counter(ground(claim, cells).split(" ")[0] for claim in found)
    parts = "、".join(f"{kind} {number} 个" for kind, number in kinds.most_common())
    return f"共 {len(found)} 个数：{parts}"


def together(claim: Claim) -> tuple[int, str, str]:
    """Numbers of one sentence that rest on the same ground share a row."""
    return claim.cell, claim.sentence, claim.ground


def row(same: list[Claim], cells: list[dict]) -> str:
    """Return a row of the table; a bar or a line break would end a cell of it."""
    numbers = "、".join(dict.fromkeys(claim.text for claim in same))
    sentence = same[0].sentence.lstrip("|-> ").replace("|", " ")
    return f"| {numbers} | {sentence} | {ground(same[0], cells)} |"


def ground(claim: Claim, cells: list[dict]) -> str:
    """Return the ground in the words of a reader: code cells are counted as In [n]."""
    kind, _, cell = claim.ground.partition(" ")
    if not cell:
        return GROUNDS.get(kind, "没有出处")
    before = cells[: int(cell) + 1]
    return f"代码或输出 [{sum(c['cell_type'] == 'code' for c in before)}]"


def count_anew(
    app: Sphinx,
    env: BuildEnvironment,
    added: set[str],
    _changed: set,
    removed: set[str],
) -> list[str]:
    """Read the ledger anew when there is another notebook, or one less."""
    return (
        [PAGE] if PAGE in env.all_docs and any(map(lesson_at, added | removed)) else []
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-get-outdated", count_anew)
    app.add_directive("claims", Ledger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
