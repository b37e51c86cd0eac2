"""A trace holds what the ranks did: which bytes, between whom, in which order."""

import json
import time

import honest
import pytest
import torch
import torch.distributed as dist

from dlsys_code.world import Message, compute, label
from dlsys_code.world.journal import Event
from dlsys_code.world.trace import one_port_steps, pair_ends


def ring_of_three_turns():
    """Everyone passes 5 float32 on, three times; the first rank sends 2 more."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    x = torch.full((5,), float(rank))
    for _ in range(3):
        got = torch.empty(5)
        sending = dist.isend(x, (rank + 1) % ranks)
        dist.recv(got, (rank - 1) % ranks)
        sending.wait()
        x = got
    if rank == 0:
        dist.send(torch.ones(2), 2)
    if rank == 2:
        dist.recv(torch.ones(2), 0)


def chain():
    """Rank r passes on what rank r - 1 brought."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    x = torch.ones(1)
    if rank > 0:
        dist.recv(x, rank - 1)
    if rank + 1 < ranks:
        dist.send(x, rank + 1)


def marked():
    """A span of compute and a named collective of 12 bytes."""
    with compute("forward"):
        y = torch.ones(100, 100) @ torch.ones(100, 100)
    with label("gradients"):
        dist.all_reduce(torch.ones(3))
    return y.sum().item()


def test_messages_have_their_step_and_bytes(world):
    trace = world(4).trace(ring_of_three_turns)
    ring = [Message(s, r, (r + 1) % 4, 20) for s in range(3) for r in range(4)]
    assert trace.messages() == [*ring, Message(3, 0, 2, 8)]
    assert trace.bytes_sent() == [68, 60, 60, 60]
    assert trace.results == [None] * 4


def early() -> None:
    rank, x = dist.get_rank(), torch.ones(1)
    if rank == 0:
        from_1 = dist.irecv(torch.ones(1), 1)
        dist.irecv(torch.ones(1), 2).wait()
        dist.send(x, 1)
        from_1.wait()
    elif rank == 1:
        dist.recv(x, 0)
        dist.send(x, 0)
    else:
        dist.send(x, 0)


def crossing() -> None:
    """Tag 1 is sent before tag 2 and waited for after it."""
    x = torch.ones(1)
    if dist.get_rank() == 0:
        works = [dist.isend(x, 1, tag=tag) for tag in (1, 2)]
    else:
        works = [dist.irecv(torch.ones(1), 0, tag=tag) for tag in (2, 1)]
    for work in works:
        work.wait()


@pytest.mark.usefixtures("turn")
def test_what_is_passed_on_goes_one_step_later(world):
    assert world(4).trace(chain).messages() == [
        Message(r, r, r + 1, 4) for r in range(3)
    ]


def test_receives_begun_early_take_their_steps_when_they_end(world):
    """Rank 0 expects rank 1 first, but what 2 sends leads to what 1 sends."""
    assert world(3).trace(early).messages() == [
        Message(0, 2, 0, 4),
        Message(1, 0, 1, 4),
        Message(2, 1, 0, 4),
    ]


def test_messages_that_cross_under_their_tags_have_no_steps(world):
    with pytest.raises(ValueError, match="no steps"):
        world(2).trace(crossing).messages()


def test_spans_and_labels_are_kept(world):
    events = world(2).trace(marked).events
    assert [(e.rank, e.kind, e.op, e.label, e.bytes) for e in events] == [
        (rank, *rest)
        for rank in range(2)
        for rest in (
            ("compute", "forward", "", 0),
            ("collective", "all_reduce", "gradients", 12),
        )
    ]
    assert all(e.site.startswith("test_trace.py line") for e in events[1::2])
    assert all(e.group == (0, 1) for e in events[1::2])


def wait_for_futures() -> None:
    """As the reducer of DistributedDataParallel does, in C++."""
    for _ in range(300):
        dist.all_reduce(torch.ones(1), async_op=True).get_future().wait()


def test_a_call_whose_future_has_come_has_an_end(world):
    """Its waiters wake before it calls back, so the last note may come late."""
    for _ in range(4):
        assert all(e.end_s is not None for e in world(4).trace(wait_for_futures).events)


@pytest.mark.parametrize("program", honest.PROGRAMS, ids=lambda p: p.__name__)
def test_every_event_of_a_correct_program_has_begin_end_and_bytes(world, program):
    begin_s = time.perf_counter()
    trace = world(4).trace(program)
    end_s = time.perf_counter()
    assert trace.results == [0] * 4
    assert trace.events
    for event in trace.events:
        if program is not honest.send_without_wait or event.kind != "send":
            assert begin_s <= event.start_s <= event.end_s <= end_s
        assert event.bytes > 0 or event.op in ("barrier", "scatter", "gather")
    assert [e.seq for e in trace.events if e.rank == 1] == list(
        range(sum(e.rank == 1 for e in trace.events))
    )
    assert len(pair_ends(trace.events)) == sum(e.kind == "send" for e in trace.events)


def test_all_collectives_are_recorded_under_their_names(world):
    events = [e for e in world(4).trace(honest.collectives).events if e.rank == 0]
    assert [(e.op, e.bytes) for e in events] == [
        ("all_reduce", 8),
        ("broadcast", 8),
        ("reduce", 8),
        ("all_gather", 32),
        ("all_gather", 32),
        ("gather", 32),
        ("scatter", 32),
        ("reduce_scatter", 32),
        ("reduce_scatter", 32),
        ("all_to_all", 32),
        ("all_to_all", 16),
        ("barrier", 0),
    ]


def test_frameworks_are_recorded(world):
    parameters = sum(p.numel() for p in honest.small_model().parameters())
    reducer = world(2).trace(honest.data_parallel).events
    reduced = [e.bytes for e in reducer if e.rank == 0 and e.op == "all_reduce"]
    assert reduced == [4 * parameters] * 2  # one bucket in each of two steps
    sharded = world(2).trace(honest.fully_sharded).events
    scattered = [e.bytes for e in sharded if e.rank == 0 and e.op == "reduce_scatter"]
    assert sum(scattered) == 2 * 4 * parameters


def test_a_trace_of_one_call_does_not_see_another(world):
    world(2).trace(marked)
    world(2)(marked)
    assert len(world(2).trace(marked).events) == 4


def test_the_saved_trace_is_chrome_json(world, tmp_path):
    trace = world(4).trace(ring_of_three_turns)
    rows = json.loads(trace.save(tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [row for row in rows if row["ph"] == "X"]
    assert len(slices) == len(trace.events) == 26
    assert all(row["ts"] >= 0 and row["dur"] >= 0 for row in slices)
    tails = {row["id"]: row for row in rows if row["ph"] == "s"}
    heads = {row["id"]: row for row in rows if row["ph"] == "f"}
    assert tails.keys() == heads.keys() == set(range(13))
    for row in (*tails.values(), *heads.values()):
        assert any(contains(s, row) for s in slices), "an arrow touches no slice"
    for number, tail in tails.items():
        assert heads[number]["ts"] >= tail["ts"]
    names = {row["args"]["name"] for row in rows if row["name"] == "process_name"}
    assert names == {f"rank {rank}" for rank in range(4)}


def contains(outer: dict, inner: dict) -> bool:
    """Whether a point lies in a slice of its own row."""
    same = (outer["pid"], outer["tid"]) == (inner["pid"], inner["tid"])
    return same and outer["ts"] <= inner["ts"] <= outer["ts"] + outer["dur"]


def test_slices_of_one_row_nest(world, tmp_path):
    trace = world(4).trace(honest.messages_tagged)
    rows = json.loads(trace.save(tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [row for row in rows if row["ph"] == "X"]
    for a in slices:
        for b in slices:
            if (a["pid"], a["tid"]) == (b["pid"], b["tid"]) and a["ts"] < b["ts"]:
                end_a, end_b = a["ts"] + a["dur"], b["ts"] + b["dur"]
                assert end_a <= b["ts"] + 1e-6 or end_b <= end_a + 1e-6


def two_ends(start_s: float, source: int, destination: int, seq: int) -> list[Event]:
    group = {"bytes": 4, "group": (0, 1)}
    sent = Event(
        seq, "send", "send", source, start_s, start_s + 1, peer=destination, **group
    )
    got = Event(
        seq, "recv", "recv", destination, start_s, start_s + 1, peer=source, **group
    )
    return [sent, got]


def test_steps_of_many_messages_are_found_quickly():
    """To and fro 20,000 times: each message waits for the one before."""
    events = [e for n in range(20_000) for e in two_ends(2.0 * n, n % 2, 1 - n % 2, n)]
    begin = time.monotonic()
    steps = one_port_steps(events, pair_ends(events))
    assert sorted(steps) == list(range(20_000))
    assert time.monotonic() - begin < 20


def test_a_message_with_one_end_is_refused():
    with pytest.raises(ValueError, match="rank 0 sent 1 messages to rank 1"):
        pair_ends(two_ends(0.0, 0, 1, 0)[:1])


def test_a_wait_is_noted_when_it_begins(world):
    """At once where a call blocks; later, after the compute, where it does not."""

    def program() -> None:
        dist.all_reduce(torch.ones(1))
        handle = dist.all_reduce(torch.ones(1), async_op=True)
        with compute("between"):
            pass
        handle.wait()
        dist.all_reduce(torch.ones(1), async_op=True).get_future().wait()

    events = world(2).trace(program).events
    blocking, later, between, never = (e for e in events if e.rank == 0)
    assert blocking.start_s <= blocking.wait_s <= blocking.end_s
    assert later.wait_s >= between.end_s
    assert never.wait_s is None
