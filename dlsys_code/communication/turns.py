"""Whose turn it is: what a rank must have done before its next message may leave.

A turn is all that one rank sends and receives in one step of a plan, and a rank takes
its turns one after the other (it is one-port).  When a turn begins, its messages may
leave; when they and those that it receives have arrived, the next one begins::

    plan               turns of rank 0    of rank 1    of rank 2
    step 0   0 -> 1    sends              receives     -
    step 1   1 -> 2    -                  sends        receives
    step 2   2 -> 0    receives           -            sends

A rank with no part in a step goes ahead.  An eager message leaves when the turn of its
source begins, and is kept for a receiver that is late; with a rendezvous it waits until
the turns of both have begun, so nobody ever receives two steps at once.  All is held in
arrays: a plan has as many as some million messages.

Source of the two ways: MPI Forum, "MPI: a message-passing interface standard", version
4.1 (2023), section 3.4 on communication modes; their names are those of its users.
"""

import numpy as np
from numpy import ndarray

from dlsys_code.communication.directed_links import ranges


class Turns:
    """The turns of all ranks; `done` says which messages leave next."""

    def __init__(
        self, step: ndarray, source: ndarray, destination: ndarray, *, rendezvous: bool
    ):
        steps = step - step.min(initial=0)
        size = steps.max(initial=0) + 1
        ends = np.concatenate([source * size + steps, destination * size + steps])
        turns, turn = np.unique(ends, return_inverse=True)
        self.turns_of = turn.reshape(2, -1)  # of each message: sent in, received in
        self.missing = np.bincount(turn, minlength=len(turns))  # messages of a turn
        rank = turns // size
        self.last = np.append(rank[:-1] != rank[1:], True)[: len(turns)]
        self.begun = np.insert(self.last[:-1], 0, True)[: len(turns)]

        self.rendezvous = rendezvous
        awaited = self.turns_of if rendezvous else self.turns_of[:1]
        self.held = np.full(len(step), len(awaited))  # turns that a message waits for
        self.behind = np.argsort(awaited.ravel(), kind="stable") % max(len(step), 1)
        held_by = np.bincount(awaited.ravel(), minlength=len(turns))
        self.first = np.insert(np.cumsum(held_by), 0, 0)  # of a turn, in behind

    def begin(self) -> ndarray:
        """Return the messages that leave at once."""
        return self.free(np.flatnonzero(self.begun))

    def done(self, messages: ndarray) -> ndarray:
        """Return the messages that leave now that these have arrived."""
        ends = self.turns_of[:, messages].ravel()
        np.subtract.at(self.missing, ends, 1)
        turns = np.unique(ends)
        over = self.begun[turns] & (self.missing[turns] == 0) & ~self.last[turns]
        leaving = [ends[:0]]
        while over.any():
            turns = turns[over] + 1
            self.begun[turns] = True
            leaving.append(self.free(turns))
            # What a late receiver was sent has arrived, so its turn may be over, too.
            over = (self.missing[turns] == 0) & ~self.last[turns]
        return np.concatenate(leaving)

    def free(self, turns: ndarray) -> ndarray:
        """Return the messages that wait for no turn any more when these begin."""
        _, place = ranges(self.first[turns], self.first[turns + 1])
        messages = self.behind[place]
        np.subtract.at(self.held, messages, 1)
        freed = messages[self.held[messages] == 0]
        return np.unique(freed) if self.rendezvous else freed
