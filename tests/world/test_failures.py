"""One rank fails, its peers wait: the error names that rank, always the same way."""

import time

import faulty
import pytest

from dlsys_code.world import RankError

pytestmark = pytest.mark.usefixtures("turn")

DIES = {
    faulty.exit_at_once: "ended with exit code 3",
    faulty.segfault: "killed by SIGSEGV",
    faulty.send_sigterm: "killed by SIGTERM",
}
RAISES = {
    faulty.exit_politely: "SystemExit: 3",
    faulty.recurse: "RecursionError: maximum recursion depth exceeded",
    faulty.raise_unprintable: "Unprintable: <exception str() failed>",
    faulty.raise_from_another: "RuntimeError: cannot load",
    faulty.raise_while_handling: "ValueError: bad shape",
    faulty.run_out_of_memory: "MemoryError",
}
LED_TO_BY = {
    faulty.raise_from_another: "caused by KeyError: 'weights'",
    faulty.raise_while_handling: "while handling KeyError: 'weights'",
}
CANNOT_RETURN = {
    faulty.return_lock: "TypeError: cannot pickle '_thread.lock' object",
    faulty.return_unloadable: (
        "ValueError: invalid literal for int() with base 10: 'x'"
    ),
}


def failure(world, program, *args, **limit) -> RankError:
    """The error of a call that fails; the call after it works again."""
    with pytest.raises(RankError) as caught:
        world(program, *args, **limit)
    assert world(faulty.rank_of) == [0, 1, 2, 3]
    return caught.value


@pytest.mark.parametrize(("rank", "wait"), [*enumerate(faulty.WAITS)])
def test_the_rank_that_raises_is_named_and_not_its_peers(doomed, rank, wait):
    error = failure(doomed, faulty.fail, rank, faulty.raise_value_error, wait)
    assert (error.rank, error.kind, error.cause) == (
        rank,
        "raised",
        "ValueError: bad shape",
    )
    assert error.others == ()
    assert error.line.startswith("faulty.py line ")
    headline, *lines = str(error).splitlines()
    assert headline == f"rank {rank} of 4 failed in fail(): ValueError: bad shape"
    assert lines[-1].endswith('raise ValueError("bad shape")') and len(lines) < 30


@pytest.mark.parametrize(("rank", "wait"), [*enumerate(faulty.WAITS)])
def test_the_rank_that_dies_is_named_and_not_its_peers(doomed, rank, wait):
    error = failure(doomed, faulty.fail, rank, faulty.send_sigkill, wait)
    assert (error.rank, error.kind, error.cause) == (rank, "died", "killed by SIGKILL")
    assert str(error) == f"rank {rank} of 4 died in fail(): killed by SIGKILL"
    lost = "lost the connection to another rank"
    assert {(other.kind, other.cause) for other in error.others} <= {("raised", lost)}
    assert rank not in [other.rank for other in error.others]


@pytest.mark.parametrize("fault", DIES, ids=lambda fault: fault.__name__)
def test_a_death_is_told_by_its_status(doomed, fault):
    error = failure(doomed, faulty.fail, 2, fault)
    assert (error.rank, error.kind, error.cause) == (2, "died", DIES[fault])


@pytest.mark.parametrize("fault", RAISES, ids=lambda fault: fault.__name__)
def test_an_exception_is_told_by_its_text_and_line(doomed, fault):
    error = failure(doomed, faulty.fail, 1, fault)
    assert (error.rank, error.kind) == (1, "raised")
    assert error.cause.removeprefix("faulty.") == RAISES[fault]
    assert error.line.startswith("faulty.py line ")
    assert len(str(error).splitlines()) <= 30
    assert str(error).endswith(LED_TO_BY.get(fault, ""))


@pytest.mark.parametrize("fault", CANNOT_RETURN, ids=lambda fault: fault.__name__)
def test_a_result_that_cannot_travel_is_told(doomed, fault):
    error = failure(doomed, faulty.fail, 3, fault)
    assert (error.rank, error.kind) == (3, "unpicklable")
    assert error.cause == CANNOT_RETURN[fault]


def test_a_module_with_a_syntax_error_is_told(doomed, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("def f(:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    error = failure(doomed, faulty.fail, 2, faulty.import_broken_module)
    assert error.cause == "SyntaxError: invalid syntax (broken.py, line 1)"
    assert str(tmp_path) not in str(error)


def stuck(world, program, *args) -> RankError:
    """The error of a call that does not end."""
    begin = time.monotonic()
    error = failure(world, program, *args, timeout_s=1.0)
    assert time.monotonic() - begin < 60
    assert error.kind == "stuck"
    return error


@pytest.mark.parametrize("rank", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", [faulty.loop, faulty.loop_in_c, faulty.loop_deep])
def test_a_rank_that_loops_is_blamed_and_shown_with_those_that_wait(
    doomed, rank, fault
):
    error = stuck(doomed, faulty.fail, rank, fault)
    assert error.rank == rank
    report = [line for line in str(error).splitlines() if line.startswith("rank")]
    others = set(range(4)) - {rank}
    assert report[rank].startswith(f"rank {rank} is busy at faulty.py line")
    assert all(
        report[r].startswith(f"rank {r} is waiting in all_reduce at faulty.py line")
        for r in others
    )


def test_a_stopped_rank_is_blamed(doomed):
    error = stuck(doomed, faulty.fail, 1, faulty.send_sigstop)
    assert error.rank == 1
    assert "rank 1 is stopped by a signal" in str(error)


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(faulty.in_all_reduce, marks=pytest.mark.slow),  # like the loops
        *(wait for wait in faulty.WAITS if wait is not faulty.in_all_reduce),
    ],
    ids=lambda wait: wait.__name__,
)
def test_a_sleeping_rank_is_blamed_whatever_the_others_wait_in(doomed, wait):
    error = stuck(doomed, faulty.fail, 3, faulty.sleep, wait)
    assert error.rank == 3
    assert str(error).count("is waiting ") == 3


def test_sends_head_on_are_shown(doomed):
    error = stuck(doomed, faulty.send_head_on)
    assert error.rank == 0
    assert str(error).count("is waiting in send at faulty.py line") == 4


def test_a_missing_rank_is_shown(doomed):
    error = stuck(doomed, faulty.all_but, 2)
    assert "rank 2 has returned" in str(error)
    assert str(error).count("is waiting in all_reduce at faulty.py line") == 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", [faulty.send_sigkill, faulty.multiply_odd_shapes])
def test_the_text_is_the_same_on_every_run(doomed, fault):
    texts = set()
    for _ in range(5):
        with pytest.raises(RankError) as caught:
            doomed(faulty.fail, 1, fault)
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_all_ranks_raise_and_the_lowest_is_named(doomed):
    error = failure(doomed, faulty.raise_value_error)
    assert error.rank == 0
    assert {other.cause for other in error.others} <= {"ValueError: bad shape"}
