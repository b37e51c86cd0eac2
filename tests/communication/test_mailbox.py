"""The mailbox by itself: nothing is lost, swapped or overwritten, nothing overlaps."""

import ctypes

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlsys_code.communication.mailbox import LINE, Layout, Mailbox

quickly = settings(max_examples=60, deadline=None, derandomize=True)
layouts = st.builds(
    Layout,
    ranks=st.integers(1, 8),
    slots=st.integers(1, 5),
    slot_bytes=st.integers(1, 300),
)


def two_sides(layout: Layout) -> tuple[Mailbox, Mailbox, object]:
    """A box as its sender and as its receiver see it, and the memory that it is in."""
    memory = ctypes.create_string_buffer(layout.box_bytes + LINE)
    address = -(-ctypes.addressof(memory) // LINE) * LINE
    sender = Mailbox(address, layout)
    sender.start()
    return sender, Mailbox(address, layout), memory


@quickly
@given(layout=layouts, turns=st.lists(st.booleans(), max_size=60))
def test_pieces_come_out_as_they_went_in_and_never_more_than_there_are_slots(
    layout, turns
):
    """Any order of puts and gets: the same as a queue that holds `slots` pieces."""
    sender, receiver, _memory = two_sides(layout)
    queue: list[tuple[int, int, bytes]] = []
    for number, putting in enumerate(turns):
        if putting:
            n = (number * 7) % (layout.slot_bytes + 1)
            piece = bytes((number + i) % 256 for i in range(n))
            text = ctypes.create_string_buffer(piece, n + 1)
            put = sender.put(number, n, ctypes.addressof(text), n)
            assert put == (len(queue) < layout.slots)
            queue += [(number, n, piece)] if put else []
        elif (got := receiver.peek()) is None:
            assert not queue
        else:
            tag, total, address = got
            assert (tag, total, ctypes.string_at(address, total)) == queue.pop(0)
            receiver.release()


@quickly
@given(layout=layouts)
def test_bells_boxes_and_slots_lie_apart(layout):
    spans = [(r * LINE, (r + 1) * LINE) for r in range(layout.ranks)]
    for source in range(layout.ranks):
        for destination in {*range(layout.ranks)} - {source}:
            first = layout.box(source, destination)
            slots = Mailbox(first, layout).slots
            assert all(slot % LINE == 0 for slot in slots)
            assert slots[-1] + LINE + layout.slot_bytes <= first + layout.box_bytes
            spans += [(slot, slot + LINE + layout.slot_bytes) for slot in slots]
            spans.append((first, first + 2 * LINE))
    spans.sort()
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))
    assert spans[-1][1] <= layout.bytes


@pytest.mark.parametrize("bad", [(0, 1, 1), (2, 0, 8), (2, 4, -1)])
def test_a_layout_of_nothing_is_refused(bad):
    ranks, slots, slot_bytes = bad
    said = f"{ranks} ranks with {slots} slots of {slot_bytes} bytes"
    with pytest.raises(ValueError, match=said):
        Layout(ranks=ranks, slots=slots, slot_bytes=slot_bytes)


def test_a_small_message_touches_no_other_memory():
    layout = Layout(ranks=2, slots=1, slot_bytes=64)
    sender, receiver, memory = two_sides(layout)
    before = memory.raw
    x = torch.arange(64, dtype=torch.uint8)
    assert sender.put(5, 64, x.data_ptr(), 64)
    assert receiver.peek()[:2] == (5, 64)
    changed = [
        i for i, (a, b) in enumerate(zip(before, memory.raw, strict=True)) if a != b
    ]
    first = sender.full - ctypes.addressof(memory)
    assert min(changed) >= first and max(changed) < first + 3 * LINE + 64
