"""References of a lesson become links, and a wrong one is a warning."""

import ast
import json
import re
from collections.abc import Iterator
from io import StringIO

import pytest
from bs4 import BeautifulSoup
from citations import fits, label, surnames
from glossary_links import Term, terms
from numbered import (
    CAPTION,
    LESSON,
    NAME,
    PART,
    PART_CAPTION,
    PART_NAME,
    SVG,
    lesson,
    part,
    save,
)
from pybtex.database import parse_file
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils
from words import GLOSSARY, aliases_in, english_missing

AUTHOR = re.compile(r"\b[A-Z]\. (?:van de )?(?!High|Parallel)([A-Z][a-z]+)")
APPENDIX = GLOSSARY.parent
ROOT = APPENDIX.parent
EXTENSIONS = [
    "myst_nb",
    "sphinxcontrib.bibtex",
    "citations",
    "cross_references",
    "glossary_links",
    "parts",
]
INDEX = """\
# Book

```{toctree}
appendix/glossary
appendix/references
04_AICluster/97.numbered
```
"""
CITED = re.compile(  # all works would take half of the time
    r"^@\w+\{(?:chan2007|rabenseifner2004),.*?^\}$", re.DOTALL | re.MULTILINE
)
SETTINGS = {
    "extensions": EXTENSIONS,
    "nb_execution_mode": "off",
    "myst_enable_extensions": ["dollarmath"],
    "bibtex_bibfiles": ["appendix/references.bib"],
    "bibtex_default_style": "author_year",
    "bibtex_cite_id": "{key}",
    "nitpicky": True,
    "html_theme": "basic",
}


@pytest.fixture
def build(tmp_path):
    """build(cells) renders a chapter, a part of it; it returns a page and the warnings.

    cells: of the chapter, whose page it returns.  of_part: those of the part, whose
    page it returns instead where they are given.
    """

    def render(
        cells: list | None = None, of_part: list | None = None
    ) -> tuple[BeautifulSoup, str]:
        source = tmp_path / "source"
        (source / "appendix").mkdir(parents=True)
        for name in ("references.md", "glossary.md"):
            (source / "appendix" / name).write_bytes((APPENDIX / name).read_bytes())
        works = "\n".join(
            CITED.findall((APPENDIX / "references.bib").read_text("utf-8"))
        )
        (source / "appendix/references.bib").write_text(works)
        (source / "index.md").write_text(INDEX)
        save(source, cells or lesson())
        save(source, of_part or part(), PART_NAME)
        (source / NAME).with_name("line.svg").write_text(SVG)
        said = StringIO()
        folders = (source, None, tmp_path / "out", tmp_path / "trees", "html")
        with patch_docutils(source), docutils_namespace():
            Sphinx(*folders, confoverrides=SETTINGS, status=None, warning=said).build()
        name = PART_NAME if of_part else NAME
        page = (tmp_path / f"out/{name}.html").read_text()
        return BeautifulSoup(page, "html.parser"), said.getvalue()

    return render


def test_references_of_every_kind_lead_to_their_targets(build):
    page, warnings = build(lesson())
    assert warnings == ""
    shown = page.select("div.body a.reference.internal")
    links = [(a.get_text(), a["href"]) for a in shown]
    sections = {h.get_text()[0]: h.parent["id"] for h in page.select("h2")}
    first, second = f"#{sections['1']}", f"#{sections['2']}"
    inside = [link for link in links if "appendix" not in link[1]]
    for text, target in inside:
        assert target[0] != "#" or page.find(id=target[1:]), text
    own_order = [
        ("图 97.1", "#figure-97-1"),
        ("97.2", "#figure-97-2"),
        ("式 97.1", "#equation-97-1"),
        ("习题 97.1", "#exercise-97-1"),
        ("97.2", "#exercise-97-2"),
        ("第 2 节", second),
        ("1", first),
        ("2", second),
        ("第 97 章第 2 节", second),
        ("第 97.1 篇", "97.numbered/01.part.html#id1"),
        ("第 97.1 篇第 1 节", "97.numbered/01.part.html#id2"),
        ("图 97.1.1", "97.numbered/01.part.html#figure-97-1-1"),
        ("图 97.2", "#figure-97-2"),
        ("式 97.1", "#equation-97-1"),
    ]
    assert [link for link in inside if link in own_order][: len(own_order)] == own_order
    assert not any(re.search(r"99|97\.9|97\.2 篇", text) for text, _ in inside)


def test_references_between_a_part_and_its_chapter_lead_both_ways(build):
    page, warnings = build(of_part=part())
    assert warnings == ""
    links = [
        (a.get_text(), a["href"]) for a in page.select("div.body a.reference.internal")
    ]
    first, second = (f"#{heading.parent['id']}" for heading in page.select("h2"))
    chapter = "../97.numbered.html"
    assert [link for link in links if not link[1].startswith("../../")] == [
        ("图 97.1.1", "#figure-97-1-1"),
        ("图 97.2", f"{chapter}#figure-97-2"),
        ("式 97.1", f"{chapter}#equation-97-1"),
        ("习题 97.1", f"{chapter}#exercise-97-1"),
        ("第 97 章", f"{chapter}#id1"),
        ("式 97.1.1", "#equation-97-1-1"),
        ("1", first),
        ("2", second),
        ("习题 97.1.1", "#exercise-97-1-1"),
        ("97.1.2", "#exercise-97-1-2"),
        ("第 97 章第 1 节", f"{chapter}#id2"),
        ("第 97.1 篇第 2 节", second),
        ("第 97 章", chapter),
        ("式 97.1.1", "#equation-97-1-1"),
    ]
    assert page.select_one("figure#figure-97-1-1").figcaption
    assert page.select_one("a.citation")["href"].startswith("../../appendix/references")
    assert page.select_one("a.term").get_text() == "散发"


def test_a_picture_and_its_caption_become_one_figure(build):
    page, _ = build(lesson())
    for n in (1, 2):
        figure = page.select_one(f"figure#figure-97-{n}")
        assert figure.img and f"图 97.{n} 一条线" in figure.figcaption.get_text()
        assert figure.find_parent(class_="cell_output")
    assert page.get_text().count("图 97.1 一条线") == 1


def test_a_picture_in_a_text_cell_takes_a_caption_too(build):
    third = f"\n\n![一条线](line.svg)\n\n{CAPTION.format(3)}"
    cells = lesson()
    cells[-1].source += third
    page, warnings = build(cells)
    assert warnings == ""
    assert page.select_one("figure#figure-97-3 > img")["alt"] == "一条线"


def test_a_citation_leads_to_its_entry_and_shows_it(build):
    page, _ = build(lesson())
    found = {a.get_text(): a for a in page.select("a.citation")}
    assert found["Chan 等，2007"]["href"] == "../appendix/references.html#chan2007"
    assert "Collective communication" in found["Chan 等，2007"]["title"]
    assert "Rabenseifner（2004）" in found


def test_the_first_mention_of_a_term_leads_to_the_glossary(build):
    page, _ = build(lesson())
    found = [a.get_text() for a in page.select("a.term")]
    assert found == ["散发", "广播", "全归约", "归约散发"]
    definitions = {term.canonical: term.definition for term in terms(GLOSSARY)}
    title = page.select_one("a.term")["title"]
    assert title.startswith("scatter：")
    assert title.removeprefix("scatter：") in definitions["散发"]


@pytest.mark.parametrize(
    ("cells", "warning"),
    [
        (lesson(LESSON + "\n图 97.3"), "figure-97-3"),
        (lesson(LESSON + "\n式 97.2"), "equation-97-2"),
        (lesson(LESSON + "\n习题 97.3"), "exercise-97-3"),
        (lesson(LESSON + "\n第 3 节"), "section-97-3"),
        (lesson(LESSON + "\n第 97 章第 3 节"), "section-97-3"),
        (lesson(LESSON, "没有说明", CAPTION.format(1)), "picture without caption"),
        (lesson(LESSON + "\n\n" + CAPTION.format(3)), "caption without a picture"),
        (lesson(LESSON, CAPTION.format(1), CAPTION.format(3)), "should be 图 97.2"),
        (lesson(LESSON, CAPTION.format(1), "**图 96.2** 线"), "should be 图 97.2"),
        (lesson(LESSON + "\n$$ m \\tag{97.3} $$"), "should be 式 97.2"),
        (lesson(LESSON + "\n\n**习题 97.2** 手算"), "should be 习题 97.1"),
        (lesson(LESSON.replace("#chan2007", "#chan2008")), "chan2008 does not exist"),
        (lesson(LESSON.replace("等，2007", "等，2006")), "is Chan 等，2007"),
        (lesson(LESSON + "\n图 97.1.2"), "figure-97-1-2"),
        (lesson(LESSON + "\n第 97.1 篇第 3 节"), "section-97-1-3"),
    ],
)
def test_a_wrong_reference_is_a_warning(build, cells, warning):
    assert warning in build(cells)[1]


@pytest.mark.parametrize(
    ("cells", "warning"),
    [
        (part(PART + "\n图 97.1.2"), "figure-97-1-2"),
        (part(PART + "\n第 3 节"), "section-97-1-3"),
        (part(PART.replace("tag{97.1.1}", "tag{97.1.2}")), "should be 式 97.1.1"),
        (part(PART, PART_CAPTION.replace("97.1", "97.2")), "should be 图 97.1.1"),
        (part(PART.replace("# 97.1 ", "# 97.2 ")), "file's place 97.1"),
    ],
)
def test_a_wrong_reference_of_a_part_is_a_warning(build, cells, warning):
    assert warning in build(of_part=cells)[1]


def test_parts_stand_below_their_chapter(build):
    page, _ = build()
    (link,) = page.select("a[rel=next], link[rel=next]")
    assert link["href"] == "97.numbered/01.part.html"


def test_pictures_of_a_lesson_without_captions_need_none(build):
    plain = LESSON.replace("见图 97.1 和 97.2，", "").replace("图 97.2", "图")
    alone = part(PART.replace("图 97.2、", ""))
    assert build(lesson(plain, "第一幅。", "第二幅。"), alone)[1] == ""


# ---------------------------------------------------------------- the appendix


def test_each_name_of_the_glossary_means_one_thing():
    known = terms(GLOSSARY)
    names = [name for term in known for name in {*term[:2], *term.aliases}]
    assert len(known) > 30
    assert sorted(names) == sorted(set(names))
    assert all(term.definition.endswith("。") for term in known)


def test_the_glossary_is_read_as_it_is_written(tmp_path):
    page = tmp_path / "glossary.md"
    entry = (
        "全归约 : Q\nall-reduce\n全规约\n    人人\n    有和。别的。\n\nrank\n    编号。"
    )
    page.write_text(f"# 术语表\n\n```{{glossary}}\n{entry}\n```\n")
    assert terms(page) == [
        Term("全归约", "all-reduce", ("全规约",), "人人有和。别的。"),
        Term("rank", "rank", (), "编号。"),
    ]


def test_digits_of_a_name_are_no_year():
    entry = parse_file(str(APPENDIX / "references.bib"), "bibtex").entries["shh2024"]
    assert fits("shh2000，2024", entry)
    assert not fits("shh2000，2000", entry)
    assert not fits("shh2000", entry)


def test_every_work_has_author_title_and_year():
    """A living document has an address in place of a year."""
    entries = parse_file(str(APPENDIX / "references.bib"), "bibtex").entries
    assert len({label(entry) for entry in entries.values()}) == len(entries)
    for key, entry in entries.items():
        assert surnames(entry) and entry.fields["title"], key
        living = entry.type == "manual" and "url" in entry.fields
        assert "year" in entry.fields or living, key
        if "year" in entry.fields:
            assert key.endswith(entry.fields["year"])


def test_every_author_that_a_module_names_is_in_the_references():
    """A docstring ends with its sources: "P. Patarasuk and X. Yuan, ..."."""
    entries = parse_file(str(APPENDIX / "references.bib"), "bibtex").entries.values()
    listed = " ".join(name for entry in entries for name in surnames(entry))
    named = set()
    for module in (ROOT / "dlsys_code").rglob("*.py"):
        text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
        _, _, sources = text.partition("\nSource")
        named |= set(AUTHOR.findall(" ".join(sources.split())))
    assert len(named) > 20
    assert [name for name in named if name.replace("ae", "ä") not in listed] == []


# ---------------------------------------------------------------- the words


def test_an_alias_in_prose_names_the_right_word():
    text = "全规约比规约贵，延迟是时延。"
    assert list(aliases_in(text)) == [
        "全规约 is called 全归约 in this book",
        "规约 is called 归约 in this book",
        "延迟 is called 时延 in this book",
    ]


@pytest.mark.parametrize(
    "text", ["全归约", "`延迟`", "```\n延迟\n```", "[字](延迟.md)"]
)
def test_the_right_word_and_code_are_no_alias(text):
    assert list(aliases_in(text)) == []


def test_a_term_brings_its_english_where_it_first_stands():
    good = [
        "## 广播与散发\n\n广播（broadcast）有根。散发（也写 scatter）也有。",
        "广播",
    ]
    assert list(english_missing(good)) == []
    table = ["| 广播 broadcast | 人人有 |"]
    assert list(english_missing(table)) == []


def test_a_term_without_its_english_is_named():
    (fault,) = english_missing(["先广播。再广播（broadcast）。"])
    assert fault == "广播 comes without （broadcast）: 先广播。"


def sources(table: object) -> Iterator[tuple[str, object, object]]:
    """The key, the place in the work and the address of every source in a table."""
    if isinstance(table, dict):
        for name, value in table.items():
            if name.endswith("key") and value is not None:
                prefix = name.removesuffix("key")
                yield value, table.get(f"{prefix}where"), table.get(f"{prefix}url")
            else:
                yield from sources(value)
    elif isinstance(table, list):
        for row in table:
            yield from sources(row)


TABLES = sorted((ROOT / "dlsys_code/data").glob("*.json"))
OUR_OWN = "hosts_run"  # measured here


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_row_of_a_table_names_a_work_of_the_references(path):
    entries = parse_file(str(APPENDIX / "references.bib"), "bibtex").entries
    found = list(sources(json.loads(path.read_text(encoding="utf-8"))))
    assert bool(found) is (path.stem != OUR_OWN)
    for key, where, url in found:
        assert key in entries
        assert where, key
        assert url is None or url.startswith("http"), key
