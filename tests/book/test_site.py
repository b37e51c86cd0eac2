"""The built book as a reader meets it: with the network off, wide and narrow."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numbered
import pytest
import specimen
import whole_part
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Page

SPECIMEN = f"{specimen.NAME}.html"
VIDEOS = {
    "01 基本介绍": "BV1ge411L7mi",
    "02 AI集群服务器架构": "BV1fg41187rc",
    "03 AI集群软硬件通信": "BV14P4y1S7u4",
    "04 集合通信原语": "BV1te4y1e7vz",
    "05 AI框架分布式功能": "BV1n8411s7f3",
}
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

FAULTS_OF_CONTENT = r"""async () => {
  await globalThis.MathJax?.startup.promise;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = document.body.cloneNode(true);
  text.querySelectorAll("pre, code, script, mjx-container").forEach((e) => e.remove());
  return [
    ...all(".math").filter((e) => !e.querySelector("mjx-container"))
      .map((e) => `formula not rendered: ${e.textContent}`),
    ...all("[data-mml-node=merror]").map((e) => `error in formula: ${e.textContent}`),
    ...(text.textContent.match(/\\[(\[].{0,40}|\$\$.{0,40}/g) ?? [])
      .map((tex) => `raw TeX: ${tex}`),
    ...all("img").filter((e) => !e.alt.trim() || /\.\w{3,4}$/.test(e.alt))
      .map((e) => `picture without words: ${e.src}`),
    ...all("img").filter((e) => e.loading !== "lazy" && !e.naturalWidth)
      .map((e) => `no picture: ${e.src}`),
  ];
}"""

FAULTS_OF_WIDTH = """() => {
  const excess = document.documentElement.scrollWidth - innerWidth;
  return excess > 0 ? [`${excess} px too wide at ${innerWidth} px`] : [];
}"""

SCROLLS = """block => [block, ...block.querySelectorAll("*")].some((e) =>
  e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === "auto")"""


def watch(page: Page) -> list[str]:
    """Return a list that grows by every fault that the browser itself sees."""
    faults: list[str] = []

    def on_request(request) -> None:
        if urlsplit(request.url).hostname not in (None, "127.0.0.1"):
            faults.append(f"asks another host: {request.url}")

    def on_response(response) -> None:
        if response.status >= 400:
            faults.append(f"{response.status}: {response.url}")

    def on_console(message) -> None:
        if message.type == "error":
            faults.append(f"console: {message.text}")

    page.on("request", on_request)
    page.on("response", on_response)
    page.on("console", on_console)
    page.on("pageerror", lambda error: faults.append(f"script: {error}"))
    return faults


@pytest.mark.parametrize("share", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_every_page_is_whole_at_both_widths_and_asks_nobody_else(tabs, pages, share):
    """All chapters; of the pages about code, which are alike, one of `share`."""
    page = tabs.new_page()
    seen = watch(page)
    faults = {}
    code = [path for path in pages if path.startswith(("api/", "_"))]
    for path in sorted({*pages} - {*code}) + code[::share]:
        page.set_viewport_size(WIDE)
        page.goto(path)
        found = page.evaluate(FAULTS_OF_CONTENT) + page.evaluate(FAULTS_OF_WIDTH)
        page.set_viewport_size(NARROW)
        found += page.evaluate(FAULTS_OF_WIDTH) + seen
        seen.clear()
        if found:
            faults[path] = found
    assert faults == {}


def test_formulas_tables_and_figures_of_the_specimen_are_shown(tabs):
    page = tabs.new_page()
    page.goto(SPECIMEN)
    page.evaluate("MathJax.startup.promise")
    assert page.locator("mjx-container").count() == specimen.FORMULAS
    assert page.locator(".cell_output img").get_attribute("alt") == specimen.ALT_TEXT
    page.set_viewport_size(NARROW)
    for wide in ("div.math", ".pst-scrollable-table-container", ".cell_output pre"):
        assert page.locator(wide).first.evaluate(SCROLLS), wide


def test_a_failed_cell_shows_its_message_and_no_frames(tabs):
    page = tabs.new_page()
    page.goto(SPECIMEN)
    shown = page.locator(".output.traceback").inner_text()
    assert shown.strip() == "ValueError: 6 heads cannot be shared by 4 ranks"


def test_figures_stay_bright_in_the_dark(browser, address):
    context = browser.new_context(base_url=address, color_scheme="dark")
    page = context.new_page()
    page.goto(SPECIMEN)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    style = "e => [getComputedStyle(e).filter, getComputedStyle(e).backgroundColor]"
    figure = page.locator(".cell_output img").evaluate(style)
    assert figure == ["none", "rgb(252, 252, 250)"]
    context.close()


def test_the_search_box_finds_a_chinese_word_and_leads_to_its_page(tabs):
    page = tabs.new_page()
    page.goto("index.html")
    page.keyboard.press("Control+k")
    box = page.locator("#pst-search-dialog input[name=q]")
    box.fill(specimen.SEARCH_WORD)
    box.press("Enter")
    page.locator(f"#search-results a[href*='{SPECIMEN}']").first.click()
    page.wait_for_url(f"**/{SPECIMEN}*")
    assert specimen.SEARCH_WORD in page.locator("article").inner_text()


def test_a_word_of_a_lesson_leads_to_the_section_that_explains_it(tabs):
    page = tabs.new_page()
    page.goto("search.html?q=广播")
    page.locator("#search-results h3 a", has_text="广播").first.click()
    page.wait_for_url("**/04_AICluster/04.primitive.html#*")
    assert "广播" in page.locator(":target").inner_text()


def test_the_search_page_searches_as_one_types_and_says_what_it_found(tabs):
    page = tabs.new_page()
    page.goto("search.html")
    box = page.locator(".bd-search-container input[name=q]")
    box.fill("广播")
    page.locator("#search-status", has_text="找到").wait_for()
    assert page.locator("#search-results li").count() > 0
    box.fill("魑魅魍魉")
    page.locator("#search-status", has_text="没有").wait_for()
    assert page.locator("#search-results li").count() == 0


def test_a_video_is_loaded_by_a_click_and_not_before(tabs):
    page = tabs.new_page()
    seen = watch(page)
    page.goto(SPECIMEN, wait_until="networkidle")
    assert seen == [] and page.locator("iframe").count() == 0
    tabs.route("https://player.bilibili.com/**", lambda route: route.fulfill(body=""))
    with page.expect_request("https://player.bilibili.com/**") as request:
        page.locator("p.video a").click()
    assert specimen.VIDEO in request.value.url


def slides_asked(seen: list[str]) -> list[str]:
    """The slides among the addresses that a page asked for, in order."""
    return [url.rpartition("/")[2] for url in seen if "/_slides/" in url]


def test_slides_are_loaded_when_their_fold_is_opened_and_turned_by_keys(tabs):
    page = tabs.new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.goto(SPECIMEN, wait_until="networkidle")
    assert slides_asked(seen) == []
    with page.expect_response("**/_slides/98.specimen/02.png"):
        page.locator("details.slides > summary").click()
    assert set(slides_asked(seen)) == {"01.png", "02.png"}
    viewer, count = page.locator(".slides-viewer"), page.locator(".slides-bar output")
    assert count.inner_text() == f"1 / {specimen.SLIDES}"
    viewer.focus()
    for key, number in {"ArrowRight": 2, "End": 3, "ArrowLeft": 2, "Home": 1}.items():
        page.keyboard.press(key)
        assert count.inner_text() == f"{number} / {specimen.SLIDES}"
    page.get_by_role("button", name="下一页").click()
    assert viewer.locator("figcaption:visible").inner_text() == "第二页要说的话。"
    alt = viewer.locator("img:visible").get_attribute("alt")
    assert alt == "第 2 页：第二页：一项"
    assert page.url.endswith(SPECIMEN)  # the keys turned slides, not pages


def test_slides_stand_below_each_other_without_scripts(browser, address):
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto(SPECIMEN)
    page.locator("details.slides > summary").click()
    assert page.locator(".slide:visible").count() == specimen.SLIDES
    assert not page.locator(".slides-bar").is_visible()
    context.close()


def test_the_bar_of_a_lesson_plays_its_video_below_itself(tabs):
    page = tabs.new_page()
    page.goto(SPECIMEN)
    tabs.route("https://player.bilibili.com/**", lambda route: route.fulfill(body=""))
    for _ in range(2):
        page.locator(".lesson-bar a.video").click()
    assert page.locator(".lesson-bar + iframe").count() == 1
    assert page.locator("iframe").count() == 1
    assert page.locator(".lesson-bar a").count() == 4


def test_a_deck_becomes_a_page_of_what_is_said(site):
    page = parse(site / "04_AICluster/slides/98.specimen.html")
    assert page.h1.get_text().startswith("讲稿：样张的幻灯片")
    assert len(page.select("figure.slide img")) == specimen.SLIDES
    assert "第三页要说的话。" in page.article.get_text()
    assert "::: notes" not in page.article.get_text()


PART = f"{whole_part.NAME}.html"


def test_a_part_shows_the_slides_about_it_and_offers_the_whole_deck(site):
    page = parse(site / PART)
    pictures = page.select("details.slides figure.slide img")
    assert [image["src"].rpartition("/")[2] for image in pictures] == [
        "04.png",
        "05.png",
    ]
    assert all((site / PART).parent.joinpath(i["src"]).is_file() for i in pictures)
    links = page.select(".lesson-bar a")
    assert [link.get_text() for link in links if "download" in link["class"]] == [
        "幻灯片",
        "PDF",
    ]
    assert (site / PART).parent.joinpath(links[0]["href"]).is_file()
    narration = follow(site, PART, links[2])
    assert narration.h1.get_text().startswith("讲稿：98.1 样篇")
    assert "第五页要说的话。" in narration.get_text()
    assert len(narration.select("figure.slide img")) == specimen.SLIDES_OF_PART


def test_the_narration_of_a_chapter_leads_to_those_of_its_parts(site):
    page = "04_AICluster/slides/98.specimen.html"
    (link,) = [a for a in parse(site / page).article.select("li a")]
    assert "第五页要说的话。" in follow(site, page, link).get_text()
    assert len(parse(site / SPECIMEN).select("figure.slide")) == specimen.SLIDES


def test_parts_stand_below_their_chapter_and_come_after_it(site):
    for page in (SPECIMEN, PART):
        below = parse(site / page).select_one(".bd-links li li.toctree-l2 a")
        here = site / PART if page == PART else (site / page).parent / below["href"]
        assert below.get_text(strip=True) == "98.1 样篇"
        assert here.resolve() == (site / PART).resolve()
    following = parse(site / SPECIMEN).select_one("a.right-next")
    assert following["href"] == "98.specimen/01.part.html"
    before = parse(site / PART).select_one("a.left-prev")
    assert before["href"] == "../98.specimen.html"
    listed = parse(site / "index.html").select(".toctree-l2 > a")
    assert "98.1 样篇" in [link.get_text() for link in listed]


def test_parts_can_be_read_in_the_ledger_of_claims(site):
    links = parse(site / "appendix/claims.html").select("article p > a")
    targets = [link["href"] for link in links if link.get_text() == "读这一篇"]
    assert f"../{PART}" in targets


def test_the_bar_offers_the_files_themselves(site):
    links = parse(site / SPECIMEN).select(".lesson-bar a.download")
    files = [(site / SPECIMEN).parent / link["href"] for link in links]
    assert [file.name for file in files] == ["98.specimen.pptx", "98.specimen.pdf"]
    assert all(file.is_file() for file in files)


class Anchors(HTMLParser):
    """The ids of a page, and file and anchor of its links to the book itself."""

    def __init__(self, page: Path):
        super().__init__()
        self.page = page
        self.ids: set[str | None] = set()
        self.links: list[tuple[Path, str]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        self.ids.add(of.get("id"))
        link = urlsplit(of.get("href") or of.get("src") or "http:")
        if not link.scheme:
            to = self.page.parent / unquote(link.path) if link.path else self.page
            self.links.append((to.resolve(), unquote(link.fragment)))


def test_no_link_inside_the_book_is_dead(site, pages):
    found = {site / page: Anchors(site / page) for page in pages}
    dead = [
        f"{file.relative_to(site)} -> {target.name}#{anchor}"
        for file, anchors in found.items()
        for target, anchor in anchors.links
        if not target.is_file() or anchor and anchor not in found[target].ids
    ]
    assert dead == []


def parse(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def test_the_first_page_lists_the_five_lessons_and_their_videos(site):
    rows = parse(site / "index.html").table.select("tbody tr")
    listed = {
        row.select("td")[1].get_text(strip=True): row.find("a", string="video")["href"]
        for row in rows
    }
    assert parse(site / "index.html").select("details.slides") == []
    base = "https://www.bilibili.com/video/"
    assert listed == {lesson: f"{base}{video}/" for lesson, video in VIDEOS.items()}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("torch.arange", "docs.pytorch.org"),
        ("shift", "api/dlsys_code/world/point_to_point/index.html"),
    ],
)
def test_names_in_cells_lead_to_their_documentation(site, name, target):
    linked = parse(site / SPECIMEN).select(".cell_input a.sphinx-codeautolink-a")
    assert any(target in a["href"] for a in linked if a.get_text() == name)


def follow(site: Path, page: str, link: Tag) -> Tag:
    """The element of the book that a link on a page leads to."""
    file, _, anchor = link["href"].partition("#")
    target = parse((site / page).parent / file if file else site / page)
    return target.find(id=anchor) if anchor else target.article


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("a[href='#figure-97-2']", "图 97.2 一条线"),
        ("a[href='#exercise-97-2']", "写广播"),
        ("a.citation", "Collective communication: theory"),
        ("a.term", "根把数据切成"),
    ],
)
def test_a_reference_leads_to_what_it_names(site, link, says):
    page = f"{numbered.NAME}.html"
    target = follow(site, page, parse(site / page).select_one(link))
    definition = target.find_next("dd") if target.name == "dt" else target
    assert says in definition.get_text()


def test_the_lesson_leads_to_the_glossary(site):
    page = "04_AICluster/04.primitive.html"
    terms = parse(site / page).select("a.term")
    assert len(terms) > 20
    assert all(follow(site, page, term).name == "dt" for term in terms)


def test_the_table_of_symbols_leads_to_where_they_are_first_used(site):
    page = "appendix/symbols.html"
    link = parse(site / page).find("a", string="第 04 章第 7 节")
    assert follow(site, page, link).h2.get_text().startswith("7 ")


def test_the_index_has_a_chinese_term_under_its_initial(site):
    index = parse(site / "genindex.html")
    initials = {heading.get_text(): heading for heading in index.select("h2")}
    under_q = initials["Q"].find_next("table")
    assert {"全归约", "全规约"} <= {a.get_text() for a in under_q.select("a")}


def test_the_page_of_a_module_leads_to_its_source_and_its_tests(site):
    page = "api/dlsys_code/primitive/ring/index.html"
    source, file, test, *_ = parse(site / page).select(".sources a")
    assert "def reduce_scatter" in follow(site, page, source).get_text()
    assert file.get_text() == "tests/primitive/test_ring.py"
    assert f"def {test.get_text()}" in line_at(follow(site, page, test))
    definition = parse(site / page).select_one("dt a.source-link")
    assert "def reduce_scatter" in line_at(follow(site, page, definition))


def line_at(anchor: Tag) -> str:
    """The line of code that begins at an anchor, and the one after it."""
    rest = "".join(piece.get_text() for piece in anchor.next_siblings)
    return "\n".join(rest.splitlines()[:2])


def test_the_search_does_not_read_sources(tabs, pages):
    assert any(page.startswith("_code/") for page in pages)
    page = tabs.new_page()
    page.goto("search.html?q=test_ring")
    page.locator("#search-status", has_text="找到").or_(
        page.locator("#search-status", has_text="没有")
    ).wait_for()
    assert page.locator("#search-results a[href*='_code/tests/']").count() == 0


def test_the_site_was_built_where_torch_cannot_be_imported(site, without_torch):
    command = [sys.executable, "-c", "import torch"]
    result = subprocess.run(command, env=without_torch, capture_output=True, text=True)
    assert "ModuleNotFoundError" in result.stderr
    assert (site / "index.html").is_file()


def test_the_ledger_of_claims_leads_each_number_to_its_ground(site):
    rows = [
        [cell.get_text() for cell in row.select("td")]
        for row in parse(site / "appendix/claims.html").select("table tbody tr")
    ]
    grounds = {ground.split(" ")[0] for *_, ground in rows}
    assert grounds == {"代码或输出", "式子当场验算", "题设", "引文"}
    assert any("1,344" in numbers and "[31]" in ground for numbers, _, ground in rows)
