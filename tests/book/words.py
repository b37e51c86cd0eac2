"""One word for one concept: what a lesson's prose must satisfy, by the glossary.

Each rule yields one line per fault.  Code, formulas and the addresses of links may hold
any word.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from glossary_links import Term, as_word, terms

GLOSSARY = Path(__file__).parents[2] / "appendix/glossary.md"
NOT_PROSE = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", re.DOTALL
)
HEADING = re.compile(r"^#.*$", re.MULTILINE)
GOALS = re.compile(r"^## 学习目标\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
SENTENCE = re.compile(r"[^。？！\n]*[。？！\n]?")


def prose(markdown: str) -> str:
    return NOT_PROSE.sub(" ", markdown)


def pattern(words: set[str]) -> re.Pattern:
    """Find the longest of several words: 全规约, not 规约 in it."""
    return re.compile("|".join(map(as_word, sorted(words, key=len, reverse=True))))


def aliases_in(markdown: str, glossary: Path = GLOSSARY) -> Iterator[str]:
    """An alias is for the glossary and the search; prose uses the one right word."""
    right = {alias: t.canonical for t in terms(glossary) for alias in t.aliases}
    names = {name for t in terms(glossary) for name in (t.canonical, t.english)}
    for found in pattern({*right, *names}).finditer(prose(markdown)):
        if found.group() in right:
            yield f"{found.group()} is called {right[found.group()]} in this book"


def english_missing(cells: list[str], glossary: Path = GLOSSARY) -> Iterator[str]:
    """The first sentence of a chapter that uses a term gives its English in brackets.

    Headings do not count: a heading may name what its section then introduces, as the
    goals name what the chapter will.  Nor do terms of one character, which cannot be
    told from parts of other words.
    """
    taught = (GOALS.sub("", prose(cell)) for cell in cells)
    text = "\n".join(HEADING.sub("", cell) for cell in taught)
    wanted = {t.canonical: t for t in terms(glossary) if is_checked(t)}
    every = pattern({*wanted})
    for sentence in SENTENCE.findall(text):
        for word in dict.fromkeys(every.findall(sentence)):
            term = wanted.pop(word, None)
            if term and not introduced(term, sentence):
                yield f"{word} comes without （{term.english}）: {sentence.strip()}"


def is_checked(term: Term) -> bool:
    return len(term.canonical) > 1 and term.canonical != term.english


def introduced(term: Term, sentence: str) -> bool:
    """The English in brackets, or right behind the term as a table writes it."""
    bracketed = rf"（[^）]*{re.escape(term.english)}[^）]*）"
    beside = rf"{re.escape(term.canonical)} {re.escape(term.english)}"
    return bool(re.search(f"{bracketed}|{beside}", sentence, re.IGNORECASE))
