"""The kernel's counters, against work whose counts are known."""

import os
import socket

import pytest

from dlsys_code.book.kernel_counts import kernel_work, ping_pong_sleeps


@pytest.mark.parametrize("messages", [0, 1, 7, 100])
def test_reads_and_writes_of_a_socket_are_counted_exactly(messages):
    data = bytes(1000)
    ours, theirs = socket.socketpair()

    def talk():
        os.write(ours.fileno(), data)
        os.read(theirs.fileno(), len(data))

    with ours, theirs:
        work = kernel_work(talk, times=messages)
    assert work.system_calls == 2 * messages
    assert work.copied_bytes == 2 * messages * len(data)


def test_a_copy_in_memory_calls_nobody():
    page, data = bytearray(1000), bytes(1000)

    def write():
        page[:] = data

    work = kernel_work(write, times=100)
    assert (work.system_calls, work.copied_bytes) == (0, 0)
    assert bytes(page) == data


def test_ranks_sleep_over_tcp_and_not_over_memory(world):
    turns = 200
    ranks = world(2)(ping_pong_sleeps, turns)
    over_tcp = sum(rank["TCP"] for rank in ranks)
    over_memory = sum(rank["shared memory"] for rank in ranks)
    # A rank may find its answer there before it asks, but then the other one slept.
    assert turns / 4 <= over_tcp
    assert over_memory <= turns / 20
