"""Nothing of a call is left for the next one."""

import leaky
import psutil
import pytest

from dlsys_code.world import World


@pytest.fixture(scope="module")
def pair():
    with World(2, device="cpu", timeout_s=30) as world:
        yield world


@pytest.mark.usefixtures("turn")
def test_what_a_program_changes_is_put_back(pair):
    before = pair(leaky.look)
    pids = pair(leaky.pid)
    pair(leaky.spill)
    assert pair(leaky.look) == before
    assert pair(leaky.pid) == pids  # the ranks are still the same


def test_calls_see_the_same_random_numbers_and_ranks_too(pair):
    first, second = pair(leaky.look), pair(leaky.look)
    assert first == second
    assert first[0]["random"] == first[1]["random"]


def test_the_surroundings_of_the_caller_reach_the_ranks(pair, tmp_path, monkeypatch):
    monkeypatch.setenv("SEEN_BY_RANKS", "yes")
    monkeypatch.chdir(tmp_path)
    for seen in pair(leaky.look):
        assert seen["variables"]["SEEN_BY_RANKS"] == "yes"
        assert seen["folder"] == str(tmp_path)
    monkeypatch.delenv("SEEN_BY_RANKS")
    assert "SEEN_BY_RANKS" not in pair(leaky.look)[0]["variables"]


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(
    "leave",
    [
        leaky.leave_thread,
        leaky.leave_child,
        leaky.leave_no_world,
        leaky.leave_pending_message,
    ],
    ids=lambda leave: leave.__name__,
)
def test_ranks_that_cannot_be_put_back_are_replaced(pair, leave):
    before = [psutil.Process(pid) for pid in pair(leaky.pid)]
    children = [child for rank in before for child in rank.children()]
    pair(leave)
    assert pair(leaky.exchange) == [1.0, 0.0]
    assert psutil.wait_procs([*before, *children], timeout=10)[1] == []
