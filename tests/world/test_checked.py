"""A checked World names what the ranks disagree about, before it can do harm."""

import time

import faulty
import honest
import pytest
import quarrel
import torch

from dlsys_code.world import RankError, World

QUARRELS = [
    quarrel.shape,
    quarrel.dtype,
    quarrel.root,
    quarrel.reduction,
    quarrel.op,
    quarrel.line,
    quarrel.label_of_collective,
    quarrel.split,
]


@pytest.fixture(scope="module")
def checked():
    with World(4, device="cpu", checked=True, timeout_s=30) as world:
        yield world


def quarrel_of(world, program, *args) -> RankError:
    with pytest.raises(RankError) as caught:
        world(program, *args)
    assert caught.value.kind == "mismatched"
    return caught.value


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("program", QUARRELS, ids=lambda program: program.__name__)
def test_a_quarrel_about_a_collective_is_named(checked, program):
    checked(faulty.rank_of)
    begin = time.monotonic()
    error = quarrel_of(checked, program)
    assert time.monotonic() - begin < 10
    aspect = program.__name__.partition("_")[0]
    first, *notes = str(error).splitlines()
    assert first.endswith(f"{aspect} differs")
    assert error.line.startswith("quarrel.py line ")
    assert [note.split(":")[0] for note in notes] == [f"  rank {r}" for r in range(4)]
    if program is not quarrel.split:  # there each of the two may be the odd one
        assert error.rank == 1


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(
    "program", [quarrel.shape, pytest.param(quarrel.line, marks=pytest.mark.slow)]
)
def test_the_text_is_the_same_on_every_run_of_eight_ranks(program):
    with World(8, device="cpu", checked=True, timeout_s=60) as world:
        assert len({str(quarrel_of(world, program)) for _ in range(5)}) == 1


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(
    ("aspect", "sent", "expected", "names"),
    [
        ("shape", torch.ones(8), torch.ones(4), ("", "")),
        ("shape", torch.ones(2, 3), torch.ones(3, 2), ("", "")),
        ("dtype", torch.ones(4), torch.ones(4, dtype=torch.int32), ("", "")),
        ("label", torch.ones(4), torch.ones(4), ("forward", "backward")),
    ],
)
def test_a_quarrel_about_a_message_is_named(checked, aspect, sent, expected, names):
    error = quarrel_of(checked, quarrel.message, sent, expected, names)
    assert error.rank == 1
    text = str(error)
    assert f"{aspect} differs" in text
    assert "  rank 0: send " in text
    assert "  rank 1: recv " in text


def test_without_checks_a_message_of_the_wrong_size_kills_its_receiver(doomed, capfd):
    with pytest.raises(RankError) as caught:
        doomed(quarrel.message, torch.ones(8), torch.ones(4))
    assert (caught.value.rank, caught.value.kind) == (1, "died")
    assert "doesn't match expected size" in capfd.readouterr().out


@pytest.mark.parametrize("program", honest.PROGRAMS, ids=lambda p: p.__name__)
def test_a_correct_program_is_not_accused(checked, program):
    assert checked(program) == [0] * 4


def test_a_missing_rank_is_found_at_the_limit_of_time(checked):
    with pytest.raises(RankError, match="rank 2 has returned"):
        checked(faulty.all_but, 2, timeout_s=1)
