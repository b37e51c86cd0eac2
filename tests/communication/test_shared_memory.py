"""Over shared memory everything is as over sockets, and nothing is left behind."""

import os
import signal
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import through_memory as programs
import torch
import torch.distributed as dist

from dlsys_code.communication import shared_segment
from dlsys_code.communication.shared_memory import shared_memory
from dlsys_code.primitive import doubling, exchange, in_place, ring, tree
from dlsys_code.world import RankError, World, control

DTYPES = [torch.float32, torch.bfloat16, torch.float64, torch.int8]
HERE = Path(__file__).parent
SIZES = {"whole": shared_memory, "tiny": partial(shared_memory, slots=2, slot_bytes=24)}


@pytest.fixture(scope="module")
def memory():
    """memory(p) is a warm pool of p ranks; `tiny` cuts nearly every message."""
    pools: dict[tuple[int, str], World] = {}

    def pool(p: int, size: str = "whole") -> World:
        if (p, size) not in pools:
            pools[p, size] = World(p, device="cpu", transport=SIZES[size])
        return pools[p, size]

    yield pool
    for started in pools.values():
        started.close()
    assert left_behind() == []


def left_behind() -> list[str]:
    """Names of this transport's memory."""
    return [
        path.name for path in shared_segment.FOLDER.glob(f"{shared_segment.PREFIX}*")
    ]


@pytest.mark.parametrize("p", range(1, 9))
def test_every_collective_of_chapter_4_gives_the_bits_of_gloo(world, memory, p):
    size, dtype = "tiny" if p % 2 else "whole", DTYPES[p % 4]
    ours = memory(p, size)(programs.every_collective, [0, 3 * p - 1], dtype)
    theirs = world(p)(programs.every_collective, [0, 3 * p - 1], dtype)
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.keys() == reference.keys()
        for name, result in mine.items():
            assert programs.bits(result) == programs.bits(reference[name]), name


@pytest.mark.parametrize("p", [2, 3, 4, 8])
def test_the_trace_over_memory_is_the_trace_over_sockets_and_the_plan(world, memory, p):
    def calls():
        group, x = dist.group.WORLD, torch.ones(4 * p)
        ring.all_reduce(x, group)
        tree.all_reduce(x, group)
        doubling.all_reduce(x, group)
        exchange.pairwise(x, group)

    def only_the_ring():
        ring.all_reduce(torch.ones(4 * p), dist.group.WORLD)

    over_memory = memory(p).trace(calls).messages()
    assert over_memory == world(p).trace(calls).messages()
    planned = ring.all_reduce_messages(p, 4 * p, 4)
    assert memory(p).trace(only_the_ring).messages() == planned


@pytest.mark.parametrize(("size", "count"), [("whole", programs.BIG), ("tiny", 1000)])
def test_sends_head_on_of_more_than_a_box_end(memory, size, count):
    assert memory(2, size)(programs.head_on, count) == [True, True]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("counts", [[1, 2, 3], [0, 50, 7, 100], [300_000, 1]])
def test_messages_with_other_tags_are_not_mixed_up(memory, size, counts):
    if size == "tiny":
        counts = [n % 1000 for n in counts]
    assert memory(2, size)(programs.tags_in_reverse, counts)[1] == [True] * len(counts)


@pytest.mark.parametrize(("size", "n"), [*product(SIZES, (1, 40))])
def test_messages_with_one_tag_keep_their_order(memory, size, n):
    odd, even = range(1, 20, 2), range(0, 20, 2)
    got = memory(2, size)(programs.order_within_a_tag, n)[1]
    assert got == [float(i) for i in (*odd, *even)]


@pytest.mark.parametrize(("size", "n", "tag"), [("whole", 3, 0), ("tiny", 50, 4)])
def test_any_source_takes_each_message_once_and_names_its_sender(memory, size, n, tag):
    seen = memory(4, size)(programs.from_any, n, tag)[0]
    for source in (1, 2, 3):
        own = [value for rank, value in seen if rank == source]
        assert own == [source, source + 100]


def test_groups_of_the_same_ranks_have_boxes_of_their_own(memory):
    got = memory(3)(programs.in_two_groups, 2**20)
    assert got == [[1.0, 11.0], [0.0, 10.0], []]


def test_groups_that_are_left_give_their_memory_back(memory):
    world = memory(2)
    assert world(programs.mapped) == [1, 1]
    assert world(programs.make_groups, 3) == [4, 4]
    assert world(programs.mapped) == [1, 1]


def test_messages_move_while_a_rank_waits_in_a_collective_of_torch(memory):
    total = memory(3)(programs.collective_before_the_wait, programs.BIG, timeout_s=20)
    assert total == [3.0] * 3


@pytest.mark.parametrize(("sent", "expected"), [(3, 2), (2, 3), (0, 1), (300_000, 1)])
def test_a_wrong_size_is_an_error_that_names_both(memory, sent, expected):
    said = memory(2)(programs.wrong_size, sent, expected)[1]
    assert said == (
        f"a receive of {4 * expected} bytes met a message of {4 * sent} bytes "
        "from rank 0 of the group; then 7"
    )


def test_bad_calls_are_refused_before_anything_moves(memory):
    for rank, said in enumerate(memory(2)(programs.bad_calls)):
        assert "contiguous and on the CPU, not (3, 2) with strides (1, 3)" in said[0]
        for text, peer in zip(said[1:], (rank, 2, -1), strict=True):
            assert text.startswith(f"rank {rank} of 2 has no peer {peer}")


@pytest.mark.parametrize("bad", [{"slots": 0}, {"slot_bytes": 0}])
def test_bad_slots_are_refused(bad):
    transport = partial(shared_memory, **bad)
    with pytest.raises(RankError, match="each must be at least 1"):
        World(2, device="cpu", transport=transport)(programs.mapped)
    assert left_behind() == []


def test_more_than_the_host_has_is_refused():
    transport = partial(shared_memory, slot_bytes=2**48)
    with pytest.raises(RankError, match="are needed and .* are left"):
        World(2, device="cpu", transport=transport)(programs.mapped)
    assert left_behind() == []


def test_another_host_is_told_apart():
    with pytest.raises(ValueError, match="rank 1 does not find the memory"):
        shared_segment.attach("dlsys-0-none", 1)


def test_a_wait_ends_at_its_limit(memory):
    with pytest.raises(RankError, match="Timed out"):
        memory(2)(programs.wait_a_little)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_call_and_leaves_nothing(memory, rank):
    world = memory(2)
    with pytest.raises(RankError) as caught:
        world(programs.one_dies, rank)
    assert (caught.value.rank, caught.value.kind) == (rank, "died")
    assert caught.value.cause == "killed by SIGKILL"
    lost = "lost the connection to another rank"
    assert {other.cause for other in caught.value.others} <= {lost}
    assert left_behind() == []
    assert world(programs.head_on, 1) == [True, True]


def test_a_stuck_rank_is_named_with_the_line_where_it_waits(memory):
    def wait_for_nobody():
        if dist.get_rank() == 0:
            dist.recv(torch.ones(1), 1)

    with pytest.raises(RankError) as caught:
        memory(2)(wait_for_nobody, timeout_s=1)
    assert caught.value.kind == "stuck"
    assert "rank 0 is waiting in recv at test_shared_memory.py line" in str(
        caught.value
    )


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
import torch
from dlsys_code.communication.shared_memory import shared_memory
from dlsys_code.world import World
import through_memory as programs
world = World(2, device="cpu", transport=shared_memory)
print(world(programs.head_on, 3), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_parent_leaves_nothing():
    script = KILLED.format(here=str(HERE))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.stdout == "[True, True]\n", ran.stderr
    assert ran.returncode == -signal.SIGKILL
    assert left_behind() == []


def test_names_that_were_forgotten_are_removed_by_the_next_program():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    forgotten = shared_segment.FOLDER / f"{shared_segment.PREFIX}{ended.pid}-old"
    recent = shared_segment.FOLDER / f"{shared_segment.PREFIX}{ended.pid}-new"
    living = shared_segment.FOLDER / f"{shared_segment.PREFIX}{os.getpid()}-old"
    for path in (forgotten, recent, living):
        path.touch()
    try:
        for path in (forgotten, living):
            os.utime(path, (0, 0))
        shared_segment.remove_forgotten()
        there = {path for path in (forgotten, recent, living) if path.exists()}
        assert there == {recent, living}
    finally:
        for path in (forgotten, recent, living):
            path.unlink(missing_ok=True)


def test_an_in_place_ring_runs_on_the_bare_group(memory):
    """Without the watching group around it, as the benchmark runs it."""

    def reduce():
        x = torch.ones(1001)
        with control.off():
            in_place.ring_all_reduce_into_(x, dist.group.WORLD.inner)
        return x.sum().item()

    assert memory(3)(reduce) == [3003.0] * 3
