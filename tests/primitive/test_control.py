"""Ranks that do not mean the same call: named on every rank, before a byte moves."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.distributed as dist

from dlsys_code.primitive import (
    barrier,
    double_tree,
    doubling,
    exchange,
    halving,
    ring,
    rooted,
    tree,
)
from dlsys_code.world import RankError, World, control, label
from dlsys_code.world.agreement import Mismatch, Missing

P = 4
ODD = 2  # the rank that does something else
EQUAL = [1] * P
# Every collective with a tensor that suits it on 4 ranks.
ALIKE: dict[str, tuple[Callable, tuple[int, ...]]] = {
    "ring.reduce_scatter": (ring.reduce_scatter, (P, 3)),
    "ring.all_gather": (ring.all_gather, (3,)),
    "ring.all_reduce": (ring.all_reduce, (3,)),
    "tree.broadcast": (tree.broadcast, (3,)),
    "tree.reduce": (tree.reduce, (3,)),
    "tree.all_reduce": (tree.all_reduce, (3,)),
    "doubling.all_reduce": (doubling.all_reduce, (3,)),
    "doubling.all_gather": (doubling.all_gather, (3,)),
    "halving.all_reduce": (halving.all_reduce, (3,)),
    "double_tree.all_reduce": (double_tree.all_reduce, (3,)),
    "rooted.broadcast": (rooted.broadcast, (3,)),
    "rooted.scatter": (lambda x, g: rooted.scatter(x, EQUAL, g), (P, 3)),
    "rooted.gather": (lambda x, g: rooted.gather(x, EQUAL, g), (1, 3)),
    "exchange.pairwise": (exchange.pairwise, (P, 3)),
    "exchange.bruck": (exchange.bruck, (P, 3)),
}
ROW_BY_ROW = {"rooted.scatter", "rooted.gather", "exchange.pairwise"}
ROOTED = {
    "tree.broadcast": partial(tree.broadcast, torch.ones(3)),
    "tree.reduce": partial(tree.reduce, torch.ones(3)),
    "rooted.broadcast": partial(rooted.broadcast, torch.ones(3)),
    "rooted.scatter": partial(rooted.scatter, torch.ones(P, 3), EQUAL),
    "rooted.gather": partial(rooted.gather, torch.ones(1, 3), EQUAL),
}


def complaint_about(call: Callable) -> str:
    """What this rank is told; afterwards the ranks still understand one another."""
    try:
        call()
    except Mismatch as mismatch:
        said = f"{mismatch.odd}: {mismatch}"
    else:
        said = ""
    total = ring.all_reduce(torch.ones(1), dist.group.WORLD).item()
    assert total == dist.get_world_size()
    return said


def odd() -> bool:
    return dist.get_rank() == ODD


def other_dtype(name: str) -> str:
    function, shape = ALIKE[name]
    x = torch.ones(shape, dtype=torch.int32 if odd() else torch.float32)
    return complaint_about(lambda: function(x, dist.group.WORLD))


def other_shape(name: str) -> str:
    function, (*lead, last) = ALIKE[name]
    x = torch.ones(*lead, last + odd())
    return complaint_about(lambda: function(x, dist.group.WORLD))


def other_root(name: str) -> str:
    call = ROOTED[name]
    named = {"root": 1} if odd() else {}  # 0 for the others, who leave it out
    return complaint_about(lambda: call(dist.group.WORLD, **named))


def other_lengths(function: Callable) -> str:
    lengths = [2, 0, 1, 1] if odd() else EQUAL
    x = torch.ones(P if function is rooted.scatter else 1)
    return complaint_about(lambda: function(x, lengths, dist.group.WORLD))


def other_collective() -> str:
    function = tree.all_reduce if odd() else ring.all_reduce
    return complaint_about(lambda: function(torch.ones(3), dist.group.WORLD))


def barrier_for_all_reduce() -> str:
    everyone, x = dist.group.WORLD, torch.ones(3)
    return complaint_about(
        lambda: barrier.barrier(everyone) if odd() else ring.all_reduce(x, everyone)
    )


def other_segments() -> str:
    segments = 2 if odd() else 4
    call = partial(double_tree.all_reduce, torch.ones(8), segments=segments)
    return complaint_about(lambda: call(dist.group.WORLD))


def other_split(p: int) -> str:
    """Rank 2 expects one row less from rank 0 than rank 0 sends."""
    x, receives = torch.ones(p), [0 if odd() else 1, *([1] * (p - 1))]
    call = partial(exchange.pairwise, sends=[1] * p, receives=receives)
    return complaint_about(lambda: call(x, dist.group.WORLD))


def swapped_labels() -> str:
    """The same call from the same line for two purposes, which only a name tells."""

    def reduce_under_a_name():
        with label("bias" if odd() else "weight"):
            ring.all_reduce(torch.ones(3), dist.group.WORLD)

    return complaint_about(reduce_under_a_name)


def split_in_a_subgroup() -> str | None:
    """Ranks 3 and 1 of the world are ranks 0 and 1 of a group of their own."""
    group = dist.new_group([3, 1], sort_ranks=False)
    if dist.get_rank() not in (1, 3):
        return None
    receives = [1, 0] if dist.get_rank() == 3 else [1, 1]
    call = partial(exchange.pairwise, sends=[1, 1], receives=receives)
    try:
        call(torch.ones(2), group)
    except Mismatch as mismatch:
        return str(mismatch)


def on_a_plain_group() -> str:
    """A group that nothing watches, as in a program of the reader's own."""
    plain = dist.new_group(backend="gloo")
    try:
        ring.all_reduce(torch.ones(3 + odd()), plain)
    except Mismatch as mismatch:
        return str(mismatch)
    return ""


def all_but_one(absent: int) -> None:
    if dist.get_rank() != absent:
        with control.patience(0.5):
            ring.all_reduce(torch.ones(3), dist.group.WORLD)


def never_called() -> None:
    if not odd():
        ring.all_reduce(torch.ones(3), dist.group.WORLD)


def asked(times: int) -> None:
    for _ in range(times):
        tree.all_reduce(torch.ones(3), dist.group.WORLD)


def not_asked() -> None:
    with control.off():
        asked(1)


def root_of_no_rank() -> str:
    with pytest.raises(ValueError, match="root 7 is not one of the 4 ranks"):
        tree.broadcast(torch.ones(3), dist.group.WORLD, root=7)
    return "refused"


def check_told(told: list[str], aspect: str, *, shown: str) -> None:
    """All ranks raise the same words, which blame rank 2 and show its line."""
    assert len(set(told)) == 1
    assert told[0].startswith(f"{ODD}: {aspect} differs\n  rank 0: ")
    lines = told[0].splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == [f"  rank {r}" for r in range(P)]
    assert shown in lines[ODD]
    assert all(shown not in line for line in lines if line is not lines[ODD])
    assert all(" at test_control.py line " in line for line in lines)


@pytest.mark.parametrize("name", ALIKE)
def test_another_dtype_is_named_on_every_rank(world, name):
    told = world(P)(other_dtype, name)
    check_told(told, "dtype", shown=f"{name} int32")
    assert f"rank 0: {name} float32" in told[0]


@pytest.mark.parametrize("name", ALIKE)
def test_another_shape_is_named_on_every_rank(world, name):
    *lead, last = ALIKE[name][1]
    row = [] if name in ROW_BY_ROW else lead
    shown = str((*row, last + 1))
    check_told(world(P)(other_shape, name), "shape", shown=shown)


@pytest.mark.parametrize("name", ROOTED)
def test_another_root_is_named_also_where_the_others_leave_it_out(world, name):
    check_told(world(P)(other_root, name), "root", shown="root 1")


@pytest.mark.parametrize("function", [rooted.scatter, rooted.gather])
def test_other_lengths_are_named(world, function):
    check_told(
        world(P)(other_lengths, function), "lengths", shown="lengths [2, 0, 1, 1]"
    )


def test_another_collective_is_named(world):
    check_told(world(P)(other_collective), "op", shown="tree.all_reduce")
    check_told(world(P)(barrier_for_all_reduce), "op", shown="barrier.barrier")


def test_another_number_of_segments_is_named(world):
    check_told(world(P)(other_segments), "segments", shown="segments 2")


def test_another_label_is_named(world):
    check_told(world(P)(swapped_labels), "label", shown="label bias")


def test_a_share_that_is_not_expected_is_named(world):
    told = world(P)(other_split, P)
    check_told(told, "split", shown="expects [0, 1, 1, 1]")


def test_notes_longer_than_one_message_arrive_whole(world):
    told = world(8)(other_split, 8)
    assert len(set(told)) == 1
    assert len(told[0]) > 2 * control.HEAD
    assert "expects [0, 1, 1, 1, 1, 1, 1, 1]" in told[0]


def test_the_ranks_named_are_those_of_the_world(world):
    told = world(P)(split_in_a_subgroup)
    assert told[0] is told[2] is None
    assert told[1] == told[3]
    assert [line[:8] for line in told[1].splitlines()[1:]] == ["  rank 1", "  rank 3"]


def test_an_unwatched_group_is_asked_too(world):
    told = world(P)(on_a_plain_group)
    assert len(set(told)) == 1
    assert told[0].startswith("shape differs")


@pytest.mark.parametrize("absent", [0, 2])
def test_a_rank_that_does_not_call_is_named(absent):
    with World(P, device="cpu") as world, pytest.raises(RankError) as caught:
        world(all_but_one, absent)
    assert caught.value.rank == absent
    assert (
        f"rank {absent} has not called ring.all_reduce within 0.5 s; "
        "others wait for it at test_control.py line "
    ) in str(caught.value)


def test_with_much_patience_the_world_says_who_waits_where():
    with World(P, device="cpu") as world:
        world(asked, 1)  # what a first call imports takes its time
        with pytest.raises(RankError) as caught:
            world(never_called, timeout_s=1)
    assert caught.value.kind == "stuck"
    assert str(caught.value).count("is waiting in agree at test_control.py line") == 3
    assert f"rank {ODD} has returned" in str(caught.value)


@pytest.mark.parametrize("p", [1, 2, 5])
def test_a_call_is_asked_about_once_and_not_as_a_message(world, p):
    """One note to rank 0 and one answer, whatever the collective calls itself."""
    trace = world(p).trace(asked, 3)
    kinds = [event.op for event in trace.events if event.kind == "control"]
    assert kinds.count("send") == kinds.count("recv") == 3 * 2 * (p - 1)
    silent = world(p).trace(not_asked)
    assert not [event for event in silent.events if event.kind == "control"]
    assert [m.bytes for m in trace.messages()] == 3 * [
        m.bytes for m in silent.messages()
    ]


def test_a_root_of_no_rank_is_refused_by_every_rank(world):
    assert world(P)(root_of_no_rank) == ["refused"] * P


def test_patience_is_a_positive_time():
    with pytest.raises(ValueError, match="longer than 0 s, not -1"):
        control.patience(-1).__enter__()


def test_both_disagreements_say_where_to_look():
    assert Missing(2, {"op": "ring.all_reduce", "at": "a.py line 1"}, 3).odd == 2
