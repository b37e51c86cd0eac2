"""The slides of every lesson are whole, in step with their source, and open anywhere.

Decks that are stored are tested without the tools that made them.  Where pandoc and
LibreOffice are there, the deck below is made anew and tested in the same way.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import pypdfium2
import pytest
from alt_text import words_in
from pptx import Presentation
from pypdfium2 import raw
from slides import deck as decks
from slides.deck import Deck, DeckError, read_deck
from slides.needs import missing

ROOT = Path(__file__).parents[2]
SOURCES = sorted(ROOT.glob("04_AICluster/slides/*.md"))
MARGIN = 18  # between any letter and the edge of a page [pt]
TRACES = re.compile(rb"(?<![\w<])/(?:tmp|home|Users|root|var)/|[A-Z]:\\Users")
MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}oMath"
STAND_IN = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
REMEMBER = "run `make slides` and commit what it made"

SOURCE = r"""---
title: 试讲
subtitle: 分布式集群 · 第 98 章
notebook: ../98.trial.ipynb
---

::: notes
开场白。
:::

## 文字、代码与公式

- 一项有 $2\frac{p-1}{p}n$ 和 `code`
- 一项有**重点**

$$T=\lceil\log_2 p\rceil\,(\alpha+\beta n)\qquad T_{\text{环}}=2(p-1)\alpha$$

```python
## 不是标题
x = 1
```

::: notes
第一段。

第二段。
:::

## 表在先，话在后

| 名字 | 值 |
|---|---|
| 环 | $2(p-1)$ |

表下的话。

::: notes
表的讲稿。
:::

## 两列

:::: columns
::: column
- 左边
:::
::: column
![图 98.1 一个圆](figure:98.1)
:::
::::

::: notes
图的讲稿。
:::

## 列里的表

:::: columns
::: column
| 名字 | 值 |
|---|---|
| 树 | 3 |

列里表下的话。
:::
::: column
![图 98.1.1 一个方块](figure:98.1.1)

图下的话。
:::
::::

::: notes
列的讲稿。
:::
"""
PART = """---
title: 98.1 再讲
subtitle: 再讲讲什么？
notebook: ../../98.trial/01.more.ipynb
---

::: notes
再开场。
:::

## 一个方块

![图 98.1.1 一个方块](figure:98.1.1)

::: notes
方块的讲稿。
:::
"""
CIRCLE = """<svg xmlns="http://www.w3.org/2000/svg" width="200pt" height="100pt"
viewBox="0 0 200 100"><title>一个圆</title><circle cx="50" cy="50" r="40"/></svg>"""
SQUARE = CIRCLE.replace("一个圆", "一个方块")


def write_notebook(path: Path, figure: str) -> None:
    """Write a notebook with one figure."""
    notebook = {"cells": [{"outputs": [{"data": {"image/svg+xml": figure}}]}]}
    path.write_text(json.dumps(notebook, ensure_ascii=False))


def write_source(folder: Path, source: str = SOURCE, part: str = PART) -> Path:
    """Write a deck with a part, and a notebook for each; return the deck's path."""
    (folder / "98.trial").mkdir(exist_ok=True)
    write_notebook(folder / "98.trial.ipynb", CIRCLE)
    write_notebook(folder / "98.trial/01.more.ipynb", SQUARE)
    path = folder / "slides/98.trial.md"
    path.with_suffix("").mkdir(exist_ok=True, parents=True)
    path.write_text(source, encoding="utf-8")
    (path.with_suffix("") / "01.more.md").write_text(part, encoding="utf-8")
    return path


@dataclass(frozen=True)
class Made:
    """A deck and the two files that were made of it."""

    source: Deck
    pptx: bytes
    pdf: bytes

    def slides(self) -> list:
        return list(Presentation(io.BytesIO(self.pptx)).slides)


def make_trial(folder: Path) -> Made:
    if lacking := missing():
        pytest.skip(f"slides cannot be made here: {'; '.join(lacking)}")
    from slides.make import make

    source = read_deck(write_source(folder))
    return Made(source, *make(source))


@pytest.fixture(scope="module")
def trial(tmp_path_factory) -> Made:
    """The deck above, made just now."""
    return make_trial(tmp_path_factory.mktemp("trial"))


@pytest.fixture(params=[*SOURCES, None], ids=lambda path: path.stem if path else "new")
def made(request) -> Made:
    """Every stored deck, and the one that is made here."""
    if request.param is None:
        return request.getfixturevalue("trial")
    source = read_deck(request.param)
    files = [source.output(suffix) for suffix in (".pptx", ".pdf")]
    assert [file.name for file in files if not file.exists()] == [], REMEMBER
    return Made(source, *(file.read_bytes() for file in files))


def test_a_deck_is_in_step_with_source_figures_and_tools(made):
    fingerprint = made.source.fingerprint()
    stored = Presentation(io.BytesIO(made.pptx)).core_properties.keywords
    assert stored == fingerprint, REMEMBER
    document = pypdfium2.PdfDocument(made.pdf)
    assert document.get_metadata_dict()["Keywords"] == fingerprint, REMEMBER


def letters(text: str) -> str:
    """The letters of a text: no markup, no space."""
    return re.sub(r"[\s*`]", "", text)


def test_every_slide_has_the_title_and_the_notes_of_its_source(made):
    shown = [
        (letters(s.shapes.title.text), letters(s.notes_slide.notes_text_frame.text))
        for s in made.slides()
    ]
    assert shown == [(letters(s.title), letters(s.notes)) for s in made.source.slides]
    assert len(pypdfium2.PdfDocument(made.pdf)) == len(shown)


def test_nothing_reaches_over_the_edge_of_a_slide(made):
    deck = Presentation(io.BytesIO(made.pptx))
    outside = [
        (number, shape.name)
        for number, slide in enumerate(deck.slides, start=1)
        for shape in slide.shapes
        if min(shape.left, shape.top) < 0
        or shape.left + shape.width > deck.slide_width
        or shape.top + shape.height > deck.slide_height
    ]
    assert outside == []


def test_pictures_on_slides_have_words(made):
    pictures = [s for slide in made.slides() for s in slide.shapes if "图" in s.name]
    text = "".join(source.read_text() for source in made.source.sources())
    assert len(pictures) == len(re.findall(r"\(figure:", text))
    words = [p._element.nvPicPr.cNvPr.get("descr") for p in pictures]
    assert set(words) == set(map(words_in, made.source.figures().values()))


def test_every_letter_of_the_pdf_lies_within_the_margin(made):
    outside = []
    for number, page in enumerate(pypdfium2.PdfDocument(made.pdf), start=1):
        text, (width, height) = page.get_textpage(), page.get_size()
        for index in range(text.count_chars()):
            left, bottom, right, top = text.get_charbox(index)
            if right > left and (
                min(left, bottom) < MARGIN
                or right > width - MARGIN
                or top > height - MARGIN
            ):
                outside.append((number, text.get_text_range(index, 1)))
    assert outside == []


def text_objects(pdf: bytes) -> Iterator[object]:
    for page in pypdfium2.PdfDocument(pdf):
        yield from page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT])


def test_the_pdf_carries_its_fonts(made):
    embedded = [
        raw.FPDFFont_GetIsEmbedded(raw.FPDFTextObj_GetFont(text.raw))
        for text in text_objects(made.pdf)
    ]
    assert embedded and set(embedded) == {1}


def test_formulas_are_native_and_each_has_a_stand_in(made):
    package = zipfile.ZipFile(io.BytesIO(made.pptx))
    for number, slide in enumerate(made.source.slides, start=1):
        root = ElementTree.fromstring(package.read(f"ppt/slides/slide{number}.xml"))
        assert len([*root.iter(MATH)]) == len(slide.formulas()), slide.title
        stand_ins = list(root.iter(STAND_IN))
        assert bool(stand_ins) == bool(slide.formulas())
        assert not any(list(stand_in.iter(MATH)) for stand_in in stand_ins)


def test_nothing_tells_of_the_machine_that_made_it(made):
    package = zipfile.ZipFile(io.BytesIO(made.pptx))
    files = {name: package.read(name) for name in package.namelist()}
    files = {n: c for n, c in files.items() if n.endswith((".xml", ".rels"))}
    found = {n: TRACES.search(c) for n, c in {**files, "pdf": made.pdf}.items()}
    assert {name: match for name, match in found.items() if match} == {}
    about = Presentation(io.BytesIO(made.pptx)).core_properties
    assert (about.author, about.last_modified_by) == ("", "")
    assert about.created == about.modified and about.created.year == 2000


def test_a_second_run_gives_the_same_bytes(trial, tmp_path):
    again = make_trial(tmp_path)
    assert again.pptx == trial.pptx
    assert again.pdf == trial.pdf


def test_what_follows_a_table_stays_on_its_slide(trial):
    texts = [s.text_frame.text for s in trial.slides()[2].shapes if s.has_text_frame]
    assert "表下的话。" in texts


def texts_at(made: Made, number: int) -> dict[str, int]:
    """Text -> left edge of the shapes of a slide, counted from 1."""
    shapes = made.slides()[number - 1].shapes
    return {s.text_frame.text: s.left for s in shapes if s.has_text_frame}


def test_what_follows_a_table_or_picture_in_a_column_stays_in_it(trial):
    found = texts_at(trial, 5)
    assert found["列里表下的话。"] < found["图下的话。"]
    assert not any("\N{WORD JOINER}" in text for text in found)


def test_a_part_begins_with_a_title_slide(trial):
    first, opening = (trial.slides()[number] for number in (0, 5))
    assert opening.slide_layout.name == first.slide_layout.name == "Title Slide"
    assert [*texts_at(trial, 6)] == ["98.1 再讲", "再讲讲什么？"]


def test_a_slide_that_loses_a_word_is_refused(trial):
    from slides.finish import check_whole

    slide, source = trial.slides()[2], trial.source.slides[2]
    check_whole(slide, source)
    with pytest.raises(DeckError, match="'表在先，话在后' lost its words '丢了'"):
        check_whole(slide, replace(source, body=f"{source.body} 丢了"))


def test_the_pdf_shows_the_letters_of_formulas_and_vectors_of_figures(trial):
    pages = list(pypdfium2.PdfDocument(trial.pdf))
    text = re.sub(r"\s", "", pages[1].get_textpage().get_text_range())
    assert "2(p−1)/p·n" in text
    kinds = {item.type for item in pages[3].get_objects()}
    assert raw.FPDF_PAGEOBJ_PATH in kinds and raw.FPDF_PAGEOBJ_IMAGE not in kinds


def test_hatching_made_of_lines_has_no_fill_and_looks_the_same():
    """LibreOffice fills what crossed lines enclose: nothing is there to fill."""
    pytest.importorskip("resvg_py")
    from slides.vectors import PATTERN, open_hatching, png_of

    from dlsys_code.book.charts import LINES, Panel, stacked

    panel = Panel("time [ms]", {"a step": dict.fromkeys(LINES, 1.0)})
    before = stacked([panel], alt="一根横条，五段一样长，各有各的线型").svg
    after = open_hatching(before)
    hatches = PATTERN.findall(after)
    assert ["fill: none" in hatch for hatch in hatches] == [True, False, True, True]
    assert png_of(after) == png_of(before)


def test_a_slide_that_holds_too_much_is_refused(tmp_path):
    if lacking := missing():
        pytest.skip(f"slides cannot be made here: {'; '.join(lacking)}")
    from slides.make import make

    full = SOURCE.replace("表下的话。", "\n\n".join(["很长的话。" * 20] * 9))
    with pytest.raises(DeckError, match="表在先.* inches more than fits"):
        make(read_deck(write_source(tmp_path, full)))


def test_a_source_is_read_as_slides(tmp_path):
    deck = read_deck(write_source(tmp_path))
    assert [len(slide.formulas()) for slide in deck.slides] == [0, 2, 1, 0, 0, 0, 0]
    assert deck.slides[0].body == "分布式集群 · 第 98 章"
    assert deck.slides[1].notes == "第一段。\n\n第二段。"
    assert "::: notes" not in deck.slides[1].body and "## 不是" in deck.slides[1].body
    assert deck.slides[2].plain_text() == (
        "表在先，话在后：名字 值 环 2(p-1) 表下的话。"
    )
    assert deck.figures() == {"98.1": CIRCLE, "98.1.1": SQUARE}


def test_a_deck_goes_on_with_the_parts_in_its_folder(tmp_path):
    path = write_source(tmp_path)
    deck, part = read_deck(path), path.with_suffix("") / "01.more.md"
    assert deck.sources() == [path, part]
    numbers = [(n, slide.title) for n, slide in deck.numbered(source=part)]
    assert numbers == [(6, "98.1 再讲"), (7, "一个方块")]
    assert [slide.opens for slide in deck.slides] == [True, *[False] * 4, True, False]
    assert deck.slides[6].notebook == tmp_path / "98.trial/01.more.ipynb"
    assert decks.deck_of(part) == decks.deck_of(path) == path
    first = deck.fingerprint()
    part.write_text(PART.replace("再开场", "开场"), encoding="utf-8")
    assert read_deck(path).fingerprint() != first


@pytest.mark.parametrize(
    "old, new, told",
    [
        ("figure:98.1)", "figure:98.2)", "98.trial.ipynb has figures 98.1 to 98.1"),
        (
            "figure:98.1)",
            "figure:98.1.2)",
            "01.more.ipynb has figures 98.1.1 to 98.1.1",
        ),
        ("figure:98.1)", "figure:97.1)", "shows figure 97.1"),
        ("::: notes\n图的讲稿。\n:::\n", "", "'两列' needs one ::: notes"),
        ("图的讲稿。\n", "", "'两列' needs one ::: notes"),
        ("::: notes\n开场白。\n:::\n", "", "'试讲' needs one ::: notes"),
        ("## 两列", "# 两列", "begins with ##, not # 两列"),
        ("title: 试讲\n", "", "title is missing"),
        ("98.trial.ipynb", "99.none.ipynb", "no notebook ../99.none.ipynb"),
    ],
)
def test_what_is_wrong_with_a_source_is_one_clear_error(tmp_path, old, new, told):
    assert old in SOURCE
    path = write_source(tmp_path, SOURCE.replace(old, new))
    with pytest.raises(DeckError, match=re.escape(told)):
        read_deck(path).figures()


def test_a_change_of_source_or_figure_changes_the_fingerprint(tmp_path):
    path = write_source(tmp_path)
    first = read_deck(path).fingerprint()
    path.write_text(SOURCE.replace("左边", "右边"), encoding="utf-8")
    assert read_deck(path).fingerprint() != first
    path.write_text(SOURCE, encoding="utf-8")
    assert read_deck(path).fingerprint() == first
    notebook = tmp_path / "98.trial.ipynb"
    notebook.write_text(notebook.read_text().replace("一个圆", "圆"))
    assert read_deck(path).fingerprint() != first


def test_a_measured_figure_counts_by_its_words(tmp_path):
    path = write_source(tmp_path)
    notebook = tmp_path / "98.trial.ipynb"
    stored = json.loads(notebook.read_text())
    for cell in stored["cells"]:
        cell["metadata"] = {"tags": ["nbval-ignore-output"]}
    notebook.write_text(json.dumps(stored))
    first = read_deck(path).fingerprint()
    notebook.write_text(json.dumps(stored).replace("</svg>", "<g></g></svg>"))
    assert read_deck(path).fingerprint() == first
    assert any("<g></g>" in svg for svg in read_deck(path).figures().values())


def test_all_tools_are_in_the_fingerprint():
    folder = Path(decks.__file__).parent
    pages_only = {"__init__.py", "in_page.py", "pictures.py"}
    assert {*decks.TOOLS} == {path.name for path in folder.glob("*.py")} - pages_only


def test_missing_tools_are_named_with_the_way_to_install_them(monkeypatch):
    monkeypatch.setattr("slides.needs.find_spec", lambda name: None)
    monkeypatch.setattr("slides.needs.shutil.which", lambda name: None)
    lines = missing()
    assert len(lines) == 6
    assert all(line.startswith("缺") and "运行" in line for line in lines)


def test_the_colours_are_those_of_the_figures():
    from slides import look

    from dlsys_code.book import drawing

    for name in ("BLUE", "ORANGE", "INK", "PAPER"):
        assert f"#{getattr(look, name)}".lower() == getattr(drawing, name).lower()


def test_pages_are_drawn_again_only_for_another_pdf(tmp_path):
    from slides.pictures import draw_pages

    pdf, folder = tmp_path / "a.pdf", tmp_path / "site"

    def draw(pages: int) -> list[str]:
        with pypdfium2.PdfDocument.new() as document:
            for _ in range(pages):
                document.new_page(960, 540)
            document.save(pdf)
        draw_pages(pdf, folder)
        return sorted(file.name for file in folder.glob("*.png"))

    assert draw(2) == ["01.png", "02.png"]
    (folder / "01.png").write_bytes(b"kept")
    draw_pages(pdf, folder)
    assert (folder / "01.png").read_bytes() == b"kept"
    assert draw(1) == ["01.png"]
    assert (folder / "01.png").read_bytes() != b"kept"
