"""Which message may leave when: by hand, and as a rule on random plans."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.turns import Turns

PLANS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 4)).filter(
        lambda m: m[1] != m[2]
    ),
    min_size=1,
    max_size=25,
)


def turns_of(plan: list[tuple[int, int, int]], rendezvous: bool = False) -> Turns:
    return Turns(*np.array(plan).T, rendezvous=rendezvous)


def test_a_chain_leaves_one_by_one():
    turns = turns_of([(0, 0, 1), (1, 1, 2), (2, 2, 0)])
    assert turns.begin().tolist() == [0]
    assert turns.done(np.array([0])).tolist() == [1]
    assert turns.done(np.array([1])).tolist() == [2]
    assert turns.done(np.array([2])).tolist() == []


def test_who_has_no_part_in_a_step_goes_ahead_unless_the_receiver_must_be_ready():
    plan = [(0, 0, 1), (1, 2, 1)]  # rank 2 has nothing to do in step 0
    assert turns_of(plan).begin().tolist() == [0, 1]
    careful = turns_of(plan, rendezvous=True)
    assert careful.begin().tolist() == [0]
    assert careful.done(np.array([0])).tolist() == [1]


def test_what_has_come_early_counts_when_its_turn_comes():
    # Rank 1 gets step 1's message first; both are in when step 2 lets it send.
    turns = turns_of([(0, 0, 1), (1, 2, 1), (2, 1, 3)])
    assert turns.begin().tolist() == [0, 1]
    assert turns.done(np.array([1])).tolist() == []
    assert turns.done(np.array([0])).tolist() == [2]


@pytest.mark.parametrize("rendezvous", [False, True])
@settings(max_examples=200, deadline=None, derandomize=True)
@given(plan=PLANS, random=st.randoms(use_true_random=False))
def test_a_message_leaves_once_and_as_soon_as_its_ranks_may(plan, rendezvous, random):
    turns = turns_of(plan, rendezvous)
    arrived, under_way = set(), set(turns.begin().tolist())
    while True:
        ready = {
            i
            for i, (step, source, destination) in enumerate(plan)
            if all(
                j in arrived
                for j, (earlier, *ends) in enumerate(plan)
                for end in ([source, destination] if rendezvous else [source])
                if earlier < step and end in ends
            )
        }
        assert ready == arrived | under_way
        if not under_way:
            break
        some = random.sample(sorted(under_way), random.randint(1, len(under_way)))
        arrived |= set(some)
        under_way -= set(some)
        leaving = turns.done(np.array(some)).tolist()
        assert len(leaving) == len(set(leaving)) and not set(leaving) & arrived
        under_way |= set(leaving)
    assert len(arrived) == len(plan)
