"""What is said of right and of likely wrong answers on networks."""

import networkx as nx
import pytest

from dlsys_code.architecture.search import all_rings
from dlsys_code.book.exercises import judge_function, judge_number
from dlsys_code.book.exercises_networks import EXERCISES, meshes


def ring_on_links(links: nx.Graph) -> list[int]:
    """The answer on the page."""

    def visit(path: list[int]) -> list[int]:
        if len(path) == len(links):
            return path if path[0] in links[path[-1]] else []
        for device in links[path[-1]]:
            if device not in path and (found := visit([*path, device])):
                return found
        return []

    return visit([0])


def fewest_crossings(leaf: list[int]) -> list[int]:
    """The answer on the page."""
    return sorted(range(len(leaf)), key=lambda rank: leaf[rank])


RIGHT = {"ring_on_links": ring_on_links, "fewest_crossings": fewest_crossings}


def in_turn(links: nx.Graph) -> list[int]:
    return list(range(len(links)))


WRONG = [
    ("ring_on_links", in_turn, "里 3 和 4 之间没有 NVLink"),
    ("ring_on_links", lambda links: [], "返回了 []，其实有环"),
    ("ring_on_links", lambda links: None, "要一列设备编号"),
    ("ring_on_links", lambda links: [0, 1, 2], "设备 3 出现 0 次"),
    ("ring_on_links", lambda links: [*range(8), 0], "设备 0 出现 2 次"),
    ("ring_on_links", lambda links: [*range(8), 9], "没有设备 9"),
    (
        "ring_on_links",
        lambda links: [0, 1, 2, 3, 7, 4, 6, 5],
        "里 5 和 0 之间没有 NVLink（最后一个要回到第一个）",
    ),
    ("ring_on_links", lambda links: [0] if links[9] else [], "抛出异常 KeyError"),
    ("fewest_crossings", lambda leaf: range(len(leaf)), "一圈跨叶 4 次，2 次就够"),
    ("fewest_crossings", lambda leaf: 3, "要一列 rank"),
    ("fewest_crossings", sorted, "设备 0 出现 2 次"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_the_answers_of_the_page_are_right(name):
    verdict = judge_function(EXERCISES[name], RIGHT[name])
    assert verdict.right, verdict


@pytest.mark.parametrize(("name", "answer", "said"), WRONG)
def test_wrong_functions_are_told_what_is_wrong(name, answer, said):
    verdict = judge_function(EXERCISES[name], answer)
    assert not verdict.right
    assert said in str(verdict)


def test_meshes_with_and_without_rings():
    assert [bool(all_rings(links)) for links in meshes()] == [True] * 4 + [False] * 2


@pytest.mark.parametrize("name", ["fat_tree_devices", "leaf_ratio"])
def test_numbers_and_their_near_misses(name):
    question = EXERCISES[name]
    assert judge_number(question, question.value).right
    for wrong, said in question.near.items():
        assert said in str(judge_number(question, wrong))


def test_the_answers_of_the_questions():
    assert EXERCISES["fat_tree_devices"].value == 27648  # Al-Fares et al., section 1
    assert EXERCISES["leaf_ratio"].value == 48 * 400 / (8 * 800)
