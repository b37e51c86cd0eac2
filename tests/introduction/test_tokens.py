"""The stream of samples is a function of (seed, step, sample), and of nothing else."""

from random import Random

import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlsys_code.introduction import tokens

TEXT = tokens.as_tokens(Random(0).randbytes(5000))
T, BATCH, STEPS, SEED = 13, 12, 3, 7

stream = settings(derandomize=True, deadline=None, max_examples=50)
numbers = st.integers(0, 2**40)


def batch_of(step: int, samples: range | list[int]) -> tuple[Tensor, Tensor]:
    return tokens.batch(TEXT, T, seed=SEED, step=step, samples=samples)


def own_share() -> list[tuple[Tensor, Tensor]]:
    """This rank's samples of every step, asked for in another order on every rank."""
    rank, p = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(rank)
    steps = Random(rank).sample(range(STEPS), STEPS)
    mine = range(rank * BATCH // p, (rank + 1) * BATCH // p)
    got = {step: batch_of(step, mine) for step in steps}
    return [got[step] for step in range(STEPS)]


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_ranks_shares_are_the_batch_of_one_process(world, p):
    shares = world(p)(own_share)
    for step in range(STEPS):
        parts = zip(*(share[step] for share in shares), strict=True)
        for joined, whole in zip(parts, batch_of(step, range(BATCH)), strict=True):
            assert torch.equal(torch.cat(joined), whole)


@given(seed=numbers, step=numbers, samples=st.lists(numbers, min_size=1, max_size=6))
@stream
def test_a_sample_does_not_depend_on_those_beside_it(seed, step, samples):
    inputs, targets = tokens.batch(TEXT, T, seed=seed, step=step, samples=samples)
    assert inputs.shape == targets.shape == (len(samples), T)
    assert inputs.dtype is targets.dtype is torch.int64
    for row, sample in enumerate(samples):
        alone = tokens.batch(TEXT, T, seed=seed, step=step, samples=[sample])
        assert torch.equal(inputs[row], alone[0][0])
        assert torch.equal(targets[row], alone[1][0])


@given(seed=numbers, step=numbers, sample=numbers)
@stream
def test_a_sample_is_a_piece_of_the_text_and_its_target_the_next_byte(
    seed, step, sample
):
    at = tokens.start(TEXT, T, seed=seed, step=step, sample=sample)
    inputs, targets = tokens.batch(TEXT, T, seed=seed, step=step, samples=[sample])
    piece = TEXT[at : at + T + 1].tolist()
    assert len(piece) == T + 1
    assert inputs[0].tolist() == piece[:-1]
    assert targets[0].tolist() == piece[1:]


def test_every_number_counts():
    """A start of 5,000 is hit by chance once in 4,987: 100 alike are no chance."""

    def starts(**changed: int) -> list[int]:
        return [
            tokens.start(TEXT, T, **({"seed": 1, "step": 2, "sample": i} | changed))
            for i in range(100)
        ]

    for changed in ({"seed": 2}, {"step": 1}, {"seed": 2, "step": 1}, {"sample": 0}):
        agree = [x == y for x, y in zip(starts(), starts(**changed), strict=True)]
        assert sum(agree) < 5


@pytest.mark.parametrize("more", [0, 1, 6])
def test_samples_start_everywhere_the_first_and_last_place_included(more):
    """A place is missed by all of 400 samples with a chance of (6/7)^400 < 1e-26."""
    text = TEXT[: T + 1 + more]
    starts = {tokens.start(text, T, seed=SEED, step=0, sample=i) for i in range(400)}
    assert starts == set(range(more + 1))
    assert tokens.places(text, T) == more + 1


def test_a_text_of_one_sample_is_that_sample():
    text = TEXT[: T + 1]
    inputs, targets = tokens.batch(text, T, seed=SEED, step=5, samples=range(2))
    assert torch.equal(inputs, text[:-1].long().expand(2, T))
    assert torch.equal(targets, text[1:].long().expand(2, T))


@pytest.mark.parametrize("length", [0, 1, T])
def test_a_text_shorter_than_a_sample_is_refused_with_the_numbers(length):
    complaint = rf"a sample has {T} \+ 1 bytes, but the text has only {length}$"
    with pytest.raises(ValueError, match=complaint):
        tokens.batch(TEXT[:length], T, seed=SEED, step=0, samples=[0])


def test_no_samples_are_no_rows():
    assert [x.shape for x in batch_of(0, [])] == [(0, T)] * 2


def test_files_are_read_one_after_the_other_byte_by_byte(tmp_path):
    first, second, empty = (tmp_path / name for name in "abc")
    first.write_bytes("分布式 é\r\n".encode())
    second.write_bytes(bytes(range(256)))
    empty.write_bytes(b"")
    text = tokens.read([second, empty, str(first), second])
    assert text.dtype is torch.uint8
    expected = second.read_bytes() + first.read_bytes() + second.read_bytes()
    assert bytes(text.tolist()) == expected
    assert len("分布式 é\r\n") == 7 and len(first.read_bytes()) == 14


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        tokens.read([tmp_path / "absent"])


def test_no_text_is_refused(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for files in ([], [tmp_path / "empty"]):
        with pytest.raises(ValueError, match="there is no text in"):
            tokens.read(files)


def test_the_built_in_text_is_some_english():
    text = bytes(tokens.documentation().tolist())
    assert len(text) > 200_000
    assert text.count(b" the ") > 1000
