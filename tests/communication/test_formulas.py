"""Costs of the further algorithms, worked out by hand."""

import pytest

from dlsys_code.communication import cost, formulas
from dlsys_code.communication.cost import Cost


def test_doubling_of_eight_and_of_six_ranks_by_hand():
    # 3 exchanges of 40 bytes; with 6 ranks a core of 4, one way in and one way out.
    assert formulas.doubling_all_reduce(8, 10, 4) == Cost(
        rounds=3, bytes_sent=120, serial_bytes=120, serial_reduced=120
    )
    assert formulas.doubling_all_reduce(6, 10, 4) == Cost(
        rounds=4, bytes_sent=120, serial_bytes=160, serial_reduced=120
    )


def test_doubling_all_gather_of_five_ranks_by_hand():
    # Rows of 8 bytes, core of 4: in 1; blocks 2 (ranks 0, 1) and 3 (0, 1, 2); out 5.
    assert formulas.doubling_all_gather(5, 10, 4) == Cost(
        rounds=4, bytes_sent=80, serial_bytes=88
    )


def test_halving_of_eight_ranks_sends_what_the_ring_sends():
    ours, ring = formulas.halving_all_reduce(8, 80, 4), cost.ring_all_reduce(8, 80, 4)
    assert ours.rounds == 6 < ring.rounds == 14
    assert ours.bytes_sent == ring.bytes_sent == 2 * 7 * 40
    assert ours.serial_reduced == ring.serial_reduced == 7 * 40


def test_halving_of_seven_ranks_by_hand():
    # Core of 4 with chunks of 2 floats: 4 exchanges of 8 + 16 bytes; 28 in and out.
    assert formulas.halving_all_reduce(7, 7, 4) == Cost(
        rounds=6, bytes_sent=48 + 28, serial_bytes=48 + 56, serial_reduced=24 + 28
    )


def test_scatter_and_gather_of_six_ranks_by_hand():
    # Chunks of 8 bytes: the root sends 2 (to place 4), 2 and 1 of them.
    assert formulas.tree_scatter(6, 12, 4) == Cost(
        rounds=3, bytes_sent=40, serial_bytes=40
    )
    # Places 2 and 4 hand in 2 chunks.
    assert formulas.tree_gather(6, 12, 4) == Cost(
        rounds=3, bytes_sent=16, serial_bytes=40
    )
    assert formulas.scatter_allgather_broadcast(6, 12, 4) == Cost(
        rounds=3 + 5, bytes_sent=80, serial_bytes=80
    )


def test_all_to_all_of_five_ranks_by_hand():
    # Chunks of 8 bytes; distances 1, 2, 3, 4 have 1, 1, 2, 1 bits.
    assert formulas.pairwise_all_to_all(5, 10, 4) == Cost(
        rounds=4, bytes_sent=32, serial_bytes=32
    )
    assert formulas.bruck_all_to_all(5, 10, 4) == Cost(
        rounds=3, bytes_sent=40, serial_bytes=40
    )


def test_two_nodes_of_four_by_hand():
    # 64 bytes: chunks of 16 inside, six times; halves of 8 across, twice.
    inside, across = formulas.hierarchical_all_reduce(4, 2, 16, 4)
    assert inside == Cost(rounds=6, bytes_sent=96, serial_bytes=96, serial_reduced=48)
    assert across == Cost(rounds=2, bytes_sent=16, serial_bytes=16, serial_reduced=8)


def test_a_double_tree_sends_two_n():
    assert formulas.double_tree_bytes_sent(8, 64, 4, segments=4) == 2 * 64 * 4
    assert formulas.double_tree_bytes_sent(3, 64, 4, segments=4) == 3 * 64 * 4 // 2
    assert formulas.double_tree_bytes_sent(2, 64, 4, segments=4) == 64 * 4
    assert formulas.double_tree_bytes_sent(1, 64, 4, segments=4) == 0


def test_a_barrier_of_five_ranks_takes_three_rounds():
    assert formulas.dissemination_barrier(5).rounds == 3


def test_the_core_is_the_largest_power_of_two():
    assert [formulas.core_ranks(p) for p in (1, 2, 3, 4, 7, 8, 9)] == [
        1,
        2,
        2,
        4,
        4,
        8,
        8,
    ]
    assert formulas.core_distances(1) == []
    assert formulas.core_distances(9) == [1, 2, 4]
    with pytest.raises(ValueError, match="at least 1 rank, not 0"):
        formulas.core_ranks(0)
