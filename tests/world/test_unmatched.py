"""A message with one end is an error in its own call, and not a wrong number later."""

import honest
import pytest
import unmatched

from dlsys_code.world import RankError


def error_of(world, program, *args) -> RankError:
    with pytest.raises(RankError) as caught:
        world(program, *args)
    assert caught.value.kind == "unmatched"
    assert caught.value.line.startswith("unmatched.py line ")
    return caught.value


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(("source", "destination"), [(0, 1), (3, 0), (2, 1)])
def test_an_unreceived_message_names_both_ranks(doomed, source, destination):
    error = error_of(doomed, unmatched.send_to_nobody, source, destination)
    assert error.rank == source
    assert f"rank {source} sent 1 to rank {destination}" in str(error)
    assert "which received 0" in str(error)
    assert doomed(unmatched.receive, source, destination) == [7.0] * 4


@pytest.mark.usefixtures("turn")
def test_an_unsent_message_names_both_ranks(doomed):
    error = error_of(doomed, unmatched.receive_from_nobody, 2, 3)
    assert error.rank == 3
    assert "rank 3 expects 1 from rank 2, which sent 0" in str(error)
    assert doomed(unmatched.receive, 2, 3) == [7.0] * 4


def test_a_tag_is_named(doomed):
    error = error_of(doomed, unmatched.send_to_nobody, 0, 1, 5)
    assert "sent 1 with tag 5 to rank 1" in str(error)


def test_a_receive_from_any_that_got_nothing_is_named(doomed):
    error = error_of(doomed, unmatched.receive_from_any, 1)
    assert "rank 1 expects one more from any rank" in str(error)
    assert doomed(unmatched.receive, 0, 1) == [7.0] * 4


def test_the_second_of_two_messages_is_missed(doomed):
    error = error_of(doomed, unmatched.one_receive_less)
    assert "rank 0 sent 2 to rank 1, which received 1" in str(error)


def test_a_collective_of_one_rank_is_named(doomed):
    error = error_of(doomed, unmatched.one_collective_more, 2)
    assert error.rank == 2
    assert "rank 0 made 1, rank 1 made 1, rank 2 made 2, rank 3 made 1" in str(error)


@pytest.mark.parametrize("program", honest.PROGRAMS, ids=lambda p: p.__name__)
@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_correct_program_is_not_accused(world, program, ranks):
    assert world(ranks)(program) == [0] * ranks
