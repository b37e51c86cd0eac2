"""The page's answers are right, and each likely mistake is called by its name."""

from contextlib import ExitStack, nullcontext
from functools import cache
from importlib import import_module
from pathlib import Path

import autocorrect_py
import cloudpickle
import exercises_on_the_page as page
import pytest
from slides.deck import number_of

from dlsys_code.book import exercises_running, notebooks
from dlsys_code.book.check import EXERCISES, check, hint
from dlsys_code.book.exercises import Question, Task
from dlsys_code.book.exercises_running import LIMIT_S
from dlsys_code.world import World

CHAPTERS = [
    import_module(path.stem)
    for path in sorted(Path(__file__).parent.glob("mistakes*.py"))
]
for chapter in CHAPTERS:  # their programs run on other ranks
    cloudpickle.register_pickle_by_value(chapter)  # as a notebook's functions are
ANSWERS = [page.answers(chapter) for chapter in page.CHAPTERS]
RIGHT = {name: right for answers in ANSWERS for name, right in answers.items()}
SAID = [wrong for each in CHAPTERS for wrong in each.SAID]
PAGES = {chapter: page.read(chapter) for chapter in page.CHAPTERS}
ON_THE_PAGE = {name: each for found in PAGES.values() for name, each in found.items()}
QUESTIONS = [n for n, exercise in EXERCISES.items() if isinstance(exercise, Question)]
SHOWN = {  # cost against the bound
    "circle": "\n5 个 rank 时 3 轮（下界 3），最忙的发 24 字节（下界 24）",
    "all_reduce": "\n5 个 rank 时 8 轮（下界 3），最忙的发 128 字节（下界 96）",
    "ring_bytes": "对：140,000,000 字节",
    "choose": "对：试了 35 组参数，都对",
}
HANGS_S = 1.5  # the limit of programs on ranks: some never end, others take a hundredth


@pytest.fixture(scope="module")
def warm():
    """Keep worlds open from check to check: starting them is most of the time."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        @cache
        def kept(p: int, device: str) -> nullcontext:
            return nullcontext(stack.enter_context(World(p, device=device)))

        patch.setattr(exercises_running, "World", kept)
        yield


def test_the_pages_have_the_exercises_that_are_checked():
    assert list(ON_THE_PAGE) == list(EXERCISES)
    assert sum(map(len, PAGES.values())) == len(EXERCISES)


@pytest.mark.parametrize("chapter", PAGES, ids=number_of)
def test_the_exercises_of_a_page_are_numbered(chapter):
    found = PAGES[chapter].values()
    assert len(found) >= (10 if chapter.parent == notebooks.CHAPTERS else 5)
    numbers = [f"{number_of(chapter)}.{k}" for k in range(1, len(found) + 1)]
    assert [exercise.number for exercise in found] == numbers


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_on_the_page_is_whole(name):
    exercise = ON_THE_PAGE[name]
    assert exercise.stars in ("★", "★★", "★★★")
    assert exercise.statement
    assert exercise.hints == list(EXERCISES[name].hints)
    assert len(exercise.hints) >= (1 if name in QUESTIONS else 2)
    assert 1 <= len(exercise.solution.splitlines()) <= 15
    assert max(map(len, exercise.solution.splitlines())) <= 88


@pytest.mark.parametrize("chapter", PAGES, ids=number_of)
def test_a_solution_leaves_the_names_of_the_chapter_alone(chapter):
    _, bound = page.names_of_the_chapter(chapter)
    functions = set(PAGES[chapter]) - set(QUESTIONS)
    assert not functions & bound


@pytest.mark.parametrize("chapter", PAGES, ids=number_of)
def test_the_section_keeps_the_rules_of_prose(chapter):
    for line in autocorrect_py.lint_for(page.section(chapter), "markdown").lines:
        assert line.old == line.new


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_is_right(name, warm):
    verdict = check(name, RIGHT[name])
    assert str(verdict).startswith("对："), verdict
    assert SHOWN.get(name, "") in str(verdict)


@pytest.mark.parametrize(
    ("name", "mine", "said"),
    SAID,
    ids=[mine.__name__ for _, mine, _ in SAID],
)
def test_a_likely_mistake_is_called_by_its_name(name, mine, said, warm):
    may_hang = isinstance(EXERCISES[name], Task)
    verdict = check(name, mine, limit_s=HANGS_S if may_hang else LIMIT_S)
    assert not verdict.right
    assert str(verdict).startswith("不对：")
    for part in said:
        assert part in str(verdict)
    assert len(str(verdict).splitlines()) <= 20


def test_every_exercise_has_a_likely_mistake():
    made = {name for name, _, _ in SAID} | {"mended_ring"}
    assert made == set(EXERCISES) - set(QUESTIONS)
    assert all(EXERCISES[name].near for name in QUESTIONS)


def test_the_ring_to_be_mended_is_right_but_moves_p_times_the_bytes():
    names = {"__name__": "__main__"}
    chapter = next(path for path, found in PAGES.items() if "mended_ring" in found)
    exec(page.names_of_the_chapter(chapter)[0], names)
    exec(ON_THE_PAGE["mended_ring"].given, names)
    verdict = check("mended_ring", names["mended_ring"])
    assert "4 个 rank" in str(verdict)
    assert "数都对，但最忙的 rank 发了 576 字节" in str(verdict)
    assert "是它的 4 倍" in str(verdict)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_number_is_right_wrong_or_nearly_so(name):
    question = EXERCISES[name]
    assert check(name, question.value).right
    assert not check(name, 1.01 * question.value).right
    assert "偏大" in str(check(name, 1e6 * question.value + 1))
    assert "偏小" in str(check(name, -1))
    for wrong, said in question.near.items():
        verdict = check(name, wrong)
        assert not verdict.right and said in str(verdict)
    assert "要一个数" in str(check(name, "140 MB"))


@pytest.mark.parametrize("name", EXERCISES)
def test_hints_come_in_steps(name):
    steps = len(EXERCISES[name].hints)
    assert hint(name).startswith(f"提示 1/{steps}：")
    assert hint(name, steps).startswith(f"提示 {steps}/{steps}：")
    with pytest.raises(ValueError, match=f"有 {steps} 步提示，没有第 {steps + 1} 步"):
        hint(name, steps + 1)


def test_a_page_has_exercises_of_every_difficulty():
    for found in PAGES.values():
        assert {each.stars for each in found.values()} == {"★", "★★", "★★★"}
