"""The messages of a rank: queued for each peer, cut into pieces, matched by tag.

Messages between two ranks pass through one mailbox in the order of the calls.  The
receiver matches them by tag: the oldest receive with the tag of a message gets it.  One
that nobody expects yet, while another is waited for, is taken out of the way::

    sender     isend tag 1, isend tag 2         box: 1 1 1 2
    receiver   recv tag 2                       keeps 1 aside, takes 2
               recv tag 1                       finds it there

A piece has the tag and the length of its whole message before it, so a receive of
another length is an error that names both, and no crash.

Source: MPI 4.1, 3.5 "Semantics of Point-to-Point Communication" (order, progress).
"""

from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from dlsys_code.communication.mailbox import Mailbox, copy, post


class Mover(Protocol):
    """A group whose messages its own ranks move."""

    limit: timedelta

    def move(self) -> bool:
        """Move pieces; return whether any moved."""

    def finish(self, message: "Message", limit: timedelta) -> None:
        """Move pieces until a message is done."""


class Message(dist.Work):
    """One end of a message under way.

    peer: a rank of the group; of a message from any source None, until it has come.
    """

    def __init__(self, group: Mover, peer: int | None, tag: int, x: Tensor):
        super().__init__()
        self.group, self.peer, self.tag, self.x = group, peer, tag, x
        self.address, self.bytes, self.moved = x.data_ptr(), x.nbytes, 0
        self.done, self.error = False, ""
        self.inboxes: Iterable[Inbox] = ()  # where it is expected
        busy[group] = busy.get(group, 0) + 1

    def wait(self, timeout: timedelta = timedelta(0)) -> bool:
        """Move messages until this one is done.

        Errors: RuntimeError when the limit is over or the peer has ended; ValueError
        when another number of bytes came than was expected.
        """
        if not self.done:
            self.group.finish(self, timeout or self.group.limit)
        if self.error:
            raise ValueError(self.error)
        return True

    def is_completed(self) -> bool:
        """Return whether the message is done, after moving what can be moved."""
        if not self.done:
            move_all()
        return self.done

    def source_rank(self) -> int:
        """Return the rank of the group from which it came."""
        return self.peer

    _source_rank = source_rank

    def end(self) -> None:
        """Note that the message is done."""
        self.done = True
        busy[self.group] -= 1
        if not busy[self.group]:
            del busy[self.group]


class Early:
    """A message that came before its receive.  tag: None when it is thrown away."""

    def __init__(self, tag: int | None, total: int):
        self.tag, self.bytes, self.moved = tag, total, 0
        self.x = torch.empty(total, dtype=torch.uint8)
        self.address = self.x.data_ptr()


class Outbox:
    """What this rank sends to one other, in the order of the calls."""

    def __init__(self, box: Mailbox, slot_bytes: int, bell: int):
        self.box, self.slot_bytes, self.bell = box, slot_bytes, bell
        self.queue: deque[Message] = deque()

    def move(self) -> bool:
        """Fill free slots; return whether there was one."""
        moved = False
        while self.queue:
            message = self.queue[0]
            piece = message.address + message.moved
            n = min(self.slot_bytes, message.bytes - message.moved)
            if not self.box.put(message.tag, message.bytes, piece, n):
                break
            moved = True
            message.moved += n
            if message.moved == message.bytes:
                self.queue.popleft().end()
        if moved:
            post(self.bell)  # once: each ring may wake a process
        return moved


class Inbox:
    """What this rank receives from one other; messages with one tag keep their order.

    expected: receives begun, the oldest first.  early: messages that came whole while
    another tag was waited for; `filling`: the one that is coming.
    """

    def __init__(self, box: Mailbox, slot_bytes: int, bell: int, source: int):
        self.box, self.slot_bytes, self.bell = box, slot_bytes, bell
        self.source = source
        self.expected: list[Message] = []
        self.early: list[Early] = []
        self.filling: Message | Early | None = None

    def move(self) -> bool:
        """Empty filled slots, if anything is expected; return whether there was one."""
        moved = False
        while (self.expected or self.filling) and (piece := self.box.peek()):
            tag, total, address = piece
            place = self.filling = self.filling or self.place_for(tag, total)
            n = min(self.slot_bytes, total - place.moved)
            copy(place.address + place.moved, address, n)
            self.box.release()
            moved = True
            place.moved += n
            if place.moved == total:
                self.filling = None
                self.arrived(place)
        if moved:
            post(self.bell)
        return moved

    def place_for(self, tag: int, total: int) -> Message | Early:
        """Return where a message that begins to arrive is written."""
        message = self.claim(tag)
        if message and self.fits(message, total):
            return message
        return Early(None if message else tag, total)

    def arrived(self, place: Message | Early) -> None:
        """End a message that is there as a whole, or keep it for its receive."""
        if isinstance(place, Message):
            place.end()
        elif place.tag is not None:
            self.early.append(place)
            self.open_early()

    def open_early(self) -> None:
        """Hand out messages that came before they were expected."""
        for early in list(self.early):
            if message := self.claim(early.tag):
                self.early.remove(early)
                if self.fits(message, early.bytes):
                    copy(message.address, early.address, early.bytes)
                    message.end()

    def claim(self, tag: int) -> Message | None:
        """Return the oldest receive with this tag, which is expected no longer."""
        for message in self.expected:
            if message.tag == tag:
                for inbox in message.inboxes:
                    inbox.expected.remove(message)
                message.peer = self.source
                return message
        return None

    def fits(self, message: Message, total: int) -> bool:
        """Return whether a receive has the right size; end it with an error if not."""
        if message.bytes != total:
            message.error = (
                f"a receive of {message.bytes} bytes met a message of {total} bytes "
                f"from rank {self.source} of the group"
            )
            message.end()
        return not message.error


busy: dict[Mover, int] = {}  # groups -> messages of this rank under way


def move_all() -> bool:
    """Move pieces of all messages of this rank; return whether any moved."""
    return any([group.move() for group in list(busy)])
