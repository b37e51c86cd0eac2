"""The double-tree all-reduce against definition, formula and plan, on real ranks."""

from collections import Counter
from functools import partial

import pytest
from checks import (
    COUNTS,
    RANKS,
    check_an_all_reduce,
    check_rounding,
    check_transposed,
    few_examples,
    reduce_ones,
)
from hypothesis import given
from hypothesis import strategies as st

from dlsys_code.communication import cost, formulas
from dlsys_code.primitive import double_tree
from dlsys_code.world import RankError


@pytest.mark.parametrize("segments", [1, 3])
@few_examples
@given(data=st.data())
def test_the_sum_is_the_definition_and_torchs(world, segments, data):
    check_an_all_reduce(world, partial(double_tree.all_reduce, segments=segments), data)


@pytest.mark.parametrize("p", [5, 8])
def test_ranks_agree_to_the_last_bit_on_rounded_sums(world, p):
    check_rounding(world, p, double_tree.all_reduce)
    check_transposed(world, p, double_tree.all_reduce)


@pytest.mark.parametrize("p", RANKS)
def test_messages_are_the_plan_and_bytes_the_formula(world, p):
    for count, segments in [*zip(COUNTS, [1, 4, 3, 5], strict=True)]:
        all_reduce = partial(double_tree.all_reduce, segments=segments)
        trace = world(p).trace(reduce_ones, all_reduce, count)
        planned = double_tree.all_reduce_messages(p, count, 4, segments)
        assert trace.messages() == planned  # no rank has anything to do earlier
        sent = formulas.double_tree_bytes_sent(p, count, 4, segments)
        assert max(trace.bytes_sent()) == cost.of_messages(planned).bytes_sent == sent


@pytest.mark.parametrize("p", [*range(1, 34), 100])
def test_both_are_trees_and_what_is_inside_one_is_a_leaf_of_the_other(p):
    trees = double_tree.two_trees(p)
    for parents in trees:
        (root,) = set(range(p)) - set(parents)
        assert all(root == ancestors(parents, rank)[-1] for rank in range(p))
        assert max(Counter(parents.values()).values(), default=0) <= 2
        depth = max(len(ancestors(parents, rank)) for rank in range(p))
        assert depth <= cost.tree_rounds(p) + 1
    inside_both = set(trees[0].values()) & set(trees[1].values())
    assert inside_both <= {0}  # for odd p


def ancestors(parents: dict[int, int], rank: int) -> list[int]:
    """A rank, its parent, the parent's parent and so on, up to the root."""
    line = [rank]
    while line[-1] in parents:
        assert len(line) <= len(parents)
        line.append(parents[line[-1]])
    return line


@pytest.mark.parametrize("p", [2, 3, 4, 7, 8, 16, 33])
def test_a_step_is_one_message_in_and_out_and_there_are_few(p):
    for segments in (1, 8):
        steps = double_tree.schedule(p, segments)
        assert sum(len(hops) for hops in steps) == 2 * 2 * (p - 1) * segments
        for hops in steps:
            assert len({hop.source for hop in hops}) == len(hops)
            assert len({hop.destination for hop in hops}) == len(hops)
        busiest = min(p, 4) * segments
        assert busiest <= len(steps) <= 5 * segments + 4 * cost.tree_rounds(p)


def test_many_ranks_take_fewer_steps_than_a_ring():
    planned = cost.of_messages(double_tree.all_reduce_messages(64, 4096, 4, 8))
    ring = cost.ring_all_reduce(64, 4096, 4)
    assert planned.rounds < ring.rounds / 2
    assert planned.bytes_sent == 2 * 4096 * 4


def test_no_segments_are_refused(world):
    with pytest.raises(RankError, match="2 ranks, 0 segments: there is at least 1"):
        world(2)(reduce_ones, partial(double_tree.all_reduce, segments=0), 4)
    with pytest.raises(ValueError, match="0 ranks, 1 segments"):
        double_tree.schedule(0, 1)
